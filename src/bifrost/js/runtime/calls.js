/** Python's calls while they are here, and which of them the code that runs belongs to. */

import { Boolean, Number, Promise, process } from '../protocol/globals.js';

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
    /** Rejects when the call is to end without a result. @type {Promise<never>} */
    this.stopped = new Promise((_, reject) => (this.stop = reject));
    this.stopped.catch(() => {});
  }
  /** @type {(reason: any) => void} */
  stop = () => {};
  /** Whether its result is being collected and sent: nothing can reach it any more. */
  isClosing = false;
  /** Whether a promise will end it. Otherwise its code is on the stack; or was, and has been torn. */
  isWaiting = false;
  /** Whether it has been told to stop, outside of its own code. */
  isStopped = false;
  /** What it comes to if it is torn before its result is collected. @type {((reason: any) => any) | null} */
  whenTorn = null;

  get isWithoutEnd() {
    return this.isClosing || !this.isWaiting;
  }
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
