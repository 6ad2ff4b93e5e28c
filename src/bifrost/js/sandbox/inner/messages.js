/** What the inner realm writes: the types of its frames, and MessagePack for their bodies. */

import { HEADER_SIZE } from '../../protocol/framing.js';
import { Writer } from '../../protocol/writer.js';
import { Array, Object, Uint8Array } from './globals.js';

/** Of `sandbox/channel.js`, what is sent. */
export const Type = Object.freeze({ STARTED: 17, RESULT: 18, ERROR: 19, CONSOLE: 20, EMIT: 21, PROGRESS: 22 });

/**
 * Text, numbers and bytes, in an Array or a plain object.
 * @param {any[] | Record<string, any>} parts
 */
export function message(parts) {
  const writer = new Writer();
  const isArray = Array.isArray(parts);
  const keys = Object.keys(parts);
  if (isArray) writer.array(keys.length);
  else writer.byte(0x80 | keys.length);
  for (const key of keys) {
    if (!isArray) writer.string(key);
    const item = /** @type {any} */ (parts)[key];
    if (item instanceof Uint8Array) writer.bin(item);
    else writer.plain(item);
  }
  const { buffer, byteOffset, length } = writer.written;
  return new Uint8Array(buffer, byteOffset + HEADER_SIZE, length - HEADER_SIZE);
}
