/** DCP's event emitters: like Node's, but upper and lower case are the same. */

import { Array, Map, Reflect, String, TypeError, process } from '../protocol/globals.js';

/** @typedef {(...args: any[]) => any} Listener */

export class EventEmitter {
  /** @type {Map<string, {listener: Listener, once: boolean}[]>} */
  #listeners = new Map();

  /** @param {string} name @param {Listener} listener @param {boolean} once */
  #add(name, listener, once) {
    if (typeof listener !== 'function') throw new TypeError(`the listener for ${String(name)} is not a function`);
    const key = String(name).toLowerCase();
    const before = this.#listeners.get(key) ?? [];
    this.#listeners.set(key, [...before, { listener, once }]);
    return this;
  }

  /** @param {string} name @param {Listener} listener */
  on(name, listener) {
    return this.#add(name, listener, false);
  }

  /** Like `on`, for the next event only. @param {string} name @param {Listener} listener */
  once(name, listener) {
    return this.#add(name, listener, true);
  }

  /** @param {string} name @param {Listener} listener */
  off(name, listener) {
    const key = String(name).toLowerCase();
    const before = this.#listeners.get(key) ?? [];
    const last = before.findLastIndex((one) => one.listener === listener);
    if (last >= 0) this.#listeners.set(key, before.toSpliced(last, 1));
    return this;
  }

  /** @param {string} name @param {Listener} listener */
  addListener(name, listener) {
    return this.on(name, listener);
  }

  /** @param {string} name @param {Listener} listener */
  addEventListener(name, listener) {
    return this.on(name, listener);
  }

  /** @param {string} name @param {Listener} listener */
  removeListener(name, listener) {
    return this.off(name, listener);
  }

  /** @param {string} name @param {Listener} listener */
  removeEventListener(name, listener) {
    return this.off(name, listener);
  }

  /** @param {string} [name] all events if left out */
  removeAllListeners(name) {
    if (name === undefined) this.#listeners.clear();
    else this.#listeners.delete(String(name).toLowerCase());
    return this;
  }

  /** @param {string} name @returns {Listener[]} */
  listeners(name) {
    return (this.#listeners.get(String(name).toLowerCase()) ?? []).map((one) => one.listener);
  }

  /** @param {string} name */
  listenerCount(name) {
    return this.listeners(name).length;
  }

  /** Names, in lower case, that somebody listens to. */
  eventNames() {
    return Array.from(this.#listeners.keys()).filter((name) => this.listenerCount(name) > 0);
  }

  /**
   * Call the listeners. One that throws does not keep an event from the others, or from the job:
   * its error is an uncaught exception.
   * @param {string} name
   * @param {...any} args
   * @returns {boolean} whether there was one
   */
  emit(name, ...args) {
    const present = this.#listeners.get(String(name).toLowerCase()) ?? [];
    for (const { listener, once } of present) {
      if (once) this.off(name, listener);
      try {
        Reflect.apply(listener, this, args);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
    return present.length > 0;
  }
}
