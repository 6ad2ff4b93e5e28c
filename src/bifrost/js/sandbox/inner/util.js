/**
 * What `node:util` is to the codec, and to the console: which kind of object something is, and how a
 * value is shown. (`node:util` is this module in the inner realm.)
 */

import { show } from './inspect.js';

const { ArrayBuffer, Boolean, Date, Map, Number, Object, Promise, Reflect, RegExp, Set, SharedArrayBuffer, String, Symbol } =
  globalThis;
const { toString } = Object.prototype;

/** @param {any} prototype @param {string} name */
const getter = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name)?.get;

/**
 * Whether a method that looks for an object's inside finds it.
 * @param {any} method
 * @param {any} value
 * @param {any[]} [args]
 */
function answers(method, value, args = []) {
  try {
    Reflect.apply(method, value, args);
    return true;
  } catch {
    return false;
  }
}

/** @param {any} value */
const tagOf = (value) => Reflect.apply(toString, value, []).slice(8, -1);
/** @param {any} value */
const isObject = (value) => typeof value === 'object' && value !== null;

const mapSize = getter(Map.prototype, 'size');
const setSize = getter(Set.prototype, 'size');
const bufferLength = getter(ArrayBuffer.prototype, 'byteLength');
const sharedLength = getter(SharedArrayBuffer.prototype, 'byteLength');
const getTime = Date.prototype.getTime;
const regexpSource = getter(RegExp.prototype, 'flags');
const { then } = Promise.prototype;
const boxed = [Number.prototype.valueOf, String.prototype.valueOf, Boolean.prototype.valueOf, BigInt.prototype.valueOf];
const symbolValue = Symbol.prototype.valueOf;

/** @type {Record<string, (value: any) => boolean>} */
export const types = {
  isMap: (value) => isObject(value) && tagOf(value) === 'Map' && answers(mapSize, value),
  isSet: (value) => isObject(value) && tagOf(value) === 'Set' && answers(setSize, value),
  isDate: (value) => isObject(value) && tagOf(value) === 'Date' && answers(getTime, value),
  isRegExp: (value) => isObject(value) && tagOf(value) === 'RegExp' && answers(regexpSource, value),
  isNativeError: (value) => isObject(value) && tagOf(value) === 'Error',
  isArgumentsObject: (value) => isObject(value) && tagOf(value) === 'Arguments',
  isAnyArrayBuffer: (value) => isObject(value) && (answers(bufferLength, value) || answers(sharedLength, value)),
  isBoxedPrimitive: (value) =>
    isObject(value) &&
    ['Number', 'String', 'Boolean', 'BigInt', 'Symbol'].includes(tagOf(value)) &&
    (boxed.some((method) => answers(method, value)) || answers(symbolValue, value)),
  isSymbolObject: (value) => isObject(value) && answers(symbolValue, value),
  isModuleNamespaceObject: (value) => isObject(value) && tagOf(value) === 'Module' && !Object.isExtensible(value),
  isPromise: (value) => isObject(value) && value instanceof Promise && answers(then, value, [() => {}, () => {}]),
};

/**
 * @param {any} value
 * @param {{depth?: number | null, breakLength?: number}} [options]
 * @returns {string}
 */
export function inspect(value, options = {}) {
  const { depth = 2, breakLength = 80 } = options;
  return show(value, depth ?? Infinity, breakLength, types);
}
inspect.custom = Symbol.for('nodejs.util.inspect.custom');
