/**
 * Stopping JavaScript from outside. A worker thread listens to the control pipe; to stop a call it
 * has the inspector run `interrupt` in the main thread, which works in the middle of a loop, and
 * again until the call is over.
 *
 * Terminated JavaScript just ends: no `catch` or `finally` of it runs, and V8 forgets the promise
 * callbacks that were due. So nothing of ours may be due then: the call is told to end afterwards.
 */

import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { Error, Object, String, URL, process, setImmediate } from '../protocol/globals.js';
import { Interrupted } from './session.js';

const TRANSPORT = new URL('./transport.js', import.meta.url).href;
const NAME = '__bifrost_interrupt__';
/** So often the bridge may say that it is about to be done, before it is torn apart. */
const PATIENCE = 10;

/** Says what may be terminated: the user's code, and our own only where it calls that. */
export class Critical {
  /** Sections that must not be torn: between reading bytes and taking them in, say. */
  #hard = 0;
  /** Sections of ours that can be given up: they run getters, which may never return. */
  #soft = 0;
  #session = new inspector.Session();

  constructor() {
    this.#session.connect();
  }

  /** Run bridge code. @template T @param {() => T} action @returns {T} */
  run(action) {
    this.#hard++;
    try {
      return action();
    } finally {
      this.#hard--;
    }
  }

  /** Run the user's code from within bridge code. @template T @param {() => T} action @returns {T} */
  leave(action) {
    return this.#within(0, 0, action);
  }

  /** Run bridge code that calls the user's and may be given up. @template T @param {() => T} action @returns {T} */
  soften(action) {
    return this.#within(0, this.#soft + 1, action);
  }

  /** @template T @param {number} hard @param {number} soft @param {() => T} action @returns {T} */
  #within(hard, soft, action) {
    const [hardBefore, softBefore] = [this.#hard, this.#soft];
    this.#hard = hard;
    this.#soft = soft;
    try {
      return action();
    } finally {
      this.#hard = hardBefore;
      this.#soft = softBefore;
    }
  }

  get isHard() {
    return this.#hard > 0;
  }

  get isSoft() {
    return this.#soft > 0;
  }

  /** Nothing runs, so nothing is critical: what says otherwise was torn. @returns {boolean} whether it was */
  reset() {
    const torn = this.#hard > 0 || this.#soft > 0;
    this.#hard = this.#soft = 0;
    return torn;
  }

  /**
   * Whether JavaScript has been terminated since Python's frames were last seen to: if it was a timer's
   * or an immediate's, Node forgot the other immediates that were due, among them one of ours.
   */
  hasTerminated = false;

  /** Asks whether the code that bridge code returns to is to be ended. @type {(() => boolean) | null} */
  #due = null;

  /** Code that mostly is in calls of Python is met there: end it when it goes on. @param {() => boolean} isDue */
  terminateLater(isDue) {
    this.#due = isDue;
  }

  /** The user's code goes on, after a call of Python. */
  goOn() {
    if (!this.#due || this.isHard || this.isSoft) return;
    const isDue = this.#due;
    this.#due = null;
    if (isDue()) this.terminate();
  }

  /** End the JavaScript that is running. */
  terminate() {
    this.hasTerminated = true;
    this.#session.post('Runtime.terminateExecution');
  }
}

/** The JavaScript on the stack, but for this very check: the innermost first. */
function stack() {
  const before = { stackTraceLimit: Error.stackTraceLimit, prepareStackTrace: Error.prepareStackTrace };
  Object.assign(Error, { stackTraceLimit: 10, prepareStackTrace: undefined });
  const frames = String(new Error().stack).split('\n').slice(4); // the message, stack, interrupt, its call
  Object.assign(Error, before);
  return frames;
}

/**
 * Start listening.
 * @param {number} control descriptor of the control pipe
 * @param {import('./session.js').Session} session
 * @param {() => void} end called when Python has closed the pipe
 * @returns {() => void} to be called when a debugger may pause JavaScript from now on
 */
export function listen(control, session, end) {
  const { critical } = session;
  /**
   * Work towards the end of a call.
   * @param {number} id
   * @param {number} attempt how often it was asked before
   * @returns {boolean} whether the call is over
   */
  const interrupt = (id, attempt) => {
    const reason = new Interrupted('the run was stopped');
    const frames = stack();
    const isFree = frames.length === 0;
    const isTorn = isFree && (critical.reset() || session.isTorn || critical.hasTerminated);
    if (isTorn) setImmediate(() => session.recover(reason));
    if (frames[0]?.includes(TRANSPORT)) return false; // it has read, and is about to say that it is critical
    if (critical.isHard) {
      critical.terminateLater(() => session.isActive(id) && session.mayEnd(id));
      return false;
    }
    if (!session.isActive(id)) {
      if (critical.isSoft || isTorn) return false;
      if (isFree || !session.isKeptOut(id)) return session.refuse(id, reason) && !critical.hasTerminated;
      critical.terminate();
    } else if (isFree) setImmediate(() => session.stop(id, reason));
    else if (session.mayEnd(id) && (!critical.isSoft || attempt >= PATIENCE)) critical.terminate();
    return false;
  };
  Object.defineProperty(globalThis, NAME, { value: interrupt });
  const worker = new Worker(new URL('./watchdog.js', import.meta.url), {
    workerData: { control, name: NAME, pid: process.pid },
    stdout: false,
    stderr: false,
    env: {},
    execArgv: [],
  });
  worker.on('message', end);
  worker.on('error', (error) => process.stderr.write(`bifrost: ${error.stack}\n`));
  return () => worker.postMessage('inspected');
}
