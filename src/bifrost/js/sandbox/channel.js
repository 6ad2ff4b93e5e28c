/** The two pipes to Python, and the frames on them (docs/sandbox.md). */

import { readSync, writeSync } from 'node:fs';

/** What a frame is. `compute/frames.py` has the same names and numbers; a test compares them. */
export const Type = Object.freeze({
  JOB: 1,
  SLICE: 2,
  READY: 16,
  STARTED: 17,
  RESULT: 18,
  ERROR: 19,
  CONSOLE: 20,
  EMIT: 21,
  PROGRESS: 22,
});

const HEADER = 9;
/** What is read at once, and what may wait to be written. */
const CHUNK = 1 << 16;

const prototype = Object.getPrototypeOf(Uint8Array.prototype);
/** @param {string} name */
const slot = (name) => {
  const { get } = /** @type {any} */ (Object.getOwnPropertyDescriptor(prototype, name));
  return (/** @type {Uint8Array} */ bytes) => Reflect.apply(get, bytes, []);
};
const bufferOf = slot('buffer');
const offsetOf = slot('byteOffset');
const lengthOf = slot('byteLength');
const kindOf = slot(/** @type {any} */ (Symbol.toStringTag));

/**
 * Bytes of the inner realm as the host's own: nothing that is asked of them can be answered by
 * code from in there.
 * @param {unknown} bytes
 */
export function own(bytes) {
  if (kindOf(/** @type {any} */ (bytes)) !== 'Uint8Array') throw new TypeError('not bytes');
  const given = /** @type {Uint8Array} */ (bytes);
  return new Uint8Array(bufferOf(given), offsetOf(given), lengthOf(given));
}

/** Blocking frames: while no slice runs there is nothing else to do, and else there is nothing to read. */
export class Channel {
  #input = new Uint8Array(CHUNK);
  #start = 0;
  #end = 0;
  #output = new Uint8Array(CHUNK);
  #held = 0;
  #header = new DataView(new ArrayBuffer(HEADER));
  #headerBytes = new Uint8Array(this.#header.buffer);

  /** @param {number} requests @param {number} replies descriptors */
  constructor(requests, replies) {
    this.requests = requests;
    this.replies = replies;
    /** @type {(code: number) => never} */
    this.exit = process.exit.bind(process);
  }

  /**
   * The next frame. What is held is written before there is a wait for it.
   * @param {(size: number) => Uint8Array} allocate makes the room for its body
   */
  read(allocate) {
    const header = new Uint8Array(HEADER);
    this.#fill(header);
    const view = new DataView(header.buffer);
    const body = this.#room(view.getUint32(0, true), allocate);
    this.#fill(own(body));
    return { type: header[4], ident: view.getUint32(5, true), body };
  }

  /** @param {number} size @param {(size: number) => Uint8Array} allocate @returns {Uint8Array} */
  #room(size, allocate) {
    try {
      return allocate(size);
    } catch {
      writeSync(2, `FATAL ERROR: out of memory for a message of ${size} bytes\n`);
      return this.exit(1);
    }
  }

  /** @param {Uint8Array} target */
  #fill(target) {
    let at = 0;
    while (at < target.length) {
      if (this.#start === this.#end) {
        this.flush();
        if (target.length - at >= CHUNK) {
          at += this.#some(target, at, target.length - at);
          continue;
        }
        this.#start = 0;
        this.#end = this.#some(this.#input, 0, CHUNK);
      }
      const n = Math.min(this.#end - this.#start, target.length - at);
      target.set(this.#input.subarray(this.#start, this.#start + n), at);
      this.#start += n;
      at += n;
    }
  }

  /** @param {Uint8Array} target @param {number} at @param {number} most */
  #some(target, at, most) {
    let n = 0;
    try {
      n = readSync(this.requests, target, at, most, null);
    } catch {}
    if (n === 0) this.exit(0); // Python is gone, or has let go
    return n;
  }

  /**
   * @param {number} type
   * @param {number} ident
   * @param {Uint8Array} body
   * @param {boolean} now or with the next frame, but before anything is waited for
   */
  send(type, ident, body, now) {
    this.#header.setUint32(0, body.length, true);
    this.#header.setUint8(4, type);
    this.#header.setUint32(5, ident, true);
    this.#hold(this.#headerBytes);
    this.#hold(body);
    if (now) this.flush();
  }

  /** @param {Uint8Array} bytes */
  #hold(bytes) {
    if (this.#held + bytes.length > CHUNK) this.flush();
    if (bytes.length > CHUNK) {
      this.#write(bytes, bytes.length);
      return;
    }
    this.#output.set(bytes, this.#held);
    this.#held += bytes.length;
  }

  /** Write what is held. */
  flush() {
    const n = this.#held;
    this.#held = 0;
    this.#write(this.#output, n);
  }

  /** @param {Uint8Array} bytes @param {number} n */
  #write(bytes, n) {
    let at = 0;
    try {
      while (at < n) at += writeSync(this.replies, bytes, at, n - at);
    } catch {
      this.exit(0);
    }
  }
}
