/** Events, and signals to give up, as the web has them. */

import { Array, Error, Map, Object, TypeError } from './globals.js';
import { now } from './host.js';
import { stray } from './slices.js';
import { setTimeout } from './timers.js';

export class DOMException extends Error {
  #name;
  /** @param {any} [message] @param {any} [name] */
  constructor(message = '', name = 'Error') {
    super(`${message}`);
    this.#name = `${typeof name === 'object' ? name?.name : name}`;
  }
  get name() {
    return this.#name;
  }
  get code() {
    return { AbortError: 20, TimeoutError: 23, DataCloneError: 25, InvalidCharacterError: 5 }[this.#name] ?? 0;
  }
}

export class Event {
  #prevented = false;
  /** @type {EventTarget | null} */
  target = null;
  /** @type {EventTarget | null} */
  currentTarget = null;
  timeStamp = now();

  /** @param {any} type @param {{bubbles?: boolean, cancelable?: boolean, composed?: boolean}} [options] */
  constructor(type, { bubbles = false, cancelable = false, composed = false } = {}) {
    this.type = `${type}`;
    this.bubbles = bubbles;
    this.cancelable = cancelable;
    this.composed = composed;
    this.stopped = false;
    Object.defineProperty(this, 'stopped', { enumerable: false });
  }
  get defaultPrevented() {
    return this.#prevented;
  }
  preventDefault() {
    if (this.cancelable) this.#prevented = true;
  }
  stopImmediatePropagation() {
    this.stopped = true;
  }
  stopPropagation() {}
}

export class CustomEvent extends Event {
  /** @param {any} type @param {any} [options] */
  constructor(type, options = {}) {
    super(type, options);
    this.detail = options.detail ?? null;
  }
}

export class EventTarget {
  /** @type {Map<string, Array<{listener: any, once: boolean}>>} */
  #listeners = new Map();

  /** @param {any} type @param {any} listener @param {any} [options] */
  addEventListener(type, listener, options) {
    if (!listener) return;
    const all = this.#listeners.get(`${type}`) ?? [];
    if (!all.some((known) => known.listener === listener)) all.push({ listener, once: Boolean(options?.once) });
    this.#listeners.set(`${type}`, all);
    options?.signal?.addEventListener('abort', () => this.removeEventListener(type, listener));
  }

  /** @param {any} type @param {any} listener */
  removeEventListener(type, listener) {
    const all = this.#listeners.get(`${type}`) ?? [];
    this.#listeners.set(`${type}`, all.filter((known) => known.listener !== listener));
  }

  /** @param {Event} event */
  dispatchEvent(event) {
    event.target = event.currentTarget = this;
    const handler = /** @type {any} */ (this)[`on${event.type}`];
    const all = [...(typeof handler === 'function' ? [{ listener: handler, once: false }] : [])];
    for (const { listener, once } of [...all, ...(this.#listeners.get(event.type) ?? [])]) {
      if (event.stopped) break;
      if (once) this.removeEventListener(event.type, listener);
      try {
        if (typeof listener === 'function') listener.call(this, event);
        else listener.handleEvent(event);
      } catch (error) {
        stray(error);
      }
    }
    return !event.defaultPrevented;
  }
}

/** To make signals with, which only a controller may. */
const KEY = {};

export class AbortSignal extends EventTarget {
  #aborted = false;
  /** @type {any} */
  #reason = undefined;

  /** @param {any} key */
  constructor(key) {
    super();
    if (key !== KEY) throw new TypeError('Illegal constructor');
  }
  /** @param {any} [reason] */
  static abort(reason) {
    return abort(new AbortSignal(KEY), reason);
  }
  /** @param {number} ms */
  static timeout(ms) {
    const signal = new AbortSignal(KEY);
    setTimeout(() => abort(signal, new DOMException('The operation was aborted due to timeout', 'TimeoutError')), ms);
    return signal;
  }
  /** @param {Iterable<AbortSignal>} signals */
  static any(signals) {
    const all = new AbortSignal(KEY);
    for (const one of signals) {
      if (one.aborted) return abort(all, one.reason);
      one.addEventListener('abort', () => abort(all, one.reason));
    }
    return all;
  }
  /** @param {AbortSignal} signal @param {any} reason */
  static #set(signal, reason) {
    signal.#aborted = true;
    signal.#reason = reason;
  }
  static {
    setAborted = AbortSignal.#set;
  }
  get aborted() {
    return this.#aborted;
  }
  get reason() {
    return this.#reason;
  }
  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
}

/** @type {(signal: AbortSignal, reason: any) => void} */
var setAborted;

/** @param {AbortSignal} signal @param {any} reason */
function abort(signal, reason = new DOMException('This operation was aborted', 'AbortError')) {
  if (!signal.aborted) {
    setAborted(signal, reason);
    signal.dispatchEvent(new Event('abort'));
  }
  return signal;
}

export class AbortController {
  #signal = new AbortSignal(KEY);
  get signal() {
    return this.#signal;
  }
  /** @param {any} [reason] */
  abort(reason) {
    abort(this.#signal, reason);
  }
}
