/** NumPy arrays in JavaScript: a typed array over shared memory, with a shape. */

import { inspect } from 'node:util';
import {
  Array, ArrayBuffer, BigInt, BigInt64Array, BigUint64Array, Boolean, Buffer, Float32Array, Float64Array,
  Int16Array, Int32Array, Int8Array, Map, Math, Number, Object, RangeError, String, Symbol, TypeError,
  Uint16Array, Uint32Array, Uint8Array, Uint8ClampedArray,
} from './globals.js';
import { ProtocolError } from './errors.js';
import { Complex } from './types.js';

/**
 * @typedef {Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array |
 *   BigInt64Array | BigUint64Array | Float32Array | Float64Array | Uint8ClampedArray} TypedArray
 * @typedef {new (buffer: ArrayBufferLike, offset?: number, length?: number) => TypedArray} TypedArrayClass
 * @typedef {{fields: Array<[string, any, number[], number]>, itemsize: number}} Fields
 * @typedef {string | Fields} WireType NumPy's type string (`<f8`), or the fields of a structured dtype
 */

/** Float16Array where this Node has it. @type {TypedArrayClass | undefined} */
const Float16 = /** @type {any} */ (globalThis).Float16Array;

/** @type {Record<string, [TypedArrayClass, string]>} */
const SIMPLE = {
  '|b1': [Uint8Array, 'bool'],
  '|i1': [Int8Array, 'int8'],
  '|u1': [Uint8Array, 'uint8'],
  '<i2': [Int16Array, 'int16'],
  '<u2': [Uint16Array, 'uint16'],
  '<i4': [Int32Array, 'int32'],
  '<u4': [Uint32Array, 'uint32'],
  '<i8': [BigInt64Array, 'int64'],
  '<u8': [BigUint64Array, 'uint64'],
  '<f2': [Float16 ?? Uint16Array, 'float16'],
  '<f4': [Float32Array, 'float32'],
  '<f8': [Float64Array, 'float64'],
  '<c8': [Float32Array, 'complex64'],
  '<c16': [Float64Array, 'complex128'],
};
const BY_NAME = new Map(Object.entries(SIMPLE).map(([wire, [, name]]) => [name, wire]));
BY_NAME.set('float', '<f8').set('int', '<i8').set('complex', '<c16');

/** The wire types of the bare typed arrays. @type {Map<Function, string>} */
export const WIRE_OF_CLASS = new Map(
  Object.entries(SIMPLE)
    .filter(([wire]) => wire !== '|b1' && wire[1] !== 'c' && (wire !== '<f2' || Float16))
    .map(([wire, [type]]) => [/** @type {Function} */ (type), wire]),
);
WIRE_OF_CLASS.set(Uint8ClampedArray, '|u1');

/** @param {number} bits an IEEE 754 half */
function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** What the elements of an array are: how many bytes, which typed array, how one is read. */
export class DType {
  /** @param {WireType} wire */
  constructor(wire) {
    this.wire = wire;
    /** The typed array that shows the memory. @type {TypedArrayClass} */
    this.type = Uint8Array;
    /** NumPy's name, such as `float64`; for a structured dtype `void`. */
    this.name = 'void';
    this.itemsize = 1;
    /** Typed array elements in one item. */
    this.width = 1;
    /** @type {Array<{name: string, dtype: DType, shape: number[], offset: number}> | null} */
    this.fields = null;
    if (typeof wire !== 'string') {
      this.itemsize = this.width = wire.itemsize;
      this.fields = wire.fields.map(([name, base, shape, offset]) => {
        return { name, dtype: new DType(base), shape, offset };
      });
      return;
    }
    const simple = SIMPLE[wire];
    if (simple) {
      [this.type, this.name] = simple;
      this.itemsize = Number(wire.slice(2));
      this.width = wire[1] === 'c' ? 2 : 1;
      return;
    }
    const match = /^([<|])([mMSU])(\d+)(\[.*\])?$/.exec(wire);
    if (!match) throw new ProtocolError(`unknown dtype ${inspect(wire)}`);
    const [, , kind, size, unit] = match;
    if (kind === 'M' || kind === 'm') {
      this.type = BigInt64Array;
      this.itemsize = 8;
      this.name = (kind === 'M' ? 'datetime64' : 'timedelta64') + (unit ?? '');
    } else {
      this.name = wire;
      this.width = Number(size);
      this.itemsize = this.width * (kind === 'U' ? 4 : 1);
      if (kind === 'U') this.type = Uint32Array;
    }
  }

  /** @param {string} name a NumPy name (`float64`) or type string (`<f8`) */
  static named(name) {
    const wire = BY_NAME.get(name) ?? name;
    try {
      return new DType(wire);
    } catch {
      const names = [...BY_NAME.keys()].join(', ');
      throw new TypeError(`unknown dtype ${inspect(name)}; it is one of ${names}, or as '<U5'`);
    }
  }

  /**
   * One item as a JavaScript value.
   * @param {TypedArray} data the array's memory as this dtype's typed array
   * @param {number} at index of its first element
   * @returns {any}
   */
  read(data, at) {
    if (this.fields) {
      /** @type {Record<string, any>} */
      const out = {};
      for (const { name, dtype, shape, offset } of this.fields) {
        const view = new NDArray(
          aligned(data, at + offset, dtype, shape.reduce((a, b) => a * b, 1)),
          shape,
          dtype,
        );
        out[name] = shape.length ? view : view.get();
      }
      return out;
    }
    if (this.name === 'bool') return data[at] !== 0;
    if (this.width === 2 && this.name.startsWith('complex')) {
      return new Complex(Number(data[at]), Number(data[at + 1]));
    }
    if (this.name === 'float16' && !Float16) return halfToNumber(Number(data[at]));
    const kind = typeof this.wire === 'string' ? this.wire[1] : '';
    if (kind === 'U' || kind === 'S') {
      let end = at + this.width;
      while (end > at && data[end - 1] === 0) end--;
      const codes = Array.from(/** @type {Uint8Array} */ (data).subarray(at, end));
      return kind === 'U' ? codes.map((code) => String.fromCodePoint(code)).join('') : Buffer.from(codes);
    }
    return data[at];
  }

  /**
   * Store a JavaScript value as one item.
   * @param {TypedArray} data
   * @param {number} at
   * @param {any} value
   */
  write(data, at, value) {
    const kind = typeof this.wire === 'string' ? this.wire[1] : 'V';
    if (kind === 'V') throw new TypeError('write a structured item through its fields in Python');
    if (kind === 'U' || kind === 'S') {
      const codes =
        kind === 'U' ? Array.from(String(value), (c) => c.codePointAt(0)) : [...Buffer.from(value)];
      if (codes.length > this.width) {
        throw new RangeError(`${inspect(value)} is longer than the ${this.width} of ${this.name}`);
      }
      for (let i = 0; i < this.width; i++) data[at + i] = /** @type {any} */ (codes[i] ?? 0);
    } else if (kind === 'c') {
      const { re, im } = value instanceof Complex ? value : new Complex(Number(value));
      data[at] = re;
      data[at + 1] = im;
    } else if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
      data[at] = BigInt(value);
    } else if (this.name === 'float16' && !Float16) {
      throw new TypeError('this Node.js has no Float16Array: write float16 items in Python');
    } else {
      data[at] = this.name === 'bool' ? Number(Boolean(value)) : Number(value);
    }
  }
}

/**
 * The memory of `count` items that begin `offset` bytes into a byte array; copied if it is not
 * aligned as typed arrays must be.
 * @param {TypedArray} bytes
 * @param {number} offset
 * @param {DType} dtype
 * @param {number} count
 */
function aligned(bytes, offset, dtype, count) {
  const size = dtype.itemsize * count;
  const start = bytes.byteOffset + offset;
  const element = /** @type {any} */ (dtype.type).BYTES_PER_ELEMENT;
  if (start % element === 0) return new dtype.type(bytes.buffer, start, size / element);
  return new dtype.type(bytes.buffer.slice(start, start + size));
}

/** @param {number[]} shape @param {number} width @returns {number[]} strides of C order, in elements */
function contiguous(shape, width) {
  const strides = new Array(shape.length);
  let step = width;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

/**
 * An n-dimensional array. `typedArray` is its memory in C order: for an array that came from
 * NumPy this is NumPy's own memory, and changes are seen there.
 */
export class NDArray {
  /** All the memory that the strides reach. @type {TypedArray} */
  #data;
  #offset;
  /** @type {DType} */
  #kind;

  /**
   * `new NDArray(data, shape, dtype)` shows existing memory; `NDArray.zeros(shape, dtype)` and
   * `NDArray.from(values, dtype)` make new arrays.
   * @param {TypedArray} data
   * @param {number[]} [shape] one axis of all elements if left out
   * @param {DType | string} [dtype] that of the typed array if left out
   * @param {number[]} [strides] in elements of the typed array, C order if left out
   * @param {number} [offset] element of `data` at index 0, 0, ...
   */
  constructor(data, shape, dtype, strides, offset = 0) {
    const wire = dtype === undefined ? WIRE_OF_CLASS.get(data?.constructor) : undefined;
    if (dtype === undefined && wire === undefined) {
      throw new TypeError('new NDArray(typedArray, shape): the first argument is not a typed array');
    }
    const kind = dtype instanceof DType ? dtype : wire ? new DType(wire) : DType.named(String(dtype));
    const size = shape ?? [data.length / kind.width];
    const count = size.reduce((a, b) => a * b, 1);
    if (!strides && count * kind.width !== data.length) {
      throw new RangeError(`${data.length / kind.width} items do not fill the shape [${size}]`);
    }
    if (strides && count > 0) {
      const reach = strides.map((step, axis) => step * (size[axis] - 1));
      const first = reach.reduce((sum, step) => sum + Math.min(step, 0), offset);
      const last = reach.reduce((sum, step) => sum + Math.max(step, 0), offset) + kind.width;
      if (strides.length !== size.length || !(first >= 0 && last <= data.length)) {
        throw new RangeError(`strides [${strides}] lead out of the array's memory`);
      }
    }
    this.#data = data;
    this.#offset = offset;
    /** The size of each axis. */
    this.shape = Object.freeze([...size]);
    /** Steps from one item to the next along each axis, in elements of `typedArray`. */
    this.strides = Object.freeze(strides ? [...strides] : contiguous(size, kind.width));
    this.#kind = kind;
    /** Whether Python marked the array as not to be changed. */
    this.readOnly = false;
    Object.defineProperty(this, 'readOnly', { enumerable: false });
  }

  /**
   * A new array of zeros. (`bifrost.zeros` makes one that Python sees without a copy.)
   * @param {number | number[]} shape
   * @param {DType | string} [dtype] a NumPy name or type string
   */
  static zeros(shape, dtype = 'float64') {
    const kind = dtype instanceof DType ? dtype : DType.named(dtype);
    const size = typeof shape === 'number' ? [shape] : shape;
    const count = size.reduce((a, b) => a * b, 1);
    return new NDArray(new kind.type(new ArrayBuffer(count * kind.itemsize)), size, kind);
  }

  /**
   * A new array of the items of an Array (of Arrays ...), a typed array or another array.
   * @param {any} values
   * @param {DType | string} [dtype] that of `values`, or else `float64`
   */
  static from(values, dtype) {
    const wire = WIRE_OF_CLASS.get(values?.constructor);
    const own = values instanceof NDArray ? values.kind : wire && new DType(wire);
    const nested = values instanceof NDArray ? values.toArray() : values;
    /** @type {(row: any) => boolean} */
    const isRow = (row) => Array.isArray(row) || (ArrayBuffer.isView(row) && !Buffer.isBuffer(row));
    /** @type {number[]} */
    const shape = [];
    for (let row = nested; isRow(row); row = row[0]) shape.push(row.length);
    const out = NDArray.zeros(shape, dtype ?? own ?? 'float64');
    let at = 0;
    const fill = (/** @type {any} */ row, /** @type {number} */ axis) => {
      if (axis === shape.length) {
        out.kind.write(out.#data, at, row);
        at += out.kind.width;
        return;
      }
      if (!isRow(row) || row.length !== shape[axis]) {
        throw new RangeError(`not all rows of axis ${axis} have ${shape[axis]} items`);
      }
      for (let i = 0; i < row.length; i++) fill(row[i], axis + 1);
    };
    fill(nested, 0);
    return out;
  }

  /** What its items are. */
  get kind() {
    return this.#kind;
  }

  /** NumPy's name of the dtype, such as `float64`. */
  get dtype() {
    return this.kind.name;
  }

  /** Number of axes. */
  get ndim() {
    return this.shape.length;
  }

  /** Number of items. */
  get size() {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  /** Size of the first axis, as for an Array of rows (0 axes: 1). */
  get length() {
    return this.shape.length ? this.shape[0] : 1;
  }

  /** Whether `typedArray` is the array's own memory and not a copy. */
  get isContiguous() {
    if (this.size === 0) return true;
    const steps = contiguous([...this.shape], this.kind.width);
    return this.shape.every((n, axis) => n === 1 || this.strides[axis] === steps[axis]);
  }

  /**
   * The items in C order. The array's own memory where it is contiguous, else a copy.
   * @returns {TypedArray}
   */
  get typedArray() {
    const { width, type } = this.kind;
    const total = this.size * width;
    if (this.isContiguous) {
      if (this.#offset === 0 && this.#data.length === total) return this.#data;
      return this.#data.subarray(this.#offset, this.#offset + total);
    }
    const out = new /** @type {any} */ (type)(total);
    let at = 0;
    for (const from of this.#positions()) {
      for (let i = 0; i < width; i++) out[at++] = this.#data[from + i];
    }
    return out;
  }

  /** The array's memory, for the codec: [data, offset]. @returns {[TypedArray, number]} */
  get memory() {
    return [this.#data, this.#offset];
  }

  /** @returns {Generator<number>} the place of each item, in C order */
  *#positions() {
    const { shape, strides } = this;
    if (this.size === 0) return;
    const index = new Array(shape.length).fill(0);
    let at = this.#offset;
    for (;;) {
      yield at;
      let axis = shape.length - 1;
      for (; axis >= 0; axis--) {
        at += strides[axis];
        if (++index[axis] < shape[axis]) break;
        at -= strides[axis] * shape[axis];
        index[axis] = 0;
      }
      if (axis < 0) return;
    }
  }

  /** @param {number[]} index */
  #place(index) {
    if (index.length > this.shape.length) {
      throw new RangeError(`${index.length} indices for an array of ${this.shape.length} axes`);
    }
    let at = this.#offset;
    index.forEach((given, axis) => {
      const n = this.shape[axis];
      const i = given < 0 ? given + n : given;
      if (!Number.isInteger(i) || i < 0 || i >= n) {
        throw new RangeError(`index ${given} is out of range for axis ${axis} of size ${n}`);
      }
      at += i * this.strides[axis];
    });
    return at;
  }

  /**
   * The item at an index, or the sub-array if fewer indices than axes are given. Negative
   * indices count from the end. A sub-array shares the memory.
   * @param {...number} index
   */
  get(...index) {
    const at = this.#place(index);
    if (index.length === this.shape.length) return this.kind.read(this.#data, at);
    const sub = new NDArray(
      this.#data,
      this.shape.slice(index.length),
      this.kind,
      this.strides.slice(index.length),
      at,
    );
    sub.readOnly = this.readOnly;
    return sub;
  }

  /**
   * Store an item: `array.set(value, i, j)`.
   * @param {any} value
   * @param {...number} index
   */
  set(value, ...index) {
    if (index.length !== this.shape.length) {
      throw new RangeError(`set(value, ...index) needs ${this.shape.length} indices`);
    }
    if (this.readOnly) throw new TypeError('the array is read-only in Python');
    this.kind.write(this.#data, this.#place(index), value);
    return this;
  }

  /** The items along the first axis. */
  *[Symbol.iterator]() {
    for (let i = 0; i < this.length; i++) yield this.shape.length ? this.get(i) : this.get();
  }

  /** Nested Arrays of the items. @returns {any} */
  toArray() {
    if (this.shape.length === 0) return this.get();
    return Array.from(this, (item) => (item instanceof NDArray ? item.toArray() : item));
  }

  toJSON() {
    return this.toArray();
  }

  /**
   * @param {number} depth
   * @param {import('node:util').InspectOptions} options
   */
  [inspect.custom](depth, options) {
    const head = `NDArray(${this.shape.join('x') || 'scalar'}) ${this.dtype}`;
    if (depth < 0) return `[${head}]`;
    const most = 6;
    /** @param {NDArray} array @returns {string} */
    const show = (array) => {
      if (array.shape.length === 0) return inspect(array.get(), options);
      const n = array.shape[0];
      const parts = [];
      for (let i = 0; i < n; i++) {
        if (n > most && i === most / 2) {
          parts.push('...');
          i = n - most / 2;
        }
        const item = array.get(i);
        parts.push(item instanceof NDArray ? show(item) : inspect(item, options));
      }
      return `[${parts.join(array.shape.length > 1 ? ',\n  ' : ', ')}]`;
    };
    return `${head} ${show(this)}`;
  }
}
