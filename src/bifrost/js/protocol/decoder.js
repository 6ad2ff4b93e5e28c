/** Bytes to values: the reverse of encoder.js, and of Python's `codec.py`. */

import { inspect } from 'node:util';
import {
  Array, BigInt, Buffer, Date, Error, JSON, Map, Number, Object, RangeError, RegExp, Set, String,
} from './globals.js';
import { ProtocolError, PythonError, ShareError } from './errors.js';
import { passedPython } from './stacks.js';
import { Ext } from './messages.js';
import { remember } from './origins.js';
import { Complex, Decimal, Duration } from './types.js';

/**
 * What the decoder needs of its session.
 * @typedef {object} Inward
 * @property {(parts: any[]) => any} array an NDArray or typed array
 * @property {(slot: number, nbytes: number) => Buffer} blob
 * @property {(id: number) => any} home one of our own objects
 * @property {(id: number, kind: string) => any} reference stands for an object of Python's
 * @property {(kind: string, stream: Uint8Array) => any} table
 */

/**
 * Read the value that fills `body`. What JavaScript cannot have does not stop the reading: each
 * array behind it has been given to us, and only what was read can be let go. The first such
 * failure is thrown at the end.
 * @param {Buffer} body
 * @param {Inward} inward
 * @returns {any}
 */
export function decode(body, inward) {
  /** @type {ShareError[]} */
  const failures = [];
  let value;
  try {
    value = new Reader(body, inward, null, failures).whole();
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    throw new ProtocolError(`a value cannot be read: ${/** @type {Error} */ (error).message}`);
  }
  if (failures.length) throw failures[0];
  return value;
}

/** The bodies of a GRAPH and what was read of them. */
class Graph {
  /** @param {Buffer[]} bodies @param {Inward} inward @param {ShareError[]} failures */
  constructor(bodies, inward, failures) {
    this.bodies = bodies;
    this.inward = inward;
    this.failures = failures;
    /** @type {any[]} */
    this.values = [];
    /** @type {boolean[]} */
    this.begun = [];
  }

  /** @param {number} index @returns {any} */
  node(index) {
    if (!Number.isInteger(index) || !Buffer.isBuffer(this.bodies[index])) {
      throw new ProtocolError(`no node ${index}`);
    }
    if (index in this.values) return this.values[index];
    if (this.begun[index]) throw new ProtocolError(`node ${index} is nothing but itself`);
    this.begun[index] = true;
    const reader = new Reader(this.bodies[index], this.inward, this, this.failures);
    // A container is in `values` before its items are read, so that it can be inside itself.
    reader.node = index;
    this.values[index] = reader.whole();
    return this.values[index];
  }
}

class Reader {
  at = 0;
  /** Index of the node whose body this is, until its container has been made. */
  node = -1;

  /** Keys and indices of the containers being read: the path for a failure. @type {any[]} */
  #path = [];

  /** @param {Buffer} buffer @param {Inward} inward @param {Graph | null} graph @param {ShareError[]} failures */
  constructor(buffer, inward, graph, failures) {
    this.buffer = buffer;
    this.inward = inward;
    this.graph = graph;
    this.failures = failures;
  }

  /** The value that fills the buffer. */
  whole() {
    const value = this.value();
    if (this.at !== this.buffer.length) throw new ProtocolError('bytes are left over behind a value');
    return value;
  }

  /** Where we are, as a path. */
  #here() {
    return `$${this.#path.map((step) => (typeof step === 'number' ? `[${step}]` : stepTo(step))).join('')}`;
  }

  /**
   * A container has been made: from now on it can be mentioned.
   * @template T
   * @param {T} container
   * @returns {T}
   */
  #made(container) {
    if (this.node >= 0 && this.graph) {
      this.graph.values[this.node] = container;
      this.node = -1;
    }
    return container;
  }

  /** @returns {any} */
  value() {
    const b = this.buffer;
    if (this.at >= b.length) throw new RangeError('nothing left');
    const tag = b[this.at++];
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#object(tag & 15);
    if (tag < 0xa0) return this.#list(tag & 15);
    if (tag < 0xc0) return this.#string(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    const at = this.at;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#bin(this.#uint(1));
      case 0xc5:
        return this.#bin(this.#uint(2));
      case 0xc6:
        return this.#bin(this.#uint(4));
      case 0xc7:
        return this.#ext(this.#uint(1));
      case 0xc8:
        return this.#ext(this.#uint(2));
      case 0xc9:
        return this.#ext(this.#uint(4));
      case 0xca:
        this.at += 4;
        return b.readFloatBE(at);
      case 0xcb:
        this.at += 8;
        return b.readDoubleBE(at);
      case 0xcc:
        return this.#uint(1);
      case 0xcd:
        return this.#uint(2);
      case 0xce:
        return this.#uint(4);
      case 0xcf:
        this.at += 8;
        return small(b.readBigUInt64BE(at));
      case 0xd0:
        this.at += 1;
        return b.readInt8(at);
      case 0xd1:
        this.at += 2;
        return b.readInt16BE(at);
      case 0xd2:
        this.at += 4;
        return b.readInt32BE(at);
      case 0xd3:
        this.at += 8;
        return small(b.readBigInt64BE(at));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#ext(1 << (tag - 0xd4));
      case 0xd9:
        return this.#string(this.#uint(1));
      case 0xda:
        return this.#string(this.#uint(2));
      case 0xdb:
        return this.#string(this.#uint(4));
      case 0xdc:
        return this.#list(this.#uint(2));
      case 0xdd:
        return this.#list(this.#uint(4));
      case 0xde:
        return this.#object(this.#uint(2));
      case 0xdf:
        return this.#object(this.#uint(4));
    }
    throw new ProtocolError(`no value begins with byte 0x${tag.toString(16)}`);
  }

  /** @param {1 | 2 | 4} size */
  #uint(size) {
    const at = this.at;
    this.at += size;
    if (size === 1) return this.buffer.readUInt8(at);
    return size === 2 ? this.buffer.readUInt16BE(at) : this.buffer.readUInt32BE(at);
  }

  /** Move past `n` bytes and return where they begin. @param {number} n */
  #skip(n) {
    const at = this.at;
    if (at + n > this.buffer.length) throw new RangeError(`${n} bytes announced`);
    this.at += n;
    return at;
  }

  /** @param {number} n bytes */
  #string(n) {
    const at = this.#skip(n);
    const b = this.buffer;
    if (n < 24) {
      // Short ASCII, as keys are, is quicker here than in a call to C++.
      let text = '';
      let i = at;
      for (; i < at + n; i++) {
        const code = b[i];
        if (code >= 128) break;
        text += String.fromCharCode(code);
      }
      if (i === at + n) return text;
    }
    return /** @type {any} */ (b).utf8Slice(at, at + n);
  }

  /** @param {number} n */
  #bin(n) {
    const at = this.#skip(n);
    // A copy: the frame's memory is used again.
    return this.#made(Buffer.from(this.buffer.subarray(at, at + n)));
  }

  /** @param {number} n items */
  #list(n) {
    if (n > this.buffer.length - this.at) throw new RangeError(`${n} items announced`);
    const out = this.#made(new Array(n));
    const path = this.#path;
    const depth = path.push(0) - 1;
    for (let i = 0; i < n; i++) {
      path[depth] = i;
      out[i] = this.value();
    }
    path.pop();
    return out;
  }

  /** @param {number} n entries */
  #object(n) {
    if (n > this.buffer.length - this.at) throw new RangeError(`${n} entries announced`);
    /** @type {Record<string, any>} */
    const out = this.#made({});
    const path = this.#path;
    const depth = path.push('') - 1;
    for (let i = 0; i < n; i++) {
      const key = this.value();
      if (typeof key !== 'string') throw new ProtocolError('a key is not a string');
      path[depth] = key;
      put(out, key, this.value());
    }
    path.pop();
    return out;
  }

  /** A list in an extension's body. @returns {any[]} */
  #parts() {
    const parts = this.value();
    if (!Array.isArray(parts)) throw new ProtocolError('an extension does not hold a list');
    return parts;
  }

  /** @param {number} n bytes */
  #ext(n) {
    const code = this.buffer.readUInt8(this.at++);
    const start = this.#skip(n);
    const end = this.at;
    this.at = start;
    const depth = this.#path.length;
    let value;
    try {
      value = this.#extension(code, start, end);
      // Those that read their body themselves leave `at` where it begins.
      if (this.at !== end && this.at !== start) throw new ProtocolError(`extension ${code} is of another length`);
    } catch (error) {
      if (!(error instanceof ShareError)) throw error;
      this.#path.length = depth;
      this.failures.push(new ShareError(this.#here() + error.path.replace('$', ''), error.kind, error.advice));
    }
    this.at = end;
    return value;
  }

  /**
   * @param {number} code
   * @param {number} start
   * @param {number} end
   * @returns {any}
   */
  #extension(code, start, end) {
    const b = this.buffer;
    const n = end - start;
    const body = () => b.subarray(start, end);
    switch (code) {
      case Ext.UNDEFINED:
        return undefined;
      case Ext.BIGINT: {
        const hex = Buffer.from(body()).reverse().toString('hex');
        return small(BigInt.asIntN(n * 8, BigInt(`0x${hex || '0'}`)));
      }
      case Ext.STR16:
        if (n % 2) throw new ProtocolError('half a character');
        return b.toString('utf16le', start, end);
      case Ext.OBJECT: {
        const out = this.#made({});
        this.#entries((key, value) => put(out, key, value));
        return out;
      }
      case Ext.MAP: {
        const out = this.#made(new Map());
        this.#entries((key, value) => out.set(key, value));
        return out;
      }
      case Ext.SET: {
        const out = this.#made(new Set());
        for (let n = this.#length(); n > 0; n--) out.add(this.value());
        return out;
      }
      case Ext.DATE: {
        const [ms, text] = this.#parts();
        const date = new Date(ms);
        if (text !== null) remember(date, { ms, text });
        return this.#made(date);
      }
      case Ext.DECIMAL:
        return new Decimal(body().toString());
      case Ext.DURATION: {
        const [days, seconds, microseconds] = this.#parts();
        return new Duration(days, seconds, microseconds);
      }
      case Ext.COMPLEX:
        if (n !== 16) throw new ProtocolError('a COMPLEX is 16 bytes');
        return new Complex(b.readDoubleLE(start), b.readDoubleLE(start + 8));
      case Ext.REGEXP: {
        const [source, flags, original] = this.#parts();
        const regexp = toRegExp(source, flags);
        if (original !== null) remember(regexp, original);
        return this.#made(regexp);
      }
      case Ext.ERROR:
        return this.#error();
      case Ext.ARRAY:
        return this.#made(this.inward.array(this.#parts()));
      case Ext.BLOB: {
        const [slot, nbytes] = this.#parts();
        return this.#made(this.inward.blob(slot, nbytes));
      }
      case Ext.TABLE: {
        const [kind, stream] = this.#parts();
        return this.#made(this.inward.table(kind, stream));
      }
      case Ext.CUSTOM: {
        if (this.#length() !== 2) throw new ProtocolError('a CUSTOM is a name and a value');
        const name = this.value();
        const value = this.value();
        if (typeof name !== 'string') throw new ProtocolError('a CUSTOM is a name and a value');
        if (typeof value === 'object' && value !== null) remember(value, name);
        return value;
      }
      case Ext.REFERENCE: {
        const [id, kind] = this.#parts();
        return this.#made(this.inward.reference(id, kind));
      }
      case Ext.HOME:
        return this.inward.home(this.value());
      case Ext.GRAPH:
        return new Graph(this.#parts(), this.inward, this.failures).node(0);
      case Ext.NODE:
        if (!this.graph) throw new ProtocolError('a NODE outside of a GRAPH');
        return this.graph.node(this.value());
    }
    throw new ProtocolError(`unknown extension code ${code}`);
  }

  /** The number of items of the list that begins here. */
  #length() {
    const tag = this.buffer.readUInt8(this.at++);
    if (tag >> 4 === 9) return tag & 15;
    if (tag === 0xdc) return this.#uint(2);
    if (tag === 0xdd) return this.#uint(4);
    throw new ProtocolError('an extension does not hold a list');
  }

  /** @param {(key: any, value: any) => void} put */
  #entries(put) {
    const n = this.#length();
    if (n % 2) throw new ProtocolError('a key without a value');
    const depth = this.#path.push('') - 1;
    for (let i = 0; i < n; i += 2) {
      const key = this.value();
      this.#path[depth] = typeof key === 'string' ? key : inspect(key, { depth: 1 });
      put(key, this.value());
    }
    this.#path.pop();
  }

  #error() {
    // Made before its parts are read: its cause or a property may lead back to it.
    const error = /** @type {any} */ (this.#made(new PythonError('Error', '', '')));
    const { name, message, stack, properties, classes, cause, python, origin } = this.value();
    if (origin instanceof Error) {
      passedPython(origin, stack); // one of our own, coming home
      return origin;
    }
    if (origin !== undefined) remember(error, origin);
    if (typeof name !== 'string' || typeof message !== 'string') throw new ProtocolError('not an error');
    if (!python) {
      const kinds = [name, ...(classes ?? [])].map((kind) => /** @type {any} */ (globalThis)[kind]);
      const kind = kinds.find((kind) => typeof kind === 'function' && kind.prototype instanceof Error);
      Object.setPrototypeOf(error, (kind ?? Error).prototype);
    }
    define(error, 'name', name);
    define(error, 'message', message);
    define(error, 'stack', stack || `${name}: ${message}`);
    if (python) define(error, 'traceback', stack);
    if (cause !== undefined) define(error, 'cause', cause);
    for (const key of Object.keys(properties ?? {})) put(error, key, properties[key]);
    return error;
  }
}

/** @param {object} target @param {string} key @param {any} value */
function define(target, key, value) {
  Object.defineProperty(target, key, { value, writable: true, configurable: true });
}

/** @param {Record<string, any>} target @param {string} key @param {any} value */
function put(target, key, value) {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

/** @param {string} key */
function stepTo(key) {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** @param {string} source @param {string} flags */
function toRegExp(source, flags) {
  try {
    return new RegExp(source, flags);
  } catch (error) {
    throw new ShareError(
      '$',
      're.Pattern',
      `JavaScript has no such regular expression (${/** @type {Error} */ (error).message}): send its text`,
    );
  }
}

/** @param {bigint} value */
function small(value) {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
