/** A short text that tells whether a value has changed: in it, or anywhere inside. */

import { createRequire } from 'node:module';
import { Buffer, Number, String, Uint8Array, WeakMap } from '../protocol/globals.js';
import { NDArray } from '../protocol/arrays.js';
import { Encoder } from '../protocol/encoder.js';
import { HEADER_SIZE } from '../protocol/framing.js';
import { idOf } from '../runtime/python.js';

const LONG = 512;

/** Objects that stay here are told apart by a number. @type {WeakMap<object, number>} */
const numbers = new WeakMap();
let next = 1;

/** Loaded when it is first needed: it would be a tenth of Node's start. @type {typeof import('node:crypto') | undefined} */
let crypto;

/** @param {Uint8Array} data */
function digest(data) {
  crypto ??= /** @type {typeof import('node:crypto')} */ (createRequire(import.meta.url)('node:crypto'));
  return crypto.createHash('sha1').update(data).digest();
}

/** @param {NDArray | ArrayBufferView} value */
function arrayContents(value) {
  // The contents of an NDArray are kept alike by the memory itself: only which one it is counts.
  if (value instanceof NDArray) return Buffer.from(String(numberOf(value)));
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const kind = Buffer.from(value.constructor.name);
  return Buffer.concat([kind, bytes.length > LONG ? digest(bytes) : bytes]);
}

/** @param {any} value */
function numberOf(value) {
  let number = numbers.get(value);
  if (!number) numbers.set(value, (number = next++));
  return number;
}

/** @type {import('../protocol/encoder.js').Outward} */
const outward = {
  lends: true,
  array: arrayContents,
  blob: (data) => /** @type {any} */ ([digest(data).toString('latin1'), data.length]),
  reference: (value) => ({ reference: [Number(numberOf(value)), ''] }),
  home: idOf,
  customName: () => undefined,
  tableStream: () => undefined,
  stack: () => '',
};

let encoder = new Encoder(outward);

/**
 * @param {any} value
 * @returns {any} equal (by Object.is) for equal values
 */
export function fingerprint(value) {
  if (typeof value !== 'object' || value === null || idOf(value) !== undefined) return value;
  if (encoder.busy) encoder = new Encoder(outward);
  const bytes = encoder.encode(value).subarray(HEADER_SIZE);
  return `${value.constructor?.name} ${(bytes.length > LONG ? digest(bytes) : bytes).toString('latin1')}`;
}
