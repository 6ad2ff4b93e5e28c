/**
 * Parcels: values that travel alone (see Python's `parcels.py`, and docs/protocol.md). Everything
 * is inside, also the contents of arrays; nothing can be lent.
 */

import { ArrayBuffer, Buffer, Number, String, Uint8Array } from './globals.js';
import { DType, NDArray } from './arrays.js';
import { decode } from './decoder.js';
import { viewOf, wireOf } from './descriptors.js';
import { Encoder } from './encoder.js';
import { ProtocolError, ShareError } from './errors.js';
import { HEADER_SIZE } from './framing.js';
import { ArrayKind } from './messages.js';
import { ownStack } from './stacks.js';

/** @typedef {import('./arrays.js').TypedArray} TypedArray */

/** So many bytes a parcel has at most: it travels in a frame, with a little else. */
const MOST = 2 ** 30 - 2 ** 16;
const ALIGNMENT = 8;
const ADVICE =
  'a parcel holds values only, nothing that stays in its process: send plain data, arrays or bytes made from it';

const TOO_LARGE = `a parcel holds at most ${MOST.toLocaleString('en')} bytes: send it in parts`;

/** @param {number} size */
const aligned = (size) => size + (-size & (ALIGNMENT - 1));

/** Gathers the buffers of the parcel that is being packed. */
class Loading {
  lends = false;
  stack = ownStack;
  /** @type {Uint8Array[]} */
  buffers = [];
  size = 0;

  clear() {
    this.buffers = [];
    this.size = 0;
  }

  /** @param {ArrayBufferView} data */
  #add(data) {
    const start = this.size;
    this.buffers.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.size += aligned(data.byteLength);
    return start;
  }

  /** @param {NDArray | TypedArray | DataView} value */
  array(value) {
    const isArray = value instanceof NDArray;
    const data = isArray ? value.typedArray : value;
    const wire = isArray ? value.kind.wire : wireOf(value);
    const shape = isArray ? [...value.shape] : [data.byteLength / Number(String(wire).slice(2))];
    const kind = !isArray ? ArrayKind.TYPED_ARRAY : value.readOnly ? ArrayKind.READ_ONLY : ArrayKind.NDARRAY;
    if (data.byteLength === 0) return [-1, 0, 0, wire, shape, null, kind];
    return [this.#add(data), data.byteLength, 0, wire, shape, null, kind];
  }

  /** @param {Uint8Array} data @returns {[number, number]} */
  blob(data) {
    return [this.#add(data), data.length];
  }

  /** @param {any} value @returns {never} */
  reference(value) {
    throw new ShareError('', kindOf(value), ADVICE);
  }

  home() {
    return undefined;
  }

  customName() {
    return undefined;
  }

  tableStream() {
    return undefined;
  }
}

const loading = new Loading();
const encoder = new Encoder(loading);

/**
 * The bytes of a parcel.
 * @param {any} value
 * @param {number} [room] so many bytes are left free before it, a multiple of 8
 * @throws {ShareError} something in it is no plain value, and the error names the path to it; or all of
 *   it is more than a parcel holds
 */
export function pack(value, room = 0) {
  // A getter in the value may want to pack another one.
  const around = encoder.busy ? new Loading() : loading;
  const writer = encoder.busy ? new Encoder(around) : encoder;
  try {
    const body = writer.encode(value, () => around.clear()).subarray(HEADER_SIZE);
    const start = aligned(4 + body.length);
    if (start + around.size > MOST) {
      throw new ShareError('$', `${kindOf(value)} of ${(start + around.size).toLocaleString('en')} bytes`, TOO_LARGE);
    }
    const parcel = new Uint8Array(room + (around.size ? start + around.size : 4 + body.length));
    Buffer.from(parcel.buffer).writeUInt32LE(body.length, room);
    parcel.set(body, room + 4);
    let at = room + start;
    for (const buffer of around.buffers) {
      parcel.set(buffer, at);
      at += aligned(buffer.length);
    }
    return parcel;
  } finally {
    around.clear();
  }
}

/** Hands out copies of the buffers of a parcel, so that an array of it does not keep the others. */
class Unloading {
  /** @param {Uint8Array} buffers */
  constructor(buffers) {
    this.buffers = buffers;
  }

  /** @param {number} start @param {number} nbytes @returns {ArrayBuffer} */
  #copy(start, nbytes) {
    if (!(start >= 0 && nbytes >= 0 && start + nbytes <= this.buffers.length)) {
      throw new ProtocolError(`a parcel has no ${nbytes} bytes at ${start}`);
    }
    const { buffer, byteOffset } = this.buffers;
    return /** @type {ArrayBuffer} */ (buffer).slice(byteOffset + start, byteOffset + start + nbytes);
  }

  /** @param {any[]} parts */
  array([slot, nbytes, start, wire, shape, strides, kind]) {
    const buffer = slot < 0 ? new ArrayBuffer(0) : this.#copy(slot, nbytes);
    return viewOf(buffer, start, new DType(wire), shape, strides, kind);
  }

  /** @param {number} slot @param {number} nbytes */
  blob(slot, nbytes) {
    return Buffer.from(this.#copy(slot, nbytes));
  }

  /** @returns {never} */
  reference() {
    throw new ProtocolError('a reference in a parcel');
  }

  /** @returns {never} */
  home() {
    throw new ProtocolError('a reference in a parcel');
  }

  /** @returns {never} */
  table() {
    throw new ProtocolError('a table in a parcel');
  }
}

/**
 * The value of a parcel.
 * @param {Uint8Array} parcel
 * @returns {any}
 * @throws {ProtocolError} the bytes are not a parcel
 */
export function unpack(parcel) {
  const bytes = Buffer.from(parcel.buffer, parcel.byteOffset, parcel.length);
  const end = bytes.length < 4 ? Infinity : 4 + bytes.readUInt32LE(0);
  if (end > bytes.length) throw new ProtocolError(`no parcel: ${bytes.length} bytes`);
  return decode(bytes.subarray(4, end), new Unloading(bytes.subarray(aligned(end))));
}

/** What a value is, for an error. @param {any} value */
function kindOf(value) {
  if (typeof value === 'function') return `a function (${value.name || 'without a name'})`;
  if (typeof value === 'symbol') return 'a symbol';
  return `a ${value.constructor?.name ?? 'value'}`;
}
