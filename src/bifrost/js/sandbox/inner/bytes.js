/**
 * As much of Node.js's Buffer as the codec needs. Byte strings come in as these, so that they go home
 * as byte strings; to work functions they are Uint8Arrays.
 */

import { encode, textOf } from './host.js';

const { Array, ArrayBuffer, DataView, Number, RangeError, TypeError, Uint8Array } = globalThis;
const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

export class Buffer extends Uint8Array {
  /** @param {unknown} value */
  static isBuffer(value) {
    return value instanceof Buffer;
  }

  /** @param {number} size */
  static alloc(size) {
    return new Buffer(size);
  }

  /** @param {number} size */
  static allocUnsafeSlow(size) {
    return new Buffer(size);
  }

  /**
   * @param {any} from an ArrayBuffer is shown, anything else is copied
   * @param {any} [offset] or the encoding of a text
   * @param {number} [length]
   * @returns {any}
   */
  static from(from, offset, length) {
    if (typeof from === 'string') return fromText(from, offset);
    if (from instanceof ArrayBuffer) return new Buffer(from, offset, length);
    const bytes = new Buffer(from.length);
    bytes.set(from);
    return bytes;
  }

  /** @param {number} at @param {number} size */
  #take(at, size) {
    if (at + size > this.length) throw new RangeError(`${size} bytes announced`);
    for (let i = 0; i < size; i++) scratchBytes[i] = this[at + i];
    return scratch;
  }

  /** @param {number} at @param {number} size */
  #put(at, size) {
    for (let i = 0; i < size; i++) this[at + i] = scratchBytes[i];
  }

  /** @param {number} at */
  readUInt8(at) {
    return this.#take(at, 1).getUint8(0);
  }
  /** @param {number} at */
  readUInt16BE(at) {
    return this.#take(at, 2).getUint16(0);
  }
  /** @param {number} at */
  readUInt32BE(at) {
    return this.#take(at, 4).getUint32(0);
  }
  /** @param {number} at */
  readUInt32LE(at) {
    return this.#take(at, 4).getUint32(0, true);
  }
  /** @param {number} at */
  readInt8(at) {
    return this.#take(at, 1).getInt8(0);
  }
  /** @param {number} at */
  readInt16BE(at) {
    return this.#take(at, 2).getInt16(0);
  }
  /** @param {number} at */
  readInt32BE(at) {
    return this.#take(at, 4).getInt32(0);
  }
  /** @param {number} at */
  readBigUInt64BE(at) {
    return this.#take(at, 8).getBigUint64(0);
  }
  /** @param {number} at */
  readBigInt64BE(at) {
    return this.#take(at, 8).getBigInt64(0);
  }
  /** @param {number} at */
  readFloatBE(at) {
    return this.#take(at, 4).getFloat32(0);
  }
  /** @param {number} at */
  readDoubleBE(at) {
    return this.#take(at, 8).getFloat64(0);
  }
  /** @param {number} at */
  readDoubleLE(at) {
    return this.#take(at, 8).getFloat64(0, true);
  }

  /** @param {number} value @param {number} at */
  writeUInt32LE(value, at) {
    scratch.setUint32(0, value, true);
    this.#put(at, 4);
  }
  /** @param {number} value @param {number} at */
  writeUInt32BE(value, at) {
    scratch.setUint32(0, value);
    this.#put(at, 4);
  }
  /** @param {number} value @param {number} at */
  writeInt32BE(value, at) {
    scratch.setInt32(0, value);
    this.#put(at, 4);
  }
  /** @param {bigint} value @param {number} at */
  writeBigInt64BE(value, at) {
    scratch.setBigInt64(0, value);
    this.#put(at, 8);
  }
  /** @param {bigint} value @param {number} at */
  writeBigUInt64BE(value, at) {
    scratch.setBigUint64(0, value);
    this.#put(at, 8);
  }
  /** @param {number} value @param {number} at */
  writeDoubleBE(value, at) {
    scratch.setFloat64(0, value);
    this.#put(at, 8);
  }

  /** @param {Uint8Array} target @param {number} [at] @param {number} [start] @param {number} [end] */
  copy(target, at = 0, start = 0, end = this.length) {
    target.set(this.subarray(start, end), at);
  }

  /** @param {string} text @param {number} at */
  utf8Write(text, at) {
    return encode(text, plain(this, at, this.length));
  }

  /** @param {number} start @param {number} end */
  utf8Slice(start, end) {
    return textOf(plain(this, start, end));
  }

  /** @param {string} [encoding] @param {number} [start] @param {number} [end] @returns {string} */
  toString(encoding = 'utf8', start = 0, end = this.length) {
    if (encoding !== 'hex') return textOf(plain(this, start, end), encoding === 'utf16le');
    let text = '';
    for (let i = start; i < end; i++) text += (this[i] < 16 ? '0' : '') + this[i].toString(16);
    return text;
  }
}

/** @param {Uint8Array} bytes @param {number} start @param {number} end */
const plain = (bytes, start, end) => new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);

/** @param {string} text @param {string} [encoding] */
function fromText(text, encoding = 'utf8') {
  if (encoding === 'hex') {
    return Buffer.from(Array.from({ length: text.length / 2 }, (_, i) => Number(`0x${text.slice(i * 2, i * 2 + 2)}`)));
  }
  if (encoding !== 'utf8' && encoding !== 'utf16le') throw new TypeError(`no encoding ${encoding}`);
  const room = new Uint8Array(text.length * 3);
  return Buffer.from(room.subarray(0, encode(text, room, encoding === 'utf16le')));
}
