/** MessagePack, byte for byte: numbers, text, byte strings and the heads of what holds others. */

import { Array, BigInt, Buffer, Math, Number, Object } from './globals.js';
import { HEADER_SIZE } from './framing.js';
import { Ext } from './messages.js';

const SIZE = 4096;
const LARGE = 2 ** 20;

export class Writer {
  buffer = Buffer.allocUnsafeSlow(SIZE);
  /** Where the next byte goes. */
  at = HEADER_SIZE;

  /** Forget what was written, and memory that one large message needed. */
  reset() {
    this.at = HEADER_SIZE;
    if (this.buffer.length > LARGE) this.buffer = Buffer.allocUnsafeSlow(SIZE);
  }

  /** What was written, behind room for a frame's header. Valid until the next reset. */
  get written() {
    return this.buffer.subarray(0, this.at);
  }

  /**
   * Fill in a number that was left open.
   * @param {number} at
   * @param {number} n
   */
  patch32(at, n) {
    this.buffer.writeUInt32BE(n, at);
  }

  /** @param {number} n make room for n more bytes */
  room(n) {
    if (this.at + n <= this.buffer.length) return;
    const next = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.at + n + 64));
    this.buffer.copy(next, 0, 0, this.at);
    this.buffer = next;
  }

  /** @param {number} byte */
  byte(byte) {
    this.room(1);
    this.buffer[this.at++] = byte;
  }

  /** @param {number} tag @param {number} n */
  tag32(tag, n) {
    this.room(5);
    const b = this.buffer;
    b[this.at] = tag;
    b.writeUInt32BE(n, this.at + 1);
    this.at += 5;
  }

  /** @param {Uint8Array} data */
  bytes(data) {
    this.room(data.length);
    this.buffer.set(data, this.at);
    this.at += data.length;
  }

  /** @param {Uint8Array} data */
  bin(data) {
    this.tag32(0xc6, data.length);
    this.bytes(data);
  }

  /**
   * An extension whose body `write` writes; its length is filled in afterwards.
   * @param {number} code
   * @param {() => void} write
   */
  ext(code, write) {
    this.room(6);
    const head = this.at;
    this.buffer[head] = 0xc9;
    this.buffer[head + 5] = code;
    this.at += 6;
    write();
    this.patch32(head + 1, this.at - head - 6);
  }

  /** @param {number} n */
  array(n) {
    if (n < 16) this.byte(0x90 | n);
    else this.tag32(0xdd, n);
  }

  /** @param {number} value */
  number(value) {
    this.room(9);
    const b = this.buffer;
    const at = this.at;
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      b[at] = 0xcb;
      b.writeDoubleBE(value, at + 1);
      this.at += 9;
    } else if (value >= 0) {
      if (value < 128) {
        b[at] = value;
        this.at += 1;
      } else if (value < 2 ** 32) {
        b[at] = 0xce;
        b.writeUInt32BE(value, at + 1);
        this.at += 5;
      } else {
        b[at] = 0xcf;
        b.writeUInt32BE(Math.floor(value / 2 ** 32), at + 1);
        b.writeUInt32BE(value % 2 ** 32, at + 5);
        this.at += 9;
      }
    } else if (value >= -32) {
      b[at] = value & 0xff;
      this.at += 1;
    } else if (value >= -(2 ** 31)) {
      b[at] = 0xd2;
      b.writeInt32BE(value, at + 1);
      this.at += 5;
    } else {
      b[at] = 0xd3;
      b.writeBigInt64BE(BigInt(value), at + 1);
      this.at += 9;
    }
  }

  /** @param {number} value */
  double(value) {
    this.room(9);
    this.buffer[this.at] = 0xcb;
    this.buffer.writeDoubleBE(value, this.at + 1);
    this.at += 9;
  }

  /** @param {bigint} value */
  bigint(value) {
    this.room(9);
    if (BigInt.asIntN(64, value) === value) {
      this.buffer[this.at] = 0xd3;
      this.buffer.writeBigInt64BE(value, this.at + 1);
      this.at += 9;
    } else if (BigInt.asUintN(64, value) === value) {
      this.buffer[this.at] = 0xcf;
      this.buffer.writeBigUInt64BE(value, this.at + 1);
      this.at += 9;
    } else {
      this.ext(Ext.BIGINT, () => {
        // Two's complement in as many bytes as its digits need, and one for the sign.
        const digits = (value < 0n ? -value : value).toString(16).length;
        const size = (digits >> 1) + 2;
        const hex = BigInt.asUintN(size * 8, value).toString(16).padStart(size * 2, '0');
        this.bytes(Buffer.from(hex, 'hex').reverse());
      });
    }
  }

  /** @param {string} value */
  string(value) {
    const n = value.length;
    if (n < 32) {
      this.room(n + 1);
      const b = this.buffer;
      let at = this.at + 1;
      let i = 0;
      for (; i < n; i++) {
        const code = value.charCodeAt(i);
        if (code >= 128) break;
        b[at++] = code;
      }
      if (i === n) {
        b[this.at] = 0xa0 | n;
        this.at = at;
        return;
      }
    }
    if (!isWellFormed(value)) {
      this.ext(Ext.STR16, () => this.bytes(Buffer.from(value, 'utf16le')));
      return;
    }
    this.room(5 + n * 3);
    const written = /** @type {any} */ (this.buffer).utf8Write(value, this.at + 5);
    this.buffer[this.at] = 0xdb;
    this.buffer.writeUInt32BE(written, this.at + 1);
    this.at += 5 + written;
  }

  /** @param {any} value numbers, text, null, and Arrays and objects of them; small, and without identity */
  plain(value) {
    if (typeof value === 'number') this.number(value);
    else if (typeof value === 'string') this.string(value);
    else if (value === null) this.byte(0xc0);
    else if (typeof value === 'boolean') this.byte(value ? 0xc3 : 0xc2);
    else if (Array.isArray(value)) {
      this.array(value.length);
      for (const part of value) this.plain(part);
    } else {
      const entries = Object.entries(value);
      this.byte(0x80 | entries.length);
      for (const [key, item] of entries) {
        this.string(key);
        this.plain(item);
      }
    }
  }
}

/** @param {string} text @returns {boolean} */
export const isWellFormed = (text) => /** @type {any} */ (text).isWellFormed();
