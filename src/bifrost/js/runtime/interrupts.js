/**
 * Stopping JavaScript from outside. A worker thread listens to the control pipe; to stop a call it
 * has the inspector run `interrupt` in the main thread, which works in the middle of a loop, and
 * again until the call is over.
 *
 * Terminated JavaScript just ends: no `catch` or `finally` of it runs. And it does so a little later
 * than it is told to, at its next loop or call: code that ends before then hands its end on to whatever
 * runs next. So `contain` runs the user's code within an evaluation of the inspector's, which is where
 * a termination stops, and has it meet what is still due before it leaves that. What the event loop
 * calls (timers, promise callbacks) is not contained: there V8 also forgets the promise callbacks that
 * were due, and Node its immediates. Those are saved; `Session.resume` makes up for promises of ours.
 */

import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { Error, Object, String, URL, process, setImmediate } from '../protocol/globals.js';
import { saveImmediates } from './immediates.js';

const NAME = '__bifrost_interrupt__';
const ACTION = '__bifrost_action__';
const HERE = new URL('..', import.meta.url).href;
/** So often the bridge may say that it is about to be done, before it is torn apart. */
const PATIENCE = 10;

/** Thrown for what Python asked to stop. */
export class Interrupted extends Error {
  name = 'Interrupted';

  constructor(message = 'the run was stopped') {
    super(message);
  }
}

/** What the main thread is at: what the event loop calls. */
const LOOP = 0;
/** The user's code, contained. */
const OPEN = 1;
/** Bridge code that calls the user's (getters, say), contained: ended if it does not end by itself. */
const SOFT = 2;
/** Bridge code, which must not be torn. */
const HARD = 3;

/** Says what may be terminated. */
export class Critical {
  #state = LOOP;
  #session = new inspector.Session();
  /** Asks whether the code that bridge code returns to is to be ended. @type {(() => boolean) | null} */
  #due = null;
  /** Whether what the event loop called has been terminated, and its consequences not yet been seen to. */
  hasTerminated = false;

  constructor() {
    this.#session.connect();
    Object.defineProperty(globalThis, ACTION, { value: undefined, writable: true });
  }

  /** Run bridge code. @template T @param {() => T} action @returns {T} */
  run(action) {
    const before = this.#state;
    this.#state = HARD;
    try {
      return action();
    } finally {
      this.#state = before;
    }
  }

  /**
   * Run the user's code from within bridge code. Terminated, it ends here and not further out.
   * @template T
   * @param {() => T} action
   * @returns {T}
   */
  contain(action) {
    return this.#contain(action, OPEN);
  }

  /** Run bridge code that calls the user's. @template T @param {() => T} action @returns {T} */
  soften(action) {
    return this.#contain(action, SOFT);
  }

  /** @template T @param {() => T} action @param {number} state @returns {T} */
  #contain(action, state) {
    /** @type {{value: T} | {thrown: any} | undefined} */
    let outcome;
    const before = this.#state;
    const scope = /** @type {any} */ (globalThis);
    const outer = scope[ACTION]; // `interrupt` may run, and send, before the evaluation begins
    scope[ACTION] = () => {
      this.#state = state;
      try {
        outcome = { value: action() };
      } catch (thrown) {
        outcome = { thrown };
      }
      this.#state = HARD;
      meetTermination();
    };
    this.#session.post('Runtime.evaluate', { expression: `${ACTION}()`, silent: true });
    scope[ACTION] = outer;
    this.#state = before;
    if (!outcome) throw new Interrupted();
    if ('thrown' in outcome) throw outcome.thrown;
    return outcome.value;
  }

  get isHard() {
    return this.#state === HARD;
  }

  get isSoft() {
    return this.#state === SOFT;
  }

  /** Whether it is the event loop that called what runs. */
  get isLoop() {
    return this.#state === LOOP;
  }

  /** Code that mostly is in calls of Python is met there: end it when it goes on. @param {() => boolean} isDue */
  terminateLater(isDue) {
    this.#due = isDue;
  }

  /** The user's code goes on, after a call of Python. */
  goOn() {
    if (!this.#due || this.isHard || this.isSoft) return;
    const isDue = this.#due;
    this.#due = null;
    if (isDue() && isTearable(this)) this.terminate();
  }

  /** End the JavaScript that is running. Nothing may follow this: it would be ended in its place. */
  terminate() {
    if (this.#state === LOOP) {
      this.hasTerminated = true;
      saveImmediates();
    }
    this.#session.post('Runtime.terminateExecution');
  }
}

/** Loops, which is where a termination strikes. */
function meetTermination() {
  for (let n = 0; n < rounds; n++);
}
let rounds = 4; // no constant, or the loop might be unrolled

/** The JavaScript on the stack, but for this very check: the innermost first. */
function stack() {
  const before = { stackTraceLimit: Error.stackTraceLimit, prepareStackTrace: Error.prepareStackTrace };
  Object.assign(Error, { stackTraceLimit: 100, prepareStackTrace: undefined });
  const frames = String(new Error().stack).split('\n').slice(4); // the message, stack, interrupt, its call
  Object.assign(Error, before);
  return frames;
}

/** Whether a line of a stack is of the user's code. @param {string} frame */
const isUsers = (frame) => !frame.includes(HERE) && !/node:|<anonymous>\)?$|\(native\)/.test(frame);

/** The event loop's own code is not torn: it holds what it has read, say. @param {Critical} critical @param {string[]} frames */
function isTearable(critical, frames = stack()) {
  if (!critical.isLoop) return true;
  // Node's `fetch` has WebAssembly of its own.
  const isNodes = frames.some((frame) => frame.includes('node:internal/deps/'));
  return frames.some((frame) => isUsers(frame) && !(isNodes && frame.includes('wasm:')));
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
    session.noteStop(id);
    const reason = new Interrupted();
    const frames = stack();
    if (frames.length === 0) {
      if (critical.hasTerminated) setImmediate(() => session.resume());
      if (!session.isActive(id)) return session.refuse(id, reason);
      setImmediate(() => session.stop(id, reason));
      return false;
    }
    if (critical.isHard) {
      critical.terminateLater(() => session.isActive(id) && session.mayEnd(id));
      return false;
    }
    if (!session.isActive(id)) {
      if (critical.isSoft) return false;
      if (!session.isKeptOut(id)) return session.refuse(id, reason);
    } else if (!session.mayEnd(id) || (critical.isSoft && attempt < PATIENCE)) {
      return false;
    }
    if (isTearable(critical, frames)) critical.terminate();
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
