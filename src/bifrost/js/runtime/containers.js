/**
 * Python's lists and dicts as JavaScript's Arrays and objects, where Python sent them as live
 * references: every look at one, and every change to one, goes to Python.
 */

import { Array, Number, Object, Proxy, RangeError, Reflect, String, TypeError } from '../protocol/globals.js';

/** @typedef {import('./streams.js').Ask} Ask */

const INDEX = /^(0|[1-9]\d*)$/;

/** @param {any} value */
const visible = (value) => ({ value, writable: true, enumerable: true, configurable: true });

/**
 * @param {Ask} ask
 * @param {any[]} target an Array, so that `Array.isArray` and `JSON.stringify` take it for one
 * @returns {any} where JavaScript's methods of Arrays work, and Python's of lists that have other names
 */
export function listOver(ask, target) {
  /** @type {any} */
  const proxy = new Proxy(target, {
    get(_, key, receiver) {
      if (typeof key === 'symbol' || key in Array.prototype) {
        return key === 'length' ? ask('length', proxy) : Reflect.get(target, key, receiver);
      }
      const [found, value] = INDEX.test(key) ? ask('item', proxy, Number(key)) : ask('property', proxy, key);
      return found ? value : undefined;
    },
    set(_, key, value) {
      if (key === 'length') ask('setLength', proxy, value);
      else if (typeof key === 'string' && INDEX.test(key)) ask('setItem', proxy, Number(key), value);
      else throw new TypeError(`a Python list has no property ${String(key)} to set`);
      return true;
    },
    has: (_, key) =>
      typeof key === 'string' && INDEX.test(key) ? Number(key) < ask('length', proxy) : Reflect.has(target, key),
    deleteProperty(_, key) {
      if (typeof key === 'string' && INDEX.test(key)) ask('clearItem', proxy, Number(key));
      return true;
    },
    ownKeys: () => [...Array.from({ length: ask('length', proxy) }, (_, index) => `${index}`), 'length'],
    getOwnPropertyDescriptor(_, key) {
      if (key === 'length') return { ...visible(ask('length', proxy)), enumerable: false, configurable: false };
      if (typeof key === 'symbol' || !INDEX.test(key)) return undefined;
      const [found, value] = ask('item', proxy, Number(key));
      return found ? visible(value) : undefined;
    },
    defineProperty(_, key, descriptor) {
      if (!('value' in descriptor)) throw new TypeError('a Python list has values only');
      return Reflect.set(proxy, key, descriptor.value);
    },
    setPrototypeOf: () => false,
    preventExtensions() {
      throw new RangeError('a Python list cannot be frozen');
    },
  });
  return proxy;
}

/**
 * @param {Ask} ask
 * @param {Record<string, any>} target
 * @returns {any} whose properties are the dict's items, and nothing else
 */
export function dictOver(ask, target) {
  /** @type {any} */
  const proxy = new Proxy(target, {
    get(_, key, receiver) {
      if (typeof key === 'symbol') return Reflect.get(target, key, receiver);
      const [found, value] = ask('item', proxy, key);
      return found ? value : Reflect.get(target, key, receiver);
    },
    set(_, key, value) {
      if (typeof key === 'symbol') throw new TypeError('a symbol cannot be a key of a Python dict');
      ask('setItem', proxy, key, value);
      return true;
    },
    has: (_, key) => (typeof key === 'string' && ask('item', proxy, key)[0]) || Reflect.has(Object.prototype, key),
    deleteProperty(_, key) {
      if (typeof key === 'string') ask('deleteItem', proxy, key);
      return true;
    },
    ownKeys: () => ask('keys', proxy),
    getOwnPropertyDescriptor(_, key) {
      if (typeof key === 'symbol') return undefined;
      const [found, value] = ask('item', proxy, key);
      return found ? visible(value) : undefined;
    },
    defineProperty(_, key, descriptor) {
      if (!('value' in descriptor)) throw new TypeError('a Python dict has values only');
      return Reflect.set(proxy, key, descriptor.value);
    },
    setPrototypeOf: () => false,
    preventExtensions() {
      throw new RangeError('a Python dict cannot be frozen');
    },
  });
  return proxy;
}
