/**
 * Values to bytes: MessagePack, and extension codes for what it has no word for. The bytes are
 * written straight behind the room for a frame's header.
 */

import { inspect, types } from 'node:util';
import {
  Array, ArrayBuffer, BigInt, Buffer, Error, Float64Array, JSON, Map, Math, Number, Object, RangeError, Set,
  String, Symbol, Uint8Array,
} from './globals.js';
import { NDArray } from './arrays.js';
import { ShareError } from './errors.js';
import { HEADER_SIZE } from './framing.js';
import { Ext } from './messages.js';
import { known, originOf } from './origins.js';
import { Complex, Decimal, Duration } from './types.js';

/** Byte strings from this length on go through shared memory instead of the pipe. */
export const BLOB_SIZE = 2 ** 16;
/** Python's reader gives up a little deeper than this. */
const DEEPEST = 900;
/** An extension costs Python's stack as much as this many levels of Arrays. */
const EXT_DEPTH = 8;
/** Longer arrays may be all holes. */
const SPARSE_FROM = 2 ** 24;

/**
 * What the encoder needs of its session.
 * @typedef {object} Outward
 * @property {(value: NDArray | import('./arrays.js').TypedArray | DataView) => any} array
 *   the parts of an ARRAY; or bytes to put in its place
 * @property {(data: Uint8Array) => [number, number]} blob
 * @property {(value: any) => {reference: [number, string]}} reference lends a value
 * @property {(value: any) => number | undefined} home id of the Python object that a value stands for
 * @property {(value: object) => string | undefined} customName name of a registered class
 * @property {(value: any) => Uint8Array | undefined} tableStream Arrow IPC stream of a table
 * @property {(error: any) => string} stack an error's stack without Bifrost's frames
 */

/** A value that is to be sent as a reference, whatever it is. */
export class ByReference {
  /** @param {any} value */
  constructor(value) {
    this.value = value;
  }
}

/** Writes one value. */
export class Encoder {
  #buffer = Buffer.allocUnsafeSlow(4096);
  #at = HEADER_SIZE;
  #depth = 0;
  /** @type {Set<object>} */
  #seen = new Set();
  /** @type {Set<object>} */
  #repeated = new Set();
  /** Index of each shared container, in the second pass. @type {Map<object, number> | null} */
  #nodes = null;
  /** @type {object[]} */
  #queue = [];

  /** Whether a value is being written: a getter in it may want to write another. */
  busy = false;

  /** @param {Outward} outward */
  constructor(outward) {
    this.outward = outward;
  }

  /**
   * The bytes of a value, with room for a frame's header before them, and `prefix` in between;
   * valid until the next call.
   * @param {any} value
   * @param {() => void} [undo] called before a second pass: take back what was shared
   * @param {Uint8Array} [prefix]
   */
  encode(value, undo = () => {}, prefix) {
    this.busy = true;
    numbers.clear();
    this.#at = HEADER_SIZE;
    if (prefix) this.#bytes(prefix);
    const start = this.#at;
    try {
      this.#value(value);
      if (this.#repeated.size) {
        undo();
        this.#at = start;
        this.#graph(value);
      }
      return this.#buffer.subarray(0, this.#at);
    } catch (error) {
      undo();
      if (error instanceof ShareError) {
        throw new ShareError(`$${error.path}`, error.kind, error.advice);
      }
      throw error;
    } finally {
      this.#seen.clear();
      this.#repeated.clear();
      this.#nodes = null;
      this.#queue = [];
      numbers.clear();
      this.#opening = this.#inside = null;
      this.#depth = 0;
      this.busy = false;
      if (this.#buffer.length > 2 ** 20) this.#buffer = Buffer.allocUnsafeSlow(4096);
    }
  }

  // -- bytes

  /** @param {number} n make room for n more bytes */
  #room(n) {
    if (this.#at + n <= this.#buffer.length) return;
    const next = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + n + 64));
    this.#buffer.copy(next, 0, 0, this.#at);
    this.#buffer = next;
  }

  /** @param {number} byte */
  #byte(byte) {
    this.#room(1);
    this.#buffer[this.#at++] = byte;
  }

  /** @param {number} tag @param {number} n */
  #tag32(tag, n) {
    this.#room(5);
    const b = this.#buffer;
    b[this.#at] = tag;
    b.writeUInt32BE(n, this.#at + 1);
    this.#at += 5;
  }

  /** @param {Uint8Array} data */
  #bytes(data) {
    this.#room(data.length);
    this.#buffer.set(data, this.#at);
    this.#at += data.length;
  }

  /** @param {Uint8Array} data */
  #bin(data) {
    this.#tag32(0xc6, data.length);
    this.#bytes(data);
  }

  /**
   * An extension whose body `write` writes; its length is filled in afterwards.
   * @param {number} code
   * @param {() => void} write
   */
  #ext(code, write) {
    this.#room(6);
    const head = this.#at;
    this.#buffer[head] = 0xc9;
    this.#buffer[head + 5] = code;
    this.#at += 6;
    this.#depth += EXT_DEPTH;
    write();
    this.#depth -= EXT_DEPTH;
    this.#buffer.writeUInt32BE(this.#at - head - 6, head + 1);
  }

  /** @param {number} n */
  #array(n) {
    if (n < 16) this.#byte(0x90 | n);
    else this.#tag32(0xdd, n);
  }

  // -- values

  /** @param {any} value */
  #value(value) {
    switch (typeof value) {
      case 'number':
        this.#number(value);
        break;
      case 'string':
        this.#string(value);
        break;
      case 'boolean':
        this.#byte(value ? 0xc3 : 0xc2);
        break;
      case 'undefined':
        this.#ext(Ext.UNDEFINED, () => {});
        break;
      case 'bigint':
        this.#bigint(value);
        break;
      case 'object':
        if (value === null) this.#byte(0xc0);
        else this.#object(value);
        break;
      default:
        this.#reference(value);
    }
  }

  /** @param {number} value */
  #number(value) {
    this.#room(9);
    const b = this.#buffer;
    const at = this.#at;
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      b[at] = 0xcb;
      b.writeDoubleBE(value, at + 1);
      this.#at += 9;
    } else if (value >= 0) {
      if (value < 128) {
        b[at] = value;
        this.#at += 1;
      } else if (value < 2 ** 32) {
        b[at] = 0xce;
        b.writeUInt32BE(value, at + 1);
        this.#at += 5;
      } else {
        b[at] = 0xcf;
        b.writeUInt32BE(Math.floor(value / 2 ** 32), at + 1);
        b.writeUInt32BE(value % 2 ** 32, at + 5);
        this.#at += 9;
      }
    } else if (value >= -32) {
      b[at] = value & 0xff;
      this.#at += 1;
    } else if (value >= -(2 ** 31)) {
      b[at] = 0xd2;
      b.writeInt32BE(value, at + 1);
      this.#at += 5;
    } else {
      b[at] = 0xd3;
      b.writeBigInt64BE(BigInt(value), at + 1);
      this.#at += 9;
    }
  }

  /** @param {number} value */
  #double(value) {
    this.#room(9);
    this.#buffer[this.#at] = 0xcb;
    this.#buffer.writeDoubleBE(value, this.#at + 1);
    this.#at += 9;
  }

  /** @param {bigint} value */
  #bigint(value) {
    this.#room(9);
    if (BigInt.asIntN(64, value) === value) {
      this.#buffer[this.#at] = 0xd3;
      this.#buffer.writeBigInt64BE(value, this.#at + 1);
      this.#at += 9;
    } else if (BigInt.asUintN(64, value) === value) {
      this.#buffer[this.#at] = 0xcf;
      this.#buffer.writeBigUInt64BE(value, this.#at + 1);
      this.#at += 9;
    } else {
      this.#ext(Ext.BIGINT, () => {
        // Two's complement in as many bytes as its digits need, and one for the sign.
        const digits = (value < 0n ? -value : value).toString(16).length;
        const size = (digits >> 1) + 2;
        const hex = BigInt.asUintN(size * 8, value).toString(16).padStart(size * 2, '0');
        this.#bytes(Buffer.from(hex, 'hex').reverse());
      });
    }
  }

  /** @param {string} value */
  #string(value) {
    const n = value.length;
    if (n < 32) {
      this.#room(n + 1);
      const b = this.#buffer;
      let at = this.#at + 1;
      let i = 0;
      for (; i < n; i++) {
        const code = value.charCodeAt(i);
        if (code >= 128) break;
        b[at++] = code;
      }
      if (i === n) {
        b[this.#at] = 0xa0 | n;
        this.#at = at;
        return;
      }
    }
    if (!isWellFormed(value)) {
      this.#ext(Ext.STR16, () => this.#bytes(Buffer.from(value, 'utf16le')));
      return;
    }
    this.#room(5 + n * 3);
    const written = /** @type {any} */ (this.#buffer).utf8Write(value, this.#at + 5);
    this.#buffer[this.#at] = 0xdb;
    this.#buffer.writeUInt32BE(written, this.#at + 1);
    this.#at += 5 + written;
  }

  /** @param {any} value anything that stays here */
  #reference(value) {
    const home = this.outward.home(value);
    if (home === undefined) {
      const { reference } = this.outward.reference(value);
      this.#ext(Ext.REFERENCE, () => this.#items(reference));
    } else {
      this.#ext(Ext.HOME, () => this.#number(home));
    }
  }

  /** @param {object} value */
  #object(value) {
    const home = this.outward.home(value); // first: the questions below would go to Python
    if (home !== undefined) {
      this.#ext(Ext.HOME, () => this.#number(home));
      return;
    }
    const proto = Object.getPrototypeOf(value);
    if (known.types && value !== this.#inside) {
      // It goes home as the registered type it came as, if it did.
      const origin = originOf(value);
      if (typeof origin === 'string') {
        this.#once(value, () => {
          this.#custom(origin, () => {
            this.#inside = value;
            this.#value(value);
            this.#inside = null;
          });
        });
        return;
      }
    }
    if (proto === Object.prototype) {
      // `Math`, `JSON` and the like look plain, but have a tag: their contents are not data.
      if (Symbol.toStringTag in value) this.#reference(value);
      else if (types.isArgumentsObject(value)) {
        this.#once(value, () => this.#list(Array.from(/** @type {any} */ (value))));
      } else this.#once(value, () => this.#plain(value));
    } else if (Array.isArray(value)) this.#once(value, () => this.#list(value));
    else if (Buffer.isBuffer(value)) this.#buffered(value);
    else if (ArrayBuffer.isView(value)) this.#once(value, () => this.#typed(/** @type {any} */ (value)));
    else if (proto === null) {
      if (types.isModuleNamespaceObject(value)) this.#reference(value);
      else this.#once(value, () => this.#plain(value));
    } else if (value instanceof NDArray) this.#once(value, () => this.#typed(value));
    else if (types.isMap(value)) this.#once(value, () => this.#map(value));
    else if (types.isSet(value)) this.#once(value, () => this.#set(value));
    else if (types.isDate(value)) this.#date(value);
    else if (types.isRegExp(value)) this.#regexp(value);
    else if (types.isNativeError(value) || value instanceof Error) {
      this.#once(value, () => this.#error(/** @type {Error} */ (value)));
    } else if (types.isAnyArrayBuffer(value)) this.#buffered(new Uint8Array(value));
    else if (value instanceof Decimal) this.#ext(Ext.DECIMAL, () => this.#bytes(Buffer.from(value.text)));
    else if (value instanceof Duration) {
      this.#ext(Ext.DURATION, () => this.#items([value.days, value.seconds, value.microseconds]));
    } else if (value instanceof Complex) {
      this.#ext(Ext.COMPLEX, () => {
        this.#bytes(new Uint8Array(new Float64Array([value.re, value.im]).buffer));
      });
    } else if (types.isBoxedPrimitive(value) && !types.isSymbolObject(value)) this.#value(value.valueOf());
    else if (isOtherPlain(proto)) this.#once(value, () => this.#plain(value));
    else if (value instanceof ByReference) this.#reference(value.value);
    else this.#instance(value);
  }

  /** @param {any} value an instance of some class */
  #instance(value) {
    const name = this.outward.customName(value);
    if (name !== undefined) {
      this.#once(value, () => this.#custom(name, () => this.#plain(value)));
      return;
    }
    const stream = this.outward.tableStream(value);
    if (stream === undefined) {
      this.#reference(value);
      return;
    }
    this.#once(value, () => {
      this.#ext(Ext.TABLE, () => {
        this.#array(2);
        this.#string('');
        this.#buffered(stream);
      });
    });
  }

  /** @param {string} name of a registered type @param {() => void} write */
  #custom(name, write) {
    this.#ext(Ext.CUSTOM, () => {
      this.#array(2);
      this.#string(name);
      write();
    });
  }

  /** The value that a CUSTOM is about to hold: here it is itself. @type {object | null} */
  #inside = null;

  /** @param {RegExp} value */
  #regexp(value) {
    const { source, flags } = value;
    if (flags.includes('v') || /\\[pP]\{/.test(source)) {
      this.#reference(value); // Python knows neither sets of sets nor Unicode's properties
      return;
    }
    this.#ext(Ext.REGEXP, () => {
      this.#array(3);
      this.#string(source);
      this.#string(flags);
      const original = originOf(value);
      if (original) this.#plainItems(original);
      else this.#byte(0xc0);
    });
  }

  /**
   * Write a thing with an identity: in place, or as a node if it occurs again.
   * @param {object} value
   * @param {() => void} write
   */
  #once(value, write) {
    if (value === this.#inside) {
      this.#inside = null;
      write();
      return;
    }
    if (this.#nodes === null) {
      if (this.#seen.has(value)) {
        this.#repeated.add(value);
        this.#byte(0xc0);
        return;
      }
      this.#seen.add(value);
    } else {
      let index = this.#nodes.get(value);
      if (value === this.#opening) this.#opening = null;
      else if (index !== undefined) {
        if (index < 0) {
          index = this.#queue.push(value);
          this.#nodes.set(value, index);
        }
        this.#ext(Ext.NODE, () => this.#number(/** @type {number} */ (index)));
        return;
      }
    }
    if (++this.#depth > DEEPEST) {
      throw new ShareError('', 'a value', 'it is nested too deep: flatten it');
    }
    write();
    this.#depth--;
  }

  /** The second pass: each repeated container is a body of its own. @param {any} root */
  #graph(root) {
    this.#nodes = new Map(Array.from(this.#repeated, (value) => [value, -1]));
    this.#ext(Ext.GRAPH, () => {
      const count = this.#at + 1;
      this.#tag32(0xdd, 0);
      this.#body(root);
      for (let i = 0; i < this.#queue.length; i++) {
        this.#opening = this.#queue[i];
        this.#body(this.#queue[i]);
      }
      this.#buffer.writeUInt32BE(this.#queue.length + 1, count);
    });
  }

  /** The node whose body is about to be written: here it is itself, and not a mention of it. @type {object | null} */
  #opening = null;

  /** @param {any} value */
  #body(value) {
    this.#tag32(0xc6, 0);
    const start = this.#at;
    this.#depth = 0;
    this.#value(value);
    this.#buffer.writeUInt32BE(this.#at - start, start - 4);
  }

  /** @param {ArrayLike<any>} values plain, small */
  #items(values) {
    this.#array(values.length);
    for (let i = 0; i < values.length; i++) this.#value(values[i]);
  }

  /** @param {any[]} value */
  #list(value) {
    const n = value.length;
    if (n > SPARSE_FROM && Object.keys(value).length * 4 < n) {
      throw new ShareError('', `a sparse Array of length ${n}`, 'send a Map of its items');
    }
    this.#array(n);
    let i = 0;
    try {
      for (; i < n; i++) this.#value(value[i]);
    } catch (error) {
      throw within(error, `[${i}]`);
    }
  }

  /** @param {any} value */
  #plain(value) {
    const keys = Object.keys(value);
    for (const key of keys) {
      // An object with methods is no data: it stays whole, and here.
      if (typeof value[key] === 'function') {
        this.#reference(value);
        return;
      }
    }
    this.#entries(keys, (key) => value[key]);
  }

  /** @param {string[]} keys @param {(key: string) => any} get */
  #entries(keys, get) {
    const wellFormed = keys.every(isWellFormed);
    const write = () => {
      let i = 0;
      try {
        for (; i < keys.length; i++) {
          this.#string(keys[i]);
          this.#value(get(keys[i]));
        }
      } catch (error) {
        throw within(error, /^[A-Za-z_$][\w$]*$/.test(keys[i]) ? `.${keys[i]}` : `[${JSON.stringify(keys[i])}]`);
      }
    };
    if (!wellFormed) {
      this.#ext(Ext.OBJECT, () => {
        this.#array(keys.length * 2);
        write();
      });
      return;
    }
    if (keys.length < 16) this.#byte(0x80 | keys.length);
    else this.#tag32(0xdf, keys.length);
    write();
  }

  /** @param {Map<any, any>} value */
  #map(value) {
    this.#distinct('Map', value.keys());
    this.#ext(Ext.MAP, () => {
      this.#array(value.size * 2);
      for (const [key, item] of value) {
        try {
          this.#key(key);
          this.#value(item);
        } catch (error) {
          throw within(error, `.get(${inspect(key, { depth: 1, breakLength: Infinity })})`);
        }
      }
    });
  }

  /** @param {Set<any>} value */
  #set(value) {
    this.#distinct('Set', value.keys());
    this.#ext(Ext.SET, () => {
      this.#array(value.size);
      let i = 0;
      for (const item of value) {
        try {
          this.#key(item);
        } catch (error) {
          throw within(error, `{${i}}`);
        }
        i++;
      }
    });
  }

  /**
   * Keys that are apart in JavaScript may be equal in Python, where one would be lost.
   * @param {string} kind
   * @param {Iterable<any>} keys
   */
  #distinct(kind, keys) {
    const others = [];
    for (const key of keys) if (typeof key !== 'string') others.push(key);
    if (others.length < 2 || others.every((key) => typeof key === 'number')) return;
    const seen = new Set();
    for (const key of others) {
      const name = nameInPython(key);
      if (name !== undefined && seen.size === seen.add(name).size) {
        throw new ShareError(
          '',
          kind,
          `two of its keys are equal in Python (${inspect(key)}, as 1, 1n and true are): send an Array`,
        );
      }
    }
  }

  /** @param {any} key of a Map or item of a Set: Python must be able to hash it */
  #key(key) {
    if (typeof key === 'object' && key !== null) {
      if (Array.isArray(key)) {
        this.#array(key.length);
        for (const part of key) this.#key(part);
        return;
      }
      if (!canBeKey(key)) {
        throw new ShareError(
          '',
          'an object as key',
          'Python needs keys and set items that cannot change: use a string, or an Array of pairs',
        );
      }
    }
    this.#value(key);
  }

  /** @param {Date} value */
  #date(value) {
    const ms = value.getTime();
    const origin = /** @type {any} */ (originOf(value));
    // Unchanged, it goes home with the zone and microseconds it came with.
    const text = origin && Object.is(origin.ms, ms) ? origin.text : null;
    this.#ext(Ext.DATE, () => {
      this.#array(2);
      this.#double(ms);
      this.#value(text);
    });
  }

  /** @param {Error & Record<string, any>} error */
  #error(error) {
    const own = Object.keys(error).filter(
      (key) => !['name', 'stack', 'message', 'cause'].includes(key) && typeof error[key] !== 'function',
    );
    if (Array.isArray(error.errors) && !own.includes('errors')) own.push('errors'); // AggregateError
    const { cause } = error;
    this.#ext(Ext.ERROR, () => {
      this.#byte(0x80 | (cause === undefined ? 5 : 6));
      const texts = { name: error.name, message: error.message, stack: this.outward.stack(error) };
      for (const [key, text] of Object.entries(texts)) {
        this.#string(key);
        this.#string(String(text));
      }
      this.#string('properties');
      this.#entries(own, (key) => error[key]);
      // The Python exception that it was, or this very object: so that it can come home as itself.
      this.#string('origin');
      this.#reference(originOf(error) ?? error);
      if (cause === undefined) return;
      this.#string('cause');
      try {
        this.#value(cause);
      } catch (failure) {
        throw within(failure, '.cause');
      }
    });
  }

  /** @param {Uint8Array} value */
  #buffered(value) {
    if (value.length < BLOB_SIZE) this.#bin(value);
    else this.#ext(Ext.BLOB, () => this.#items(this.outward.blob(value)));
  }

  /** @param {any} value */
  #typed(value) {
    const parts = this.outward.array(value);
    this.#ext(Ext.ARRAY, () => {
      if (parts instanceof Uint8Array) this.#bin(parts);
      else this.#plainItems(parts);
    });
  }

  /** @param {any[]} parts written without looking for repetitions */
  #plainItems(parts) {
    this.#array(parts.length);
    for (const part of parts) this.#plainPart(part);
  }

  /** @param {any} part */
  #plainPart(part) {
    if (Array.isArray(part)) {
      this.#plainItems(part);
    } else if (typeof part === 'object' && part !== null) {
      const entries = Object.entries(part);
      this.#byte(0x80 | entries.length);
      for (const [key, item] of entries) {
        this.#string(key);
        this.#plainPart(item);
      }
    } else {
      this.#value(part);
    }
  }
}

/** Whether a prototype is that of the plain objects of another realm. @param {any} proto */
function isOtherPlain(proto) {
  return proto.constructor?.name === 'Object' && Object.getPrototypeOf(proto) === null;
}

/** Whether Python can hash what an object becomes there. @param {object} key no Array */
function canBeKey(key) {
  if (Buffer.isBuffer(key)) return true;
  if (ArrayBuffer.isView(key) || key instanceof NDArray || types.isMap(key)) return false;
  const proto = Object.getPrototypeOf(key);
  return proto !== Object.prototype && proto !== null && !isOtherPlain(proto);
}

/**
 * The same text for keys that are equal in Python; undefined where that cannot be.
 * @param {any} key
 * @returns {string | undefined}
 */
function nameInPython(key) {
  if (typeof key === 'boolean') return `${Number(key)}`;
  if (typeof key === 'number') return Number.isInteger(key) ? `${BigInt(key)}` : `${key}`;
  if (typeof key === 'bigint') return `${key}`;
  if (typeof key === 'string') return JSON.stringify(key);
  if (typeof key !== 'object' || key === null) return undefined;
  if (Array.isArray(key)) return `[${key.map((part) => nameInPython(part) ?? numberOf(part))}]`;
  if (types.isDate(key)) return `Date ${key.getTime()}`;
  if (Buffer.isBuffer(key)) return `bytes ${key.toString('hex')}`;
  if (types.isAnyArrayBuffer(key)) return nameInPython(Buffer.from(key));
  if (types.isBoxedPrimitive(key) && !types.isSymbolObject(key)) return nameInPython(key.valueOf());
  if (key instanceof Decimal || key instanceof Duration || key instanceof Complex) return inspect(key);
  if (types.isSet(key)) return `Set ${[...key].map((part) => nameInPython(part) ?? numberOf(part)).sort()}`;
  return undefined;
}

/** @type {Map<any, number>} */
const numbers = new Map();

/** Tells apart, within one message, what has no text. @param {any} value */
function numberOf(value) {
  if (value === null || value === undefined) return String(value);
  let number = numbers.get(value);
  if (number === undefined) numbers.set(value, (number = numbers.size));
  return `#${number}`;
}

/** @param {string} text @returns {boolean} */
const isWellFormed = (text) => /** @type {any} */ (text).isWellFormed();

/**
 * Add a step to the path of an error that is on its way out.
 * @param {any} error
 * @param {string} step
 */
function within(error, step) {
  if (error instanceof ShareError) return new ShareError(step + error.path, error.kind, error.advice);
  if (error instanceof RangeError && /call stack/.test(error.message)) {
    return new ShareError(step, 'a value', 'it is nested too deep: flatten it');
  }
  return error;
}
