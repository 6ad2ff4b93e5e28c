/** The globals of work functions, besides the language's own. */

import { Object, Promise, Reflect, TypeError } from './globals.js';
import { console } from './console.js';
import { Type } from './messages.js';
import { module, require } from './modules.js';
import { pack } from '../../protocol/parcels.js';
import { Rejected, about, progress, stray, tell } from './slices.js';
import { clearTimeout, setImmediate, setInterval, setTimeout } from './timers.js';

/** @param {any} action */
function queueMicrotask(action) {
  if (typeof action !== 'function') throw new TypeError('queueMicrotask needs a function to call');
  Reflect.apply(Promise.prototype.then, Promise.resolve(), [
    () => {
      try {
        action();
      } catch (error) {
        stray(error);
      }
    },
  ]);
}

const work = {
  /** An event for who has the job. @param {any} name @param {any} [value] */
  emit(name, value) {
    tell(Type.EMIT, [`${name}`, pack(value)]);
    return true;
  },
  job: {
    get public() {
      return about.public;
    },
  },
  /** The slice fails. @param {any} [reason] @param {any} [retries] how often it may be tried again */
  reject(reason, retries = 0) {
    throw new Rejected(reason, Number(retries) || 0);
  },
};

/** To be called once. */
export function install() {
  const globals = {
    clearImmediate: clearTimeout, clearInterval: clearTimeout, clearTimeout, console, module, progress,
    queueMicrotask, require, setImmediate, setInterval, setTimeout, work,
  };
  for (const [name, value] of Object.entries(globals)) define(name, value);
  const { WebAssembly } = /** @type {any} */ (globalThis);
  for (const name of ['compileStreaming', 'instantiateStreaming']) Reflect.deleteProperty(WebAssembly, name);
  Object.freeze(work.job);
}

/** @param {string} name @param {any} value */
function define(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}
