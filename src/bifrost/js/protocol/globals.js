/**
 * The globals as they were at the start. A script may bind their names anew (`class Map {}`,
 * `const { Set } = require('immutable')`); what the bridge is made of must not change with them.
 */

export const {
  AbortController, Array, ArrayBuffer, Atomics, BigInt, BigInt64Array, BigUint64Array, Boolean, Buffer, DataView, Date, Error,
  FinalizationRegistry, Float32Array, Float64Array, Function, Int16Array, Int32Array, Int8Array, JSON, Map, Math,
  Number, Object, Promise, Proxy, RangeError, ReferenceError, Reflect, RegExp, Set, SharedArrayBuffer, String,
  Symbol, SyntaxError, TypeError, URL, Uint16Array, Uint32Array, Uint8Array, Uint8ClampedArray, WeakMap, WeakRef,
  WeakSet, console, process, setImmediate, structuredClone,
} = globalThis;
