/** What Python may do with the JavaScript objects that it holds. */

import { types } from 'node:util';
import {
  Array, ArrayBuffer, Boolean, Function, Number, Object, Reflect, Set, String, Symbol, TypeError,
} from '../protocol/globals.js';
import { copy, found, iteratorOf } from './passing.js';
import { preview } from './references.js';

/** What looking at would only confuse, or throw. */
const HIDDEN = ['constructor', 'arguments', 'caller'];

/** @param {any} target @param {string | number} key @returns {[boolean, any]} */
const property = (target, key) => {
  const object = Object(target);
  const index = place(object, key);
  return [index in object, found(target, object[index])];
};

/** A Map's items are its entries; other objects' are their properties. @param {any} target @param {any} key @returns {[boolean, any]} */
const item = (target, key) =>
  types.isMap(target) ? [target.has(key), found(target, target.get(key))] : property(target, key);

/** @param {any} target */
function names(target) {
  const found = new Set();
  for (let at = Object(target); at && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    Object.getOwnPropertyNames(at).forEach((name) => found.add(name));
  }
  for (const name of HIDDEN) found.delete(name);
  return [...found];
}

/** The index that is meant, which may count from the end. @param {any} object @param {any} key */
const place = (object, key) => (typeof key === 'number' && key < 0 && 'length' in object ? key + object.length : key);

/** @param {any} target @param {any} key @param {any} value */
function assign(target, key, value) {
  const object = Object(target);
  if (!Reflect.set(object, place(object, key), value)) throw new TypeError(`${String(key)} cannot be assigned`);
}

/** Delete a property; return whether there was one. @param {any} target @param {any} key */
function remove(target, key) {
  const object = Object(target);
  const at = place(object, key);
  if (!(at in object)) return false;
  if (Array.isArray(target) && typeof at === 'number') target.splice(at, 1); // no hole: it is Python's `del`
  else if (!Reflect.deleteProperty(object, at)) throw new TypeError(`${String(key)} cannot be deleted`);
  return true;
}

/** Number of items; null if that has no meaning. @param {any} target */
function length(target) {
  const n = target.length ?? target.size;
  return Number.isInteger(n) ? n : null;
}

/** @param {any} target @param {any} item */
function contains(target, item) {
  if (Array.isArray(target) || ArrayBuffer.isView(target)) return /** @type {any} */ (target).includes(item);
  if (typeof target.has === 'function') return Boolean(target.has(item));
  return item in Object(target);
}

/** The methods by the names under which Python calls them. @type {Record<string, (...args: any[]) => any>} */
export const OPERATIONS = {
  property,
  assign,
  remove,
  item,
  assignItem: (target, key, value) => void (types.isMap(target) ? target.set(key, value) : assign(target, key, value)),
  removeItem: (target, key) => (types.isMap(target) ? target.delete(key) : remove(target, key)),
  names,
  length,
  contains,
  /** An iterator of it, of the kind asked for if it has both. */
  iterator(target, isAsync) {
    const object = Object(target);
    const method = isAsync
      ? (object[Symbol.asyncIterator] ?? object[Symbol.iterator])
      : (object[Symbol.iterator] ?? object[Symbol.asyncIterator]);
    if (typeof method === 'function') return iteratorOf(target, method.call(target));
    if (typeof object.next === 'function') return target;
    return null;
  },
  /** End an iterator that may be in the middle of a step: then only its stream can be told. */
  abandon(target, iterator) {
    if (typeof target?.destroy === 'function' && typeof target.pipe === 'function') target.destroy();
    iterator.return?.(); // a promise that is rejected is reported, for nobody else hears of it
  },
  call: (target, self, args) => Reflect.apply(target, self ?? undefined, args),
  construct: (target, args) => Reflect.construct(target, args),
  isInstance: (value, target) => value instanceof target,
  inspect: preview,
  copy: (target) => copy(target),
  /** What it gives may be a promise. */
  dispose(target, isAsync) {
    const { dispose, asyncDispose } = Symbol;
    const [first, second] = isAsync ? [asyncDispose, dispose] : [dispose, asyncDispose];
    const method = target[first] ?? target[second] ?? target.close ?? target.end;
    if (typeof method !== 'function') throw new TypeError(`${preview(target)} has nothing to dispose of`);
    const ended = method.call(target);
    return types.isPromise(ended) ? ended : undefined;
  },
};
