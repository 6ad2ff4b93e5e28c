/**
 * The language's own objects of the inner realm, as they were before any code of others ran; and
 * the Buffer that the codec needs. (`protocol/globals.js` is this module in the inner realm.)
 */

import { Buffer } from './bytes.js';

export const {
  Array, ArrayBuffer, Atomics, BigInt, BigInt64Array, BigUint64Array, Boolean, DataView, Date, Error,
  FinalizationRegistry, Float32Array, Float64Array, Function, Int16Array, Int32Array, Int8Array, JSON, Map, Math,
  Number, Object, Promise, Proxy, RangeError, ReferenceError, Reflect, RegExp, Set, SharedArrayBuffer, String,
  Symbol, SyntaxError, TypeError, Uint16Array, Uint32Array, Uint8Array, Uint8ClampedArray, WeakMap, WeakRef,
  WeakSet,
} = globalThis;
export { Buffer };
