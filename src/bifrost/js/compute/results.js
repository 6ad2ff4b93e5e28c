/** The results of a job, as far as they are there. */

import { inspect } from 'node:util';
import { Array, Error, Number, Object, Proxy, Reflect, Set, String, Symbol, TypeError } from '../protocol/globals.js';
import { rangeOf } from './ranges.js';

/** Array methods that change nothing work on the results that are there. */
const READING = [
  'at', 'concat', 'every', 'filter', 'find', 'findIndex', 'findLast', 'findLastIndex', 'flat', 'flatMap', 'forEach',
  'includes', 'indexOf', 'join', 'lastIndexOf', 'map', 'reduce', 'reduceRight', 'slice', 'some', 'toReversed',
  'toSorted', 'toSpliced', 'toString', 'toLocaleString', 'with',
];

/**
 * What the results are kept in. The handle shows it, and cannot change it.
 * @typedef {object} Store
 * @property {Map<number, any>} values slice number -> result
 * @property {(index: number) => any} key the input of a slice
 * @property {(slices: number[]) => void} announce emits `result` for slices once more
 */

/**
 * Like an Array of what is there, but indexed by slice number: `results[i]` is the result of input i.
 */
export class ResultHandle extends Array {
  #store;

  /** @param {Store} store */
  constructor(store) {
    super();
    this.#store = store;
    return new Proxy(this, new View(this, store));
  }

  /** @param {number} index */
  isAvailable(index) {
    return this.#store.values.has(index);
  }

  /** Slice numbers of what is there, in order. @returns {number[]} */
  #slices() {
    return [...this.#store.values.keys()].sort((a, b) => a - b);
  }

  /** The inputs whose results are there. @returns {any} */
  keys() {
    return this.#slices().map((index) => this.#store.key(index));
  }

  /** The results that are there. @returns {any} */
  values() {
    return this.#slices().map((index) => this.#store.values.get(index));
  }

  /** Pairs of input, as text, and result. @returns {any} */
  entries() {
    return this.#slices().map((index) => [String(this.#store.key(index)), this.#store.values.get(index)]);
  }

  /** An object of those pairs. */
  fromEntries() {
    return Object.fromEntries(this.entries());
  }

  /** The input of a slice. @param {number} index */
  key(index) {
    return this.#store.key(index);
  }

  /** The result of an input. @param {any} input */
  lookupValue(input) {
    const index = this.#slices().find((one) => this.#store.key(one) === input);
    return index === undefined ? undefined : this.#store.values.get(index);
  }

  /** Forget all results. */
  reset() {
    this.#store.values.clear();
  }

  /**
   * In DCP results are fetched from the scheduler; here all that exist are there already.
   * @param {any} [range] of slice numbers; all if left out
   * @param {boolean | 'all'} [emitEvents] whether to emit `result` for each once more
   */
  async fetch(range, emitEvents = false) {
    if (!emitEvents) return;
    const wanted = range === undefined ? undefined : new Set(rangeOf(range) ?? range);
    this.#store.announce(this.#slices().filter((index) => wanted?.has(index) ?? true));
  }

  toJSON() {
    return this.values();
  }

  [Symbol.iterator]() {
    return this.values()[Symbol.iterator]();
  }

  /** What console.log shows. @param {number} _depth @param {any} options */
  [inspect.custom](_depth, options) {
    return inspect(this.values(), options);
  }
}

/** How a handle answers. @implements {ProxyHandler<ResultHandle>} */
class View {
  /** @param {ResultHandle} handle @param {Store} store */
  constructor(handle, store) {
    this.handle = handle;
    this.store = store;
  }

  /** @param {ResultHandle} _target @param {string | symbol} key */
  get(_target, key) {
    if (key === 'length') return this.store.values.size;
    if (key === 'constructor') return Array; // as of an Array, so that copies are Arrays
    const index = indexOf(key);
    if (index !== undefined) {
      if (this.store.values.has(index)) return this.store.values.get(index);
      throw new Error(`Result ${index} is not available: its slice has not been computed, or job.collateResults is off`);
    }
    const isReading = READING.includes(String(key));
    if (!isReading && key in Array.prototype && !Object.hasOwn(ResultHandle.prototype, key)) return () => this.set();
    const owner = isReading ? this.handle.values() : this.handle;
    const value = Reflect.get(owner, key);
    return typeof value === 'function' ? value.bind(owner) : value;
  }

  /** @param {ResultHandle} target @param {string | symbol} key */
  has(target, key) {
    const index = indexOf(key);
    return index === undefined ? Reflect.has(target, key) : this.store.values.has(index);
  }

  ownKeys() {
    return Reflect.ownKeys(this.handle.values());
  }

  /** @param {ResultHandle} _target @param {string | symbol} key */
  getOwnPropertyDescriptor(_target, key) {
    const descriptor = Reflect.getOwnPropertyDescriptor(this.handle.values(), key);
    if (descriptor && key !== 'length') descriptor.configurable = true;
    return descriptor;
  }

  /** @returns {never} */
  set() {
    throw new TypeError('results cannot be changed; Array.from(results) is a copy that can');
  }

  defineProperty() {
    return this.set();
  }

  deleteProperty() {
    return this.set();
  }

  setPrototypeOf() {
    return this.set();
  }
}

/** @param {string | symbol} key @returns {number | undefined} */
function indexOf(key) {
  return typeof key === 'string' && /^\d+$/.test(key) ? Number(key) : undefined;
}
