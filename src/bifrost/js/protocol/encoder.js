/**
 * Values to bytes: MessagePack, and extension codes for what it has no word for. The bytes are
 * written straight behind the room for a frame's header.
 */

import { inspect, types } from 'node:util';
import {
  Array, ArrayBuffer, Buffer, Error, Float64Array, JSON, Map, Object, RangeError, Set, String, Symbol, Uint8Array,
} from './globals.js';
import { NDArray } from './arrays.js';
import { ShareError } from './errors.js';
import { Ext } from './messages.js';
import { canBeKey, distinguish, isOtherPlain } from './keys.js';
import { known, originOf } from './origins.js';
import { Complex, Decimal, Duration } from './types.js';
import { Writer, isWellFormed } from './writer.js';

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
 * @property {boolean} lends whether objects can be lent; if not, `reference` throws
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
  #out = new Writer();
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
    this.#out.reset();
    if (prefix) this.#out.bytes(prefix);
    const start = this.#out.at;
    try {
      this.#value(value);
      if (this.#repeated.size) {
        undo();
        this.#out.at = start;
        this.#graph(value);
      }
      return this.#out.written;
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
      this.#opening = this.#inside = null;
      this.#depth = 0;
      this.busy = false;
    }
  }

  /**
   * An extension whose body `write` writes.
   * @param {number} code
   * @param {() => void} write
   */
  #ext(code, write) {
    this.#depth += EXT_DEPTH;
    this.#out.ext(code, write);
    this.#depth -= EXT_DEPTH;
  }

  // -- values

  /** @param {any} value */
  #value(value) {
    switch (typeof value) {
      case 'number':
        this.#out.number(value);
        break;
      case 'string':
        this.#out.string(value);
        break;
      case 'boolean':
        this.#out.byte(value ? 0xc3 : 0xc2);
        break;
      case 'undefined':
        this.#ext(Ext.UNDEFINED, () => {});
        break;
      case 'bigint':
        this.#out.bigint(value);
        break;
      case 'object':
        if (value === null) this.#out.byte(0xc0);
        else this.#object(value);
        break;
      default:
        this.#reference(value);
    }
  }

  /** @param {any} value anything that stays here */
  #reference(value) {
    const home = this.outward.home(value);
    if (home === undefined) {
      const { reference } = this.outward.reference(value);
      this.#ext(Ext.REFERENCE, () => this.#items(reference));
    } else {
      this.#ext(Ext.HOME, () => this.#out.number(home));
    }
  }

  /** @param {object} value */
  #object(value) {
    const home = this.outward.home(value); // first: the questions below would go to Python
    if (home !== undefined) {
      this.#ext(Ext.HOME, () => this.#out.number(home));
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
      if (Symbol.toStringTag in value || isPrototype(value)) this.#reference(value);
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
    else if (value instanceof Decimal) this.#ext(Ext.DECIMAL, () => this.#out.bytes(Buffer.from(value.text)));
    else if (value instanceof Duration) {
      this.#ext(Ext.DURATION, () => this.#items([value.days, value.seconds, value.microseconds]));
    } else if (value instanceof Complex) {
      this.#ext(Ext.COMPLEX, () => {
        this.#out.bytes(new Uint8Array(new Float64Array([value.re, value.im]).buffer));
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
        this.#out.array(2);
        this.#out.string('');
        this.#buffered(stream);
      });
    });
  }

  /** @param {string} name of a registered type @param {() => void} write */
  #custom(name, write) {
    this.#ext(Ext.CUSTOM, () => {
      this.#out.array(2);
      this.#out.string(name);
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
      this.#out.array(3);
      this.#out.string(source);
      this.#out.string(flags);
      const original = originOf(value);
      if (original) this.#out.plain(original);
      else this.#out.byte(0xc0);
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
        this.#out.byte(0xc0);
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
        this.#ext(Ext.NODE, () => this.#out.number(/** @type {number} */ (index)));
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
      const count = this.#out.at + 1;
      this.#out.tag32(0xdd, 0);
      this.#body(root);
      for (let i = 0; i < this.#queue.length; i++) {
        this.#opening = this.#queue[i];
        this.#body(this.#queue[i]);
      }
      this.#out.patch32(count, this.#queue.length + 1);
    });
  }

  /** The node whose body is about to be written: here it is itself, and not a mention of it. @type {object | null} */
  #opening = null;

  /** @param {any} value */
  #body(value) {
    this.#out.tag32(0xc6, 0);
    const start = this.#out.at;
    this.#depth = 0;
    this.#value(value);
    this.#out.patch32(start - 4, this.#out.at - start);
  }

  /** @param {ArrayLike<any>} values plain, small */
  #items(values) {
    this.#out.array(values.length);
    for (let i = 0; i < values.length; i++) this.#value(values[i]);
  }

  /** @param {any[]} value */
  #list(value) {
    const n = value.length;
    if (n > SPARSE_FROM && Object.keys(value).length * 4 < n) {
      throw new ShareError('', `a sparse Array of length ${n}`, 'send a Map of its items');
    }
    this.#out.array(n);
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
      if (this.outward.lends && typeof value[key] === 'function') {
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
          this.#out.string(keys[i]);
          this.#value(get(keys[i]));
        }
      } catch (error) {
        throw within(error, /^[A-Za-z_$][\w$]*$/.test(keys[i]) ? `.${keys[i]}` : `[${JSON.stringify(keys[i])}]`);
      }
    };
    if (!wellFormed) {
      this.#ext(Ext.OBJECT, () => {
        this.#out.array(keys.length * 2);
        write();
      });
      return;
    }
    if (keys.length < 16) this.#out.byte(0x80 | keys.length);
    else this.#out.tag32(0xdf, keys.length);
    write();
  }

  /** @param {Map<any, any>} value */
  #map(value) {
    distinguish('Map', value.keys());
    this.#ext(Ext.MAP, () => {
      this.#out.array(value.size * 2);
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
    distinguish('Set', value.keys());
    this.#ext(Ext.SET, () => {
      this.#out.array(value.size);
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

  /** @param {any} key of a Map or item of a Set: Python must be able to hash it */
  #key(key) {
    if (typeof key === 'object' && key !== null) {
      if (Array.isArray(key)) {
        this.#out.array(key.length);
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
      this.#out.array(2);
      this.#out.double(ms);
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
      this.#out.byte(0x85 + (this.outward.lends ? 1 : 0) + (cause === undefined ? 0 : 1));
      const texts = { name: error.name, message: error.message, stack: this.outward.stack(error) };
      for (const [key, text] of Object.entries(texts)) {
        this.#out.string(key);
        this.#out.string(String(text));
      }
      this.#out.string('properties');
      this.#entries(own, (key) => error[key]);
      this.#out.string('classes');
      this.#out.plain(classesOf(error));
      if (this.outward.lends) {
        // The Python exception that it was, or this very object: so that it can come home as itself.
        this.#out.string('origin');
        this.#reference(originOf(error) ?? error);
      }
      if (cause === undefined) return;
      this.#out.string('cause');
      try {
        this.#value(cause);
      } catch (failure) {
        throw within(failure, '.cause');
      }
    });
  }

  /** @param {Uint8Array} value */
  #buffered(value) {
    if (value.length < BLOB_SIZE) this.#out.bin(value);
    else this.#ext(Ext.BLOB, () => this.#items(this.outward.blob(value)));
  }

  /** @param {any} value */
  #typed(value) {
    const parts = this.outward.array(value);
    this.#ext(Ext.ARRAY, () => {
      if (parts instanceof Uint8Array) this.#out.bin(parts);
      else this.#out.plain(parts);
    });
  }
}

/** The names of an error's classes, its own first. @param {object} error */
function classesOf(error) {
  const names = [];
  for (let at = Object.getPrototypeOf(error); at && Object.getPrototypeOf(at); at = Object.getPrototypeOf(at)) {
    const kind = Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
    if (typeof kind === 'function' && typeof kind.name === 'string' && kind.name) names.push(kind.name);
  }
  return names;
}

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

/** Whether a plain object is what the objects of some class inherit from. @param {any} value */
function isPrototype(value) {
  const { constructor } = value;
  return constructor !== Object && typeof constructor === 'function' && constructor.prototype === value;
}
