/** The globals of work functions, besides the language's own. */

import { Object, Promise, Reflect, TypeError } from './globals.js';
import { console } from './console.js';
import { AbortController, AbortSignal, CustomEvent, DOMException, Event, EventTarget } from './events.js';
import { module, require } from './modules.js';
import { pack } from '../../protocol/parcels.js';
import { Rejected, about, emit, progress, stray } from './slices.js';
import { TextDecoder, TextEncoder, atob, btoa } from './text.js';
import { clearTimeout, setImmediate, setInterval, setTimeout } from './timers.js';
import { URL, URLSearchParams } from './url.js';
import { Blob, crypto, performance, structuredClone } from './web.js';

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
    emit(`${name}`, pack(value));
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

/** Libraries ask for it to tell a worker of the web's, which is what this is most like. */
class WorkerGlobalScope {}

/** To be called once. */
export function install() {
  const globals = {
    AbortController, AbortSignal, Blob, CustomEvent, DOMException, Event, EventTarget, TextDecoder, TextEncoder, URL,
    URLSearchParams, WorkerGlobalScope, atob, btoa, clearImmediate: clearTimeout, clearInterval: clearTimeout,
    clearTimeout, console, crypto, module, performance, progress, queueMicrotask, require, self: globalThis,
    setImmediate, setInterval, setTimeout, structuredClone, work,
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
