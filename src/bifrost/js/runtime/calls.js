/** Python's calls while they are here, and which of them the code that runs belongs to. */

import { Number, Set, process } from '../protocol/globals.js';

/** In the place of a call's parent: no thread waits for the answer, which goes to the events. */
const UNAWAITED = 0xffff_ffff;

/** A call of Python's that has not been answered yet. */
export class Call {
  /** @param {number} id @param {number} parent the call of ours for which Python makes it; or UNAWAITED */
  constructor(id, parent) {
    this.id = id;
    /** Whether a thread of Python's waits for it. */
    this.isAwaited = parent !== UNAWAITED;
    /** Whether the event loop will stand still until it has been answered. */
    this.isNested = this.isAwaited && parent !== 0;
    /** What it waits for, if its code has left the stack. @type {Later | null} */
    this.later = null;
    /** Why it is not to wait. @type {any} */
    this.refusal = undefined;
    /** Whether Python has asked for its end. */
    this.isStopped = false;
    /** What is to be done after that. @type {Set<() => void>} */
    this.atStop = new Set();
  }
}

/**
 * What a method returns that is not done yet: a promise, and what becomes of the call once that has
 * settled. A call that is stopped goes on as if it had been rejected.
 */
export class Later {
  /**
   * @param {Promise<any>} promise
   * @param {(value: any) => any} fulfilled returns the call's result, or throws
   * @param {(reason: any) => any} rejected
   */
  constructor(promise, fulfilled = (value) => value, rejected = rethrow) {
    this.promise = promise;
    this.fulfilled = fulfilled;
    this.rejected = rejected;
  }
}

/** @param {any} reason @returns {never} */
function rethrow(reason) {
  throw reason;
}

/**
 * Whether Node follows whose callbacks run by means of V8's own. Older releases do it by hooks
 * around every callback, and abort when JavaScript is terminated within one.
 */
export function tracksContext() {
  return Number.parseInt(process.versions.node) >= 24 && !process.execArgv.includes('--no-async-context-frame');
}

/** The substitute for older releases: knows what runs now, but not on whose behalf a callback does. */
export class Latest {
  /** @type {Call | undefined} */
  #call;

  /** @template T @param {Call} call @param {() => T} action @returns {T} */
  run(call, action) {
    const before = this.#call;
    this.#call = call;
    try {
      return action();
    } finally {
      this.#call = before;
    }
  }

  getStore() {
    return this.#call;
  }
}
