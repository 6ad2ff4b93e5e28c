/**
 * Frames: a message's bytes between two pipes. A frame is a header of nine bytes, little-endian
 * (body length u32, message type u8, id u32), and the body. Feeding is separate from reading, so
 * the bytes may arrive split anywhere.
 */

import { Buffer, Math, Object } from './globals.js';
import { ProtocolError } from './errors.js';
import { Message } from './messages.js';

export const HEADER_SIZE = 9;
export const MAX_BODY = 2 ** 30;
const LAST_TYPE = Math.max(...Object.values(Message));

/** @typedef {{type: number, id: number, body: Buffer}} Frame */

/**
 * Write the header into the first nine bytes of `frame`, whose body is already in place.
 * @param {Buffer} frame
 * @param {number} type
 * @param {number} id
 */
export function seal(frame, type, id) {
  const length = frame.length - HEADER_SIZE;
  if (length > MAX_BODY) {
    throw new ProtocolError(
      `a message of ${length} bytes exceeds the limit of ${MAX_BODY}; send large data as typed` +
        ' arrays or Buffers, which go through shared memory',
    );
  }
  frame.writeUInt32LE(length, 0);
  frame[4] = type;
  frame.writeUInt32LE(id, 5);
  return frame;
}

/** Turns a stream of bytes into frames, however the bytes were split. */
export class FrameReader {
  /** Bytes not yet read: `#chunk` from `#start` to `#end`; the feeder's until used up. @type {Buffer} */
  #chunk = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /**
   * Take the next bytes. The reader keeps a view of them, not a copy, while frames are read from
   * it; the caller may reuse the memory once `next` has returned null.
   * @param {Buffer} data
   */
  feed(data) {
    if (this.#start === this.#end) {
      this.#chunk = data;
      this.#start = 0;
      this.#end = data.length;
      return;
    }
    // A frame is split: gather it. Room grows geometrically so that many small pieces stay linear.
    const held = this.#end - this.#start;
    const needed = held + data.length;
    if (this.#owned && this.#end + data.length <= this.#chunk.length) {
      data.copy(this.#chunk, this.#end);
      this.#end += data.length;
      return;
    }
    const room = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(needed * 2, this.#wanted())));
    this.#chunk.copy(room, 0, this.#start, this.#end);
    data.copy(room, held);
    this.#chunk = room;
    this.#owned = true;
    this.#start = 0;
    this.#end = needed;
  }

  #owned = false;

  /** How many bytes the frame in the making will have. */
  #wanted() {
    if (this.#end - this.#start < HEADER_SIZE) return 2 ** 16;
    return this.#chunk.readUInt32LE(this.#start) + HEADER_SIZE + 2 ** 16;
  }

  /**
   * The next whole frame, or null until more is fed. Its body is a view, valid until then.
   * @returns {Frame | null}
   */
  next() {
    const available = this.#end - this.#start;
    if (available < HEADER_SIZE) return this.#keep();
    const chunk = this.#chunk;
    const length = chunk.readUInt32LE(this.#start);
    const type = chunk[this.#start + 4];
    if (length > MAX_BODY) {
      throw new ProtocolError(`a frame claims ${length} bytes, the limit is ${MAX_BODY}`);
    }
    if (type > LAST_TYPE) throw new ProtocolError(`unknown message type ${type}`);
    if (available < HEADER_SIZE + length) return this.#keep();
    const id = chunk.readUInt32LE(this.#start + 5);
    const begin = this.#start + HEADER_SIZE;
    this.#start = begin + length;
    if (this.#start === this.#end) this.#owned = false;
    return { type, id, body: chunk.subarray(begin, begin + length) };
  }

  /** Keep what is left of a foreign chunk, for its memory goes back to the feeder. */
  #keep() {
    if (this.#start !== this.#end && !this.#owned) {
      this.#chunk = Buffer.from(this.#chunk.subarray(this.#start, this.#end));
      this.#end -= this.#start;
      this.#start = 0;
      this.#owned = true;
    }
    return null;
  }
}
