/** Text and bytes, as the web has them. */

import { Array, ArrayBuffer, Math, Object, RangeError, String, TypeError, Uint8Array } from './globals.js';
import { decode, encode } from './host.js';

/** A view of any buffer's bytes. @param {any} source @returns {Uint8Array} */
export function bytesOf(source) {
  if (source === undefined) return new Uint8Array(0);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  return new Uint8Array(source);
}

export class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  /** @param {any} [text] */
  encode(text = '') {
    const whole = `${text}`;
    const room = new Uint8Array(whole.length * 3);
    return room.slice(0, encode(whole, room));
  }

  /** @param {any} text @param {Uint8Array} target */
  encodeInto(text, target) {
    let read = 0;
    let written = 0;
    for (const character of `${text}`) {
      const bytes = this.encode(character);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

export class TextDecoder {
  /** Of a stream: bytes that are not a whole character yet. */
  #rest = new Uint8Array(0);
  #begun = false;

  /** @param {any} [label] @param {{fatal?: boolean, ignoreBOM?: boolean}} [options] */
  constructor(label = 'utf-8', options = {}) {
    this.encoding = `${label}`.trim().toLowerCase().replace(/^utf8$/, 'utf-8');
    this.fatal = Boolean(options.fatal);
    this.ignoreBOM = Boolean(options.ignoreBOM);
    try {
      decode(new Uint8Array(0), this.encoding, false, false);
    } catch {
      throw new RangeError(`The "${label}" encoding is not supported`);
    }
    Object.freeze(this);
  }

  /** @param {any} [input] @param {{stream?: boolean}} [options] */
  decode(input, { stream = false } = {}) {
    const given = bytesOf(input);
    const bytes = new Uint8Array(this.#rest.length + given.length);
    bytes.set(this.#rest);
    bytes.set(given, this.#rest.length);
    const end = stream ? wholeCharacters(bytes, this.encoding) : bytes.length;
    const text = decode(bytes.subarray(0, end), this.encoding, this.fatal, this.ignoreBOM || this.#begun);
    this.#rest = bytes.slice(end);
    this.#begun = stream && (this.#begun || end > 0);
    return text;
  }
}

/** How many of the bytes are of characters that have come whole. @param {Uint8Array} bytes @param {string} encoding */
function wholeCharacters(bytes, encoding) {
  const { length } = bytes;
  if (encoding.startsWith('utf-16')) return length - (length % 2);
  if (encoding !== 'utf-8') return length;
  for (let back = 1; back <= Math.min(3, length); back++) {
    const byte = bytes[length - back];
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? length - back : length;
    if (byte < 0x80) break;
  }
  return length;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** @type {Record<string, number>} */
const VALUES = Object.fromEntries(Array.from(LETTERS, (letter, value) => [letter, value]));

/** @param {any} data text of which each character stands for a byte */
export function btoa(data) {
  const text = `${data}`;
  let out = '';
  for (let i = 0; i < text.length; i += 3) {
    const [a, b, c] = [text.charCodeAt(i), text.charCodeAt(i + 1), text.charCodeAt(i + 2)];
    if (a > 255 || b > 255 || c > 255) throw new TypeError('btoa: a character is beyond Latin-1');
    const bits = (a << 16) | ((b || 0) << 8) | (c || 0);
    out += LETTERS[bits >> 18] + LETTERS[(bits >> 12) & 63];
    out += (i + 1 < text.length ? LETTERS[(bits >> 6) & 63] : '=') + (i + 2 < text.length ? LETTERS[bits & 63] : '=');
  }
  return out;
}

/** @param {any} data */
export function atob(data) {
  let text = `${data}`.replace(/[\t\n\f\r ]/g, '');
  if (text.length % 4 === 0) text = text.replace(/==?$/, '');
  if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw new TypeError('atob: the text is not base64');
  let out = '';
  let bits = 0;
  let count = 0;
  for (const letter of text) {
    bits = ((bits << 6) | VALUES[letter]) & 0xffffff;
    count += 6;
    if (count >= 8) out += String.fromCharCode((bits >> (count -= 8)) & 255);
  }
  return out;
}
