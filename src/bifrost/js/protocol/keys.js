/** Keys of Maps and items of Sets: Python must be able to hash them, and to tell them apart. */

import { inspect, types } from 'node:util';
import { Array, ArrayBuffer, BigInt, Buffer, JSON, Map, Number, Object, Set, String } from './globals.js';
import { NDArray } from './arrays.js';
import { ShareError } from './errors.js';
import { Complex, Decimal, Duration } from './types.js';

/** Whether a prototype is that of the plain objects of another realm. @param {any} proto */
export function isOtherPlain(proto) {
  return proto.constructor?.name === 'Object' && Object.getPrototypeOf(proto) === null;
}

/** Whether Python can hash what an object becomes there. @param {object} key no Array */
export function canBeKey(key) {
  if (Buffer.isBuffer(key)) return true;
  if (ArrayBuffer.isView(key) || key instanceof NDArray || types.isMap(key)) return false;
  const proto = Object.getPrototypeOf(key);
  return proto !== Object.prototype && proto !== null && !isOtherPlain(proto);
}

/**
 * The same text for keys that are equal in Python; undefined where that cannot be.
 * @param {any} key
 * @param {Map<any, number>} numbers of the things that have no text
 * @returns {string | undefined}
 */
function nameInPython(key, numbers) {
  if (typeof key === 'boolean') return `${Number(key)}`;
  if (typeof key === 'number') return Number.isInteger(key) ? `${BigInt(key)}` : `${key}`;
  if (typeof key === 'bigint') return `${key}`;
  if (typeof key === 'string') return JSON.stringify(key);
  if (typeof key !== 'object' || key === null) return undefined;
  if (Array.isArray(key)) return `[${key.map((part) => nameInPython(part, numbers) ?? numberOf(part, numbers))}]`;
  if (types.isDate(key)) return `Date ${key.getTime()}`;
  if (Buffer.isBuffer(key)) return `bytes ${key.toString('hex')}`;
  if (types.isAnyArrayBuffer(key)) return nameInPython(Buffer.from(key), numbers);
  if (types.isBoxedPrimitive(key) && !types.isSymbolObject(key)) return nameInPython(key.valueOf(), numbers);
  if (key instanceof Decimal || key instanceof Duration || key instanceof Complex) return inspect(key);
  if (types.isSet(key)) return `Set ${[...key].map((part) => nameInPython(part, numbers) ?? numberOf(part, numbers)).sort()}`;
  return undefined;
}

/** Tells apart, within one container, what has no text. @param {any} value @param {Map<any, number>} numbers */
function numberOf(value, numbers) {
  if (value === null || value === undefined) return String(value);
  let number = numbers.get(value);
  if (number === undefined) numbers.set(value, (number = numbers.size));
  return `#${number}`;
}

/**
 * Keys that are apart in JavaScript may be equal in Python, where one would be lost.
 * @param {string} kind
 * @param {Iterable<any>} keys
 */
export function distinguish(kind, keys) {
  const others = [];
  for (const key of keys) if (typeof key !== 'string') others.push(key);
  if (others.length < 2 || others.every((key) => typeof key === 'number')) return;
  const seen = new Set();
  const numbers = new Map();
  for (const key of others) {
    const name = nameInPython(key, numbers);
    if (name !== undefined && seen.size === seen.add(name).size) {
      throw new ShareError(
        '',
        kind,
        `two of its keys are equal in Python (${inspect(key)}, as 1, 1n and true are): send an Array`,
      );
    }
  }
}
