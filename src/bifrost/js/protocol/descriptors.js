/** Arrays as they travel: what their elements are, and where in some memory they lie. */

import { Math, Symbol } from './globals.js';
import { NDArray, WIRE_OF_CLASS } from './arrays.js';
import { ShareError } from './errors.js';
import { ArrayKind } from './messages.js';

/** @typedef {import('./arrays.js').TypedArray} TypedArray */

/**
 * The array that a descriptor describes, over the memory that holds it.
 * @param {ArrayBuffer} buffer
 * @param {number} start of the first element, in bytes
 * @param {import('./arrays.js').DType} dtype
 * @param {number[]} shape
 * @param {number[] | null} strides in bytes
 * @param {number} kind
 */
export function viewOf(buffer, start, dtype, shape, strides, kind) {
  const Type = dtype.type;
  const element = /** @type {any} */ (Type).BYTES_PER_ELEMENT;
  if (start % element !== 0 || strides?.some((step) => step % element !== 0)) {
    throw new ShareError(
      '$',
      'an ndarray whose items are not aligned',
      'send `numpy.require(array, requirements="A")` or a copy',
    );
  }
  if (strides) {
    const whole = new Type(buffer, start % element, Math.floor(buffer.byteLength / element));
    const steps = strides.map((step) => step / element);
    return new NDArray(whole, shape, dtype, steps, start / element);
  }
  const count = shape.reduce((a, b) => a * b, 1) * dtype.width;
  const data = new Type(buffer, start, count);
  if (kind === ArrayKind.TYPED_ARRAY) return data;
  const array = new NDArray(data, shape, dtype);
  array.readOnly = kind === ArrayKind.READ_ONLY;
  return array;
}

/** The wire type of a typed array, also of a subclass or of another realm's. @param {any} value */
export function wireOf(value) {
  const name = value[Symbol.toStringTag];
  if (name === 'DataView') return '|u1';
  const known = WIRE_OF_CLASS.get(value.constructor);
  if (known !== undefined) return known;
  for (const [type, wire] of WIRE_OF_CLASS) if (type.name === name) return wire;
  throw new ShareError('', `a ${value.constructor?.name}`, 'send another kind of typed array');
}
