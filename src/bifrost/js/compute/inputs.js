/** What a job works on: inputs become parcels as Python asks for them. */

import { Array, ArrayBuffer, Buffer, Map, Set, Symbol, TypeError } from '../protocol/globals.js';
import { NDArray } from '../protocol/arrays.js';
import { ShareError } from '../protocol/errors.js';
import { pack } from '../protocol/parcels.js';
import { rangeOf } from './ranges.js';
import { RemoteDataPattern, RemoteDataSet } from './remote.js';

/** The inputs of a job, in order. Each is packed once, when a worker has room for it. */
export class Inputs {
  /** Gives the input at an index, if that can be done. @type {((index: number) => any) | undefined} */
  #at;
  /** Gives the next one, if that is all that can be done. @type {(() => any) | undefined} */
  #next;
  /** Inputs that were pulled from an iterator, for `key(n)`. @type {any[]} */
  #pulled = [];
  #count = 0;
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
      if (set instanceof Map || set instanceof Set) this.length = set.size;
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
   * At most so many parcels; fewer are the last ones.
   * @param {number} most
   * @returns {Buffer[] | Promise<Buffer[]>}
   */
  pull(most) {
    /** @type {Buffer[]} */
    const parcels = [];
    while (parcels.length < most && !this.#isEnded) {
      const step = this.#step();
      if (typeof step?.then === 'function') return this.#later(step, parcels, most);
      this.#take(step, parcels);
    }
    return parcels;
  }

  /** @param {PromiseLike<any>} first @param {Buffer[]} parcels @param {number} most */
  async #later(first, parcels, most) {
    this.#take(await first, parcels);
    while (parcels.length < most && !this.#isEnded) this.#take(await this.#step(), parcels);
    return parcels;
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

  /** @param {{value?: any, done?: boolean}} step @param {Buffer[]} parcels */
  #take(step, parcels) {
    if (step.done) {
      this.#isEnded = true;
      this.length = this.#count;
      return;
    }
    if (this.#next && this.keepsKeys) this.#pulled.push(step.value);
    parcels.push(parcelOf(step.value, `inputs[${this.#count++}]`));
  }
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
  if (value === null) return 'null';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return `a ${value.constructor?.name ?? 'value'}`;
}
