/** What a job works on: inputs become parcels as Python asks for them. */

import { Array, ArrayBuffer, Buffer, Map, Number, Promise, Set, String, Symbol, TypeError } from '../protocol/globals.js';
import { NDArray } from '../protocol/arrays.js';
import { ShareError } from '../protocol/errors.js';
import { pack } from '../protocol/parcels.js';
import { rangeOf } from './ranges.js';
import { RemoteDataPattern, RemoteDataSet } from './remote.js';

/** Milliseconds after which inputs that come slowly are sent, though more were wanted. */
const PATIENCE = 50;

/** The inputs of a job, in order. Each is packed once, when a worker has room for it. */
export class Inputs {
  /** Gives the input at an index, if that can be done. @type {((index: number) => any) | undefined} */
  #at;
  /** Gives the next one, if that is all that can be done. @type {(() => any) | undefined} */
  #next;
  /** Inputs that were pulled from an iterator, for `key(n)`. @type {any[]} */
  #pulled = [];
  /** Parcels that nobody has been given yet. @type {Buffer[]} */
  #taken = [];
  /** The index of the first of them. */
  #start = 0;
  /** The step that comes next, or a promise of it, from when it was asked for until it was taken. @type {any} */
  #coming;
  /** Of the pulls, which supersede each other. */
  #turn = 0;
  #isEnded = false;
  /** Whether to ask for an input is to fetch it. */
  #isRemote = false;
  /** Whether `key` is to know what an iterator gave. */
  keepsKeys = true;
  /** How many there are; null if that is not known before the end. @type {number | null} */
  length = null;

  /**
   * @param {any} set
   * @throws {TypeError} it is no set of inputs
   */
  constructor(set) {
    const range = rangeOf(set);
    if (range) this.#sequence(range.length, (index) => range.nthValue(index));
    else if (set instanceof RemoteDataSet || set instanceof RemoteDataPattern) {
      this.#sequence(set.length, (index) => set.fetch(index));
      this.#isRemote = true;
    } else if (set instanceof NDArray) {
      if (set.ndim === 0) throw new TypeError('an array without axes is one value: give it in an Array');
      this.#sequence(set.shape[0], (index) => set.get(index));
    } else if (Array.isArray(set) || (ArrayBuffer.isView(set) && !Buffer.isBuffer(set) && Symbol.iterator in set)) {
      const items = /** @type {any[]} */ (set);
      this.#sequence(items.length, (index) => items[index]);
    } else {
      const iterate = typeof set === 'object' && set !== null && (set[Symbol.asyncIterator] ?? set[Symbol.iterator]);
      if (typeof iterate !== 'function' || Buffer.isBuffer(set)) {
        throw new TypeError(`${kindOf(set)} is no set of inputs: give an Array, a range, or what can be iterated`);
      }
      const iterator = iterate.call(set);
      this.#next = () => iterator.next();
      this.close = () => void iterator.return?.();
      const length = set instanceof Map || set instanceof Set ? set.size : set.length;
      if (Number.isInteger(length)) this.length = length;
    }
  }

  /** @param {number} length @param {(index: number) => any} at */
  #sequence(length, at) {
    this.length = length;
    this.#at = at;
  }

  /** No more inputs will be asked for. */
  close() {}

  /** The input of a slice; undefined if that is not known. @param {number} index */
  key(index) {
    return this.#at && !this.#isRemote ? this.#at(index) : this.#pulled[index];
  }

  /**
   * Give at most so many parcels; fewer if they come slowly, or are the last.
   *
   * JavaScript that is stopped just ends, here or in what is called, and promises may be forgotten: so
   * all that was pulled is kept until it was given, and the next pull goes on from there.
   * @param {number} most
   * @param {(start: number, parcels: Buffer[], isEnded: boolean) => void} give gets the index of the
   *   first; may get the same parcels again, if it was stopped
   */
  async pull(most, give) {
    const turn = ++this.#turn;
    const until = performance.now() + PATIENCE;
    while (this.#taken.length < most && !this.#isEnded && performance.now() < until) {
      this.#coming ??= this.#step();
      let step = this.#coming;
      if (typeof step?.then === 'function') {
        // What is there may be what it waits for.
        if (this.#taken.length > 0 && !(await isSettled(step, until))) break;
        step = await step;
        if (turn !== this.#turn) return;
      }
      this.#take(step);
    }
    if (turn !== this.#turn) return;
    give(this.#start, this.#taken, this.#isEnded);
    this.#start += this.#taken.length;
    this.#taken = [];
  }

  /** How many were taken. */
  get #count() {
    return this.#start + this.#taken.length;
  }

  /** The next input as an iterator gives it, or a promise of that. @returns {any} */
  #step() {
    const next = this.#next;
    if (next) return next();
    const at = /** @type {(index: number) => any} */ (this.#at);
    if (this.#count >= /** @type {number} */ (this.length)) return { done: true };
    const value = at(this.#count);
    // An Array of promises is an Array of values to come.
    if (typeof value?.then === 'function') return value.then((/** @type {any} */ item) => ({ value: item, done: false }));
    return { value, done: false };
  }

  /** @param {{value?: any, done?: boolean}} step */
  #take(step) {
    if (step.done) {
      this.#isEnded = true;
      this.length = this.#count;
      return;
    }
    const index = this.#count;
    const parcel = parcelOf(step.value, `inputs[${index}]`);
    if (this.#next && this.keepsKeys) this.#pulled[index] = step.value;
    this.#taken[index - this.#start] = parcel;
    this.#coming = undefined;
  }
}

/** Whether a promise settles before a time. @param {PromiseLike<any>} promise @param {number} until */
function isSettled(promise, until) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), until - performance.now());
    const settled = () => {
      clearTimeout(timer);
      resolve(true);
    };
    promise.then(settled, settled);
  });
}

/**
 * A value's parcel, as bytes for Python.
 * @param {any} value
 * @param {string} name what the value is, for errors
 */
export function parcelOf(value, name) {
  try {
    const parcel = pack(value);
    return Buffer.from(parcel.buffer, parcel.byteOffset, parcel.length);
  } catch (error) {
    if (!(error instanceof ShareError)) throw error;
    throw new ShareError(name + error.path.slice(1), error.kind, error.advice);
  }
}

/** What something is, for an error. @param {any} value */
export function kindOf(value) {
  if (value === null || value === undefined) return String(value);
  const kind = typeof value === 'object' ? String(value.constructor?.name ?? 'value') : typeof value;
  return `${/^[AEIO]/.test(kind) ? 'an' : 'a'} ${kind}`;
}
