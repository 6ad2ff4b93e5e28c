/**
 * Takes from the host realm what an escape from the inner one would look for: everything global that
 * is not of the language itself, and the means to change what is.
 */

/** Names of the language, and nothing else: what is not here goes. */
const LANGUAGE = new Set([
  'globalThis', 'Infinity', 'NaN', 'undefined', 'Object', 'Function', 'Array', 'Number', 'parseFloat', 'parseInt',
  'Boolean', 'String', 'Symbol', 'Date', 'Promise', 'RegExp', 'Error', 'AggregateError', 'EvalError', 'RangeError',
  'ReferenceError', 'SyntaxError', 'TypeError', 'URIError', 'JSON', 'Math', 'Intl', 'ArrayBuffer', 'Atomics',
  'Uint8Array', 'Int8Array', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array', 'Float32Array', 'Float64Array',
  'Uint8ClampedArray', 'BigUint64Array', 'BigInt64Array', 'DataView', 'Map', 'BigInt', 'Set', 'Iterator', 'WeakMap',
  'WeakSet', 'WeakRef', 'Proxy', 'Reflect', 'FinalizationRegistry', 'SharedArrayBuffer', 'Float16Array', 'decodeURI',
  'decodeURIComponent', 'encodeURI', 'encodeURIComponent', 'escape', 'unescape', 'isFinite', 'isNaN',
]);
/** Own properties of errors that Node.js assigns, which a frozen prototype would not let it. */
const ASSIGNED = ['name', 'message', 'stack', 'code', 'toString', 'constructor'];

/** To be called once, when all is set up. */
export function disarm() {
  for (const name of Reflect.ownKeys(globalThis)) {
    if (!LANGUAGE.has(/** @type {string} */ (name))) Reflect.deleteProperty(globalThis, name);
  }
  const seen = new Set();
  for (const name of LANGUAGE) freeze(/** @type {any} */ (globalThis)[name], seen);
  for (const made of [
    function* () {}, async function () {}, async function* () {}, [].values(), new Map().values(), new Set().values(),
    ''[Symbol.iterator](), ''.matchAll(/./g),
  ]) {
    freeze(Object.getPrototypeOf(made), seen);
  }
  Object.freeze(globalThis);
}

/** @param {any} value @param {Set<any>} seen */
function freeze(value, seen) {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
  if (value === globalThis || seen.has(value)) return;
  seen.add(value);
  if (value === Error.prototype) makeAssignable(value);
  Object.freeze(value);
  freeze(Object.getPrototypeOf(value), seen);
  for (const key of Reflect.ownKeys(value)) {
    const { value: item, get, set } = /** @type {PropertyDescriptor} */ (Reflect.getOwnPropertyDescriptor(value, key));
    for (const part of [item, get, set]) freeze(part, seen);
  }
}

/**
 * Assigning to an object what its frozen prototype has would throw: let it define the property.
 * @param {any} prototype
 */
function makeAssignable(prototype) {
  for (const key of ASSIGNED) {
    const now = Reflect.getOwnPropertyDescriptor(prototype, key);
    if (!now || !('value' in now)) continue;
    Object.defineProperty(prototype, key, {
      get: () => now.value,
      set(value) {
        Object.defineProperty(this, key, { value, writable: true, enumerable: true, configurable: true });
      },
      configurable: false,
    });
  }
}
