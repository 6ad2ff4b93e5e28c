/** Ranges of numbers, as in Python's `ranges.py`: each item is worked out when it is asked for. */

import {
  Array, Boolean, Error, JSON, Math, Number, Object, Proxy, RangeError, Reflect, String, Symbol, TypeError,
} from '../protocol/globals.js';
import { CURVES, newSeed, seedOf } from './distributions.js';

/**
 * What all of them have in common. Items are had by `range[i]` or `range.nthValue(i)`.
 * @abstract
 */
export class SuperRangeObject {
  constructor() {
    return indexed(this);
  }

  /** @returns {number} */
  get length() {
    return 0;
  }

  /** The item at an index; undefined beyond the ends. @param {number} _index @returns {any} */
  nthValue(_index) {
    return undefined;
  }

  *[Symbol.iterator]() {
    for (let index = 0; index < this.length; index++) yield this.nthValue(index);
  }

  toArray() {
    return Array.from(this);
  }

  /** @param {number} [start] @param {number} [end] */
  slice(start, end) {
    return this.toArray().slice(start, end);
  }

  /** @param {(item: any, index: number) => boolean} keep */
  filter(keep) {
    return this.toArray().filter(keep);
  }
}

/** Numbers from `start` to `end`, which is included where a step hits it. */
export class RangeObject extends SuperRangeObject {
  /**
   * @param {number | {start: number, end: number, step?: number, group?: number}} start
   * @param {number} [end]
   * @param {number} [step] 1 if left out, towards the end
   * @param {number} [group] items are Arrays of so many numbers
   */
  constructor(start, end, step, group) {
    super();
    const given = typeof start === 'object' && start !== null ? start : { start, end, step, group };
    this.start = finite('start', given.start);
    this.end = finite('end', given.end);
    const towards = Math.sign(this.end - this.start);
    this.step = given.step === undefined ? towards : finite('step', given.step);
    if (Math.sign(this.step) !== towards) {
      throw new RangeError(`a step of ${this.step} does not lead from ${this.start} to ${this.end}`);
    }
    this.group = given.group;
    if (this.group !== undefined && !(Number.isInteger(this.group) && this.group > 0)) {
      throw new RangeError(`group is a number of items, 1 or more, not ${String(this.group)}`);
    }
  }

  /** How many numbers there are, whatever the groups. */
  get stepCount() {
    return this.step === 0 ? 1 : Math.floor(Math.abs((this.end - this.start) / this.step)) + 1;
  }

  get length() {
    return Math.ceil(this.stepCount / (this.group ?? 1));
  }

  /** The last number. */
  get max() {
    return [this.nthValue(this.length - 1)].flat().at(-1);
  }

  /** Whether the last group is shorter than the others. */
  get hasRemainder() {
    return this.group !== undefined && this.stepCount % this.group !== 0;
  }

  /** @param {number} index @returns {any} */
  nthValue(index) {
    if (!(index >= 0 && index < this.length)) return undefined;
    if (this.group === undefined) return this.start + index * this.step;
    const first = this.group * this.step * index + this.start;
    const length = Math.min(this.group, this.stepCount - index * this.group);
    return Array.from({ length }, (_, place) => first + place * this.step);
  }

  toObject() {
    const { start, end, step, group } = this;
    return { start, end, step, group };
  }

  toString() {
    return `[object RangeObject ${this.start},${this.end},${this.step},${this.group}]`;
  }

  /** @param {any} value */
  static isRangeObject(value) {
    return value instanceof RangeObject;
  }

  /** Whether a range can be made of an object. @param {any} value */
  static isProtoRangelike(value) {
    return typeof value?.start === 'number' && typeof value.end === 'number';
  }
}

/** Numbers by the formula of a distribution; see `distributions.js`. */
export class DistributionRange extends SuperRangeObject {
  /**
   * @param {number} length
   * @param {string} dist
   * @param {number[]} params
   * @param {number | bigint} [seed] one is drawn if left out
   */
  constructor(length, dist, params, seed) {
    super();
    const curve = CURVES[dist];
    if (!curve) throw new TypeError(`no distribution ${dist}; there are ${Object.keys(CURVES).join(', ')}`);
    if (!(Number.isInteger(length) && length >= 0)) {
      throw new RangeError(`the length is a number of items, not ${String(length)}`);
    }
    const given = params.filter((one) => one !== undefined);
    given.forEach((one) => finite('parameter', one));
    if (given.length < curve.needed) throw new TypeError(`${dist} takes ${curve.needed} parameters`);
    this.dist = dist;
    this.params = given;
    this.seed = seed === undefined ? newSeed() : seedOf(seed);
    Object.defineProperty(this, 'length', { value: length, enumerable: true });
  }

  /** @param {number} index */
  nthValue(index) {
    if (!(index >= 0 && index < this.length)) return undefined;
    const { of, defaults } = CURVES[this.dist];
    return of({ index, length: this.length, seed: this.seed }, ...this.params, ...defaults.slice(this.params.length));
  }

  toObject() {
    return { length: this.length, dist: this.dist, params: this.params, seed: this.seed };
  }

  toString() {
    return `[object DistributionRange ${this.dist}(${[this.length, ...this.params].join()})]`;
  }

  /** @param {any} value */
  static isProtoDistribution(value) {
    return typeof value?.length === 'number' && typeof value.dist === 'string' && Array.isArray(value.params);
  }
}

/** Every combination of the items of several ranges: Arrays, the last item changing fastest. */
export class MultiRangeObject extends SuperRangeObject {
  /** @param {...any} ranges ranges, Arrays, or objects to make ranges of; anything else stands for itself */
  constructor(...ranges) {
    super();
    /** @type {any[]} */
    this.ranges = listed(ranges, 'ranges').map((one) => (Array.isArray(one) ? one : (rangeOf(one) ?? [one])));
  }

  get length() {
    return this.ranges.reduce((product, one) => product * one.length, 1);
  }

  /** @param {number} index @returns {any} */
  nthValue(index) {
    if (!(index >= 0 && index < this.length)) return undefined;
    let rest = index;
    return this.ranges
      .toReversed()
      .map((one) => {
        const place = rest % one.length;
        rest = Math.floor(rest / one.length);
        return one[place];
      })
      .reverse();
  }

  get hasRemainder() {
    return this.ranges.some((one) => one.hasRemainder);
  }

  toObject() {
    return { ranges: this.ranges };
  }

  toString() {
    return `[object MultiRangeObject ${this.ranges.length}]`;
  }

  /** @param {any} value */
  static isProtoMultiRangelike(value) {
    return Array.isArray(value?.ranges) && !value.sparse;
  }
}

/** Several ranges, one after the other. */
export class SparseRangeObject extends SuperRangeObject {
  /** @param {...any} ranges */
  constructor(...ranges) {
    super();
    this.sparse = true;
    /** @type {any[]} */
    this.ranges = listed(ranges, 'sparse').map((one) => (Array.isArray(one) ? one : (rangeOf(one) ?? [one])));
  }

  get length() {
    return this.ranges.reduce((sum, one) => sum + one.length, 0);
  }

  /** @param {number} index @returns {any} */
  nthValue(index) {
    if (!(index >= 0)) return undefined;
    let rest = index;
    for (const one of this.ranges) {
      if (rest < one.length) return one[rest];
      rest -= one.length;
    }
    return undefined;
  }

  toObject() {
    return { sparse: true, ranges: this.ranges };
  }

  toString() {
    return `[object SparseRangeObject ${this.ranges.length}]`;
  }

  /** @param {any} value */
  static isProtoSparseRangelike(value) {
    return typeof value === 'object' && value !== null && Boolean(value.sparse);
  }
}

/**
 * The range that a plain object describes, or a range itself; undefined of anything else.
 * @param {any} value
 * @returns {any}
 */
export function rangeOf(value) {
  if (value instanceof SuperRangeObject) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const proto = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && proto !== null) return undefined; // it is something else, say of Python's
  if (SparseRangeObject.isProtoSparseRangelike(value)) return new SparseRangeObject(value);
  if (MultiRangeObject.isProtoMultiRangelike(value)) return new MultiRangeObject(value);
  if (DistributionRange.isProtoDistribution(value)) {
    return new DistributionRange(value.length, value.dist, value.params, value.seed);
  }
  return RangeObject.isProtoRangelike(value) ? new RangeObject(value) : undefined;
}

/** The same, of an object or its JSON. @param {any} value */
export function rehydrateRange(value) {
  const range = rangeOf(typeof value === 'string' ? JSON.parse(value) : value);
  if (!range) throw new Error('no range can be made of this');
  return range;
}

/** The arguments of a constructor: several, one Array, or one object that has them. @param {any[]} args @param {string} key */
function listed(args, key) {
  const [only] = args;
  if (args.length !== 1) return args;
  if (Array.isArray(only)) return only;
  if (only instanceof SuperRangeObject) return args;
  return [only?.[key], only?.ranges].find(Array.isArray) ?? args;
}

/** @param {string} what @param {any} value @returns {number} */
function finite(what, value) {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new TypeError(`${what} is a finite number, not ${String(value)}`);
}

/** Gives a range its items by index. @template {SuperRangeObject} T @param {T} range @returns {T} */
function indexed(range) {
  return new Proxy(range, {
    get(target, key, receiver) {
      const index = typeof key === 'string' && /^\d+$/.test(key) ? Number(key) : -1;
      return index < 0 ? Reflect.get(target, key, receiver) : target.nthValue(index);
    },
  });
}
