/** What else work functions find that is the web's, and not the language's. */

import {
  Array, ArrayBuffer, Date, Error, JSON, Map, Math, Object, Promise, Reflect, RegExp, Set, String, TypeError, Uint8Array,
} from './globals.js';
import { DOMException } from './events.js';
import { digest, now, random, timeOrigin } from './host.js';
import { TextDecoder, TextEncoder, bytesOf } from './text.js';
import { types } from './util.js';

/** Node's limit, and the web's. */
const MOST_RANDOM = 65536;
/** @type {Record<string, [string, number]>} */
const DIGESTS = { 'SHA-1': ['sha1', 20], 'SHA-256': ['sha256', 32], 'SHA-384': ['sha384', 48], 'SHA-512': ['sha512', 64] };

export const crypto = Object.freeze({
  /** @param {any} array */
  getRandomValues(array) {
    const bytes = bytesOf(array);
    if (!ArrayBuffer.isView(array) || types.isDate(array)) throw new TypeError('getRandomValues needs a typed array');
    if (bytes.length > MOST_RANDOM) throw new DOMException(`more than ${MOST_RANDOM} bytes`, 'QuotaExceededError');
    random(bytes);
    return array;
  },
  randomUUID() {
    const bytes = new Uint8Array(16);
    random(bytes);
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  },
  subtle: Object.freeze({
    /** @param {any} algorithm @param {any} data */
    async digest(algorithm, data) {
      const known = DIGESTS[String(algorithm?.name ?? algorithm).toUpperCase()];
      if (!known) throw new DOMException(`no digest ${String(algorithm?.name ?? algorithm)}`, 'NotSupportedError');
      const target = new Uint8Array(known[1]);
      digest(known[0], bytesOf(data), target);
      return target.buffer;
    },
  }),
});

/** @type {Map<string, number>} */
const marks = new Map();
export const performance = {
  now,
  get timeOrigin() {
    return timeOrigin();
  },
  /** @param {any} name */
  mark(name) {
    marks.set(`${name}`, now());
    return { name: `${name}`, entryType: 'mark', startTime: marks.get(`${name}`), duration: 0 };
  },
  /** @param {any} name @param {any} [start] @param {any} [end] */
  measure(name, start, end) {
    const startTime = marks.get(`${start}`) ?? 0;
    return { name: `${name}`, entryType: 'measure', startTime, duration: (marks.get(`${end}`) ?? now()) - startTime };
  },
  toJSON: () => ({ timeOrigin: timeOrigin() }),
};

export class Blob {
  /** @type {Uint8Array} */
  #bytes;
  /** @type {string} */
  #type;
  /** @param {any} [parts] @param {{type?: any}} [options] */
  constructor(parts = [], { type = '' } = {}) {
    const encoder = new TextEncoder();
    /** @type {Uint8Array[]} */
    const pieces = Array.from(parts, (/** @type {any} */ part) => {
      if (part instanceof Blob) return part.#bytes;
      return ArrayBuffer.isView(part) || types.isAnyArrayBuffer(part) ? bytesOf(part) : encoder.encode(part);
    });
    this.#bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      this.#bytes.set(piece, at);
      at += piece.length;
    }
    this.#type = `${type}`.toLowerCase();
  }
  get size() {
    return this.#bytes.length;
  }
  get type() {
    return this.#type;
  }
  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }
  async bytes() {
    return this.#bytes.slice();
  }
  async text() {
    return new TextDecoder().decode(this.#bytes);
  }
  /** @param {number} [start] @param {number} [end] @param {any} [type] */
  slice(start, end, type = '') {
    return new Blob([this.#bytes.slice(start, end)], { type });
  }
}

/** @param {any} value @param {{transfer?: any[]}} [options] */
export function structuredClone(value, { transfer = [] } = {}) {
  /** @type {Map<any, any>} */
  const done = new Map();
  for (const buffer of transfer) done.set(buffer, /** @type {any} */ (buffer).transfer?.() ?? buffer.slice());
  return clone(value, done);
}

/** @param {any} value @param {Map<any, any>} done @returns {any} */
function clone(value, done) {
  if (typeof value === 'function' || typeof value === 'symbol') refuse(value);
  if (typeof value !== 'object' || value === null) return value;
  if (done.has(value)) return done.get(value);
  const made = emptyCopy(value, done);
  done.set(value, made);
  if (types.isMap(value)) for (const [key, item] of [...value]) made.set(clone(key, done), clone(item, done));
  else if (types.isSet(value)) for (const item of [...value]) made.add(clone(item, done));
  else if (types.isNativeError(value)) {
    for (const key of ['message', 'stack', 'cause']) {
      if (!Object.hasOwn(value, key)) continue;
      Object.defineProperty(made, key, { value: clone(value[key], done), writable: true, configurable: true });
    }
  } else if (Array.isArray(value) || Object.getPrototypeOf(made) === Object.prototype) {
    if (Array.isArray(value)) made.length = value.length;
    for (const key of Object.keys(value)) {
      Object.defineProperty(made, key, { value: clone(value[key], done), writable: true, enumerable: true, configurable: true });
    }
  }
  return made;
}

/** @param {any} value @param {Map<any, any>} done @returns {any} */
function emptyCopy(value, done) {
  if (Array.isArray(value)) return [];
  if (types.isMap(value)) return new Map();
  if (types.isSet(value)) return new Set();
  if (types.isDate(value)) return new Date(value.getTime());
  if (types.isRegExp(value)) return new RegExp(value.source, value.flags);
  if (types.isBoxedPrimitive(value) && !types.isSymbolObject(value)) return Object(value.valueOf());
  if (types.isAnyArrayBuffer(value)) return value.slice();
  if (ArrayBuffer.isView(value)) {
    const kind = /** @type {any} */ (value.constructor);
    const buffer = clone(value.buffer, done);
    return 'length' in value ? new kind(buffer, value.byteOffset, value.length) : new kind(buffer, value.byteOffset, value.byteLength);
  }
  if (types.isNativeError(value)) {
    const kind = /** @type {any} */ (globalThis)[value.name];
    const known = typeof kind === 'function' && kind.prototype instanceof Error ? kind : Error;
    return Reflect.construct(Error, [], known);
  }
  if (value instanceof Promise || types.isSymbolObject(value)) refuse(value);
  return {};
}

/** @param {any} value @returns {never} */
function refuse(value) {
  const name = typeof value === 'function' ? value.name || 'a function' : Object.prototype.toString.call(value);
  throw new DOMException(`${name} could not be cloned.`, 'DataCloneError');
}
