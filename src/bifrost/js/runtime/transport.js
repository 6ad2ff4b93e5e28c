/** Frames over the inherited pipes: read by the event loop, or by a blocking read inside a call. */

import fs from 'node:fs';
import net from 'node:net';
import { Atomics, Buffer, Int32Array, SharedArrayBuffer, setImmediate } from '../protocol/globals.js';
import { FrameReader } from '../protocol/framing.js';

const CHUNK = 2 ** 16;

/** One pipe in, two out: replies, which a waiting Python thread reads, and events, for nobody in particular. */
export class Transport {
  #reader = new FrameReader();
  #blocking = -1;
  #isResuming = false;
  /** @type {(frame: import('../protocol/framing.js').Frame) => void} */
  #onFrame = () => {};
  /** @type {(action: () => void) => void} */
  #protect = (action) => action();
  #chunk = Buffer.allocUnsafeSlow(CHUNK);
  /** How many frames went to the replies, modulo 2^32. */
  replied = 0;

  /** @param {number} requests @param {number} replies @param {number} events */
  constructor(requests, replies, events) {
    this.requests = requests;
    this.replies = replies;
    this.events = events;
  }

  /**
   * Call `onFrame` for every frame that arrives while the event loop runs. That the pipe has been
   * closed is for the watchdog to notice, who also does so while the event loop is busy.
   * @param {(frame: import('../protocol/framing.js').Frame) => void} onFrame
   * @param {(action: () => void) => void} protect runs what must not be torn: bytes would be lost
   */
  listen(onFrame, protect) {
    this.#onFrame = onFrame;
    this.#protect = protect;
    const socket = new net.Socket({
      fd: this.requests,
      readable: true,
      writable: false,
      onread: {
        buffer: Buffer.allocUnsafeSlow(CHUNK),
        callback: (n, buffer) => {
          this.#protect(() => {
            // A copy: what is fed is kept where a frame's code was terminated.
            this.#reader.feed(Buffer.from(buffer.subarray(0, n)));
            this.resume();
          });
          return true;
        },
      },
    });
    socket.on('error', () => {});
  }

  /** Handle the frames that are here. */
  resume() {
    this.#isResuming = false;
    this.#protect(() => {
      for (let frame = this.#reader.next(); frame; frame = this.#reader.next()) this.#onFrame(frame);
    });
  }

  /**
   * The next frame, waiting for it with the event loop stopped; null when Python is gone.
   * @returns {import('../protocol/framing.js').Frame | null}
   */
  receive() {
    for (;;) {
      const frame = this.#reader.next();
      if (frame) return frame;
      const n = this.#readBlocking();
      if (n === 0) return null;
      this.#reader.feed(Buffer.from(this.#chunk.subarray(0, n)));
      this.#resumeLater();
    }
  }

  /** What was read along with an answer would else wait until the pipe brings something new. */
  #resumeLater() {
    if (this.#isResuming) return;
    this.#isResuming = true;
    setImmediate(() => this.resume());
  }

  #readBlocking() {
    if (this.#blocking < 0) this.#blocking = reopen(this.requests);
    for (;;) {
      try {
        return fs.readSync(this.#blocking, this.#chunk, 0, CHUNK, null);
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'EAGAIN') throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.2);
      }
    }
  }

  /** @param {Buffer} frame @param {boolean} awaited whether a Python thread waits for something of ours */
  send(frame, awaited) {
    const fd = awaited ? this.replies : this.events;
    if (awaited) this.replied = (this.replied + 1) >>> 0;
    for (let at = 0; at < frame.length; ) {
      try {
        at += fs.writeSync(fd, frame, at);
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'EAGAIN') throw error;
      }
    }
  }
}

/**
 * Take over an inherited descriptor. What Node starts must not inherit it in turn: a pipe that a
 * child holds open does not end with Node. A descriptor opened by Node itself closes on exec.
 * @param {number} fd
 * @param {'r' | 'w' | 'r+'} flags
 */
export function takeOver(fd, flags) {
  let own;
  try {
    own = fs.openSync(`/proc/self/fd/${fd}`, flags);
  } catch {
    return fd;
  }
  fs.closeSync(fd);
  return own;
}

/**
 * The same pipe with blocking reads. The event loop made the descriptor non-blocking, which is a
 * property of the open file; Linux gives a fresh one here, elsewhere reads come back with EAGAIN.
 * @param {number} fd
 */
function reopen(fd) {
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, 'r');
  } catch {
    return fd;
  }
}
