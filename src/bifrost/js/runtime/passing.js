/** How a value is passed where that is not left to its type: by reference, by value, for good. */

import { types } from 'node:util';
import {
  Array, ArrayBuffer, Map, Object, Set, String, Symbol, TypeError, Uint8Array, WeakSet, structuredClone,
} from '../protocol/globals.js';
import { NDArray } from '../protocol/arrays.js';
import { ByReference } from '../protocol/encoder.js';
import { ShareError } from '../protocol/errors.js';

/** Arrays and objects that Python works on themselves, and what is inside them. @type {WeakSet<object>} */
const live = new WeakSet();

/**
 * Pass plain data by reference: Python works on this very Array or object.
 * @param {any} value
 */
export function proxy(value) {
  if (Object(value) !== value) throw new TypeError(`${String(value)} cannot change: there is nothing to refer to`);
  live.add(value);
  return new ByReference(value);
}

/** Something found in an object: what is inside a live Array or object is live as well. @param {any} owner @param {any} value */
export function found(owner, value) {
  return Object(owner) === owner && live.has(owner) && isContainer(value) ? proxy(value) : value;
}

/** An iterator of a live Array gives live items. @param {any} owner @param {any} iterator */
export function iteratorOf(owner, iterator) {
  if (Array.isArray(owner) && live.has(owner)) live.add(iterator);
  return iterator;
}

/** @param {any} value */
function isContainer(value) {
  if (typeof value !== 'object' || value === null) return false;
  const proto = Object.getPrototypeOf(value);
  return Array.isArray(value) || proto === Object.prototype || proto === null || types.isMap(value) || types.isSet(value);
}

/**
 * Plain data with what an object holds: its own fields as an object (functions among them are left
 * out), an iterable as an Array; what is inside them likewise.
 * @param {any} value
 * @param {Map<object, any>} [known]
 * @returns {any}
 */
export function copy(value, known = new Map()) {
  if (typeof value === 'function') throw new ShareError('$', 'a function', 'it has no value to copy');
  if (typeof value !== 'object' || value === null || types.isNativeError(value) || types.isDate(value)) return value;
  const before = known.get(value);
  if (before !== undefined) return before;
  if (ArrayBuffer.isView(value) || value instanceof NDArray) return value;
  if (types.isMap(value)) {
    const out = new Map();
    known.set(value, out);
    for (const [key, item] of value) out.set(copy(key, known), copy(item, known));
    return out;
  }
  if (types.isSet(value)) {
    const out = new Set();
    known.set(value, out);
    for (const item of value) out.add(copy(item, known));
    return out;
  }
  if (typeof value[Symbol.iterator] === 'function') {
    /** @type {any[]} */
    const out = [];
    known.set(value, out);
    for (const item of value) out.push(copy(item, known));
    return out;
  }
  const fields = Object.entries(value).filter(([, item]) => typeof item !== 'function');
  if (!fields.length) {
    if (typeof value.toJSON === 'function') return value.toJSON(); // a URL, say: its state is hidden
    if (types.isPromise(value) || types.isWeakMap(value) || types.isWeakSet(value) || types.isRegExp(value)) {
      if (types.isRegExp(value)) return value;
      throw new ShareError('$', `a ${value.constructor.name}`, 'it has no fields to copy');
    }
  }
  /** @type {Record<string, any>} */
  const out = {};
  known.set(value, out);
  for (const [key, item] of fields) out[key] = copy(item, known);
  return out;
}

/**
 * Hand an array over: its contents in shared memory that Python gets as it lies. The array itself is
 * detached, unless its memory is shared already.
 * @param {import('./memory.js').Memory} memory
 * @param {any} value
 * @returns {any}
 */
export function transfer(memory, value) {
  if (value instanceof NDArray) {
    const data = value.typedArray;
    return memory.isShared(data.buffer) ? value : new NDArray(transfer(memory, data), [...value.shape], value.kind);
  }
  const isBuffer = types.isAnyArrayBuffer(value);
  if (!isBuffer && !ArrayBuffer.isView(value)) throw new TypeError('what can be handed over is an array or an ArrayBuffer');
  const buffer = isBuffer ? value : value.buffer;
  if (memory.isShared(buffer)) return value;
  const bytes = isBuffer ? new Uint8Array(value) : new Uint8Array(buffer, value.byteOffset, value.byteLength);
  const { length } = bytes; // none is left in what has been detached
  const moved = memory.allocate(length);
  new Uint8Array(moved).set(bytes);
  if (types.isArrayBuffer(buffer)) structuredClone(buffer, { transfer: [buffer] }); // detaches it
  if (isBuffer) return new Uint8Array(moved);
  const Type = /** @type {any} */ (value).constructor;
  return new Type(moved, 0, length / (Type.BYTES_PER_ELEMENT ?? 1));
}
