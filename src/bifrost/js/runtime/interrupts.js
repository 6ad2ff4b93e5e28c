/**
 * Stopping JavaScript from outside. A worker thread listens to the control pipe; to stop a call it
 * has the inspector run `interrupt` in the main thread, which works in the middle of a loop.
 */

import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { Interrupted } from './session.js';

const NAME = '__bifrost_interrupt__';

/** Bridge code that must not be torn apart: between reading bytes and taking them in, say. */
export class Critical {
  #depth = 0;
  #pending = false;
  #session = new inspector.Session();

  constructor() {
    this.#session.connect();
  }

  /** Run bridge code. @template T @param {() => T} action @returns {T} */
  run(action) {
    this.#depth++;
    try {
      return action();
    } finally {
      this.#depth--;
      if (this.#pending && this.#depth === 0) this.terminate();
    }
  }

  /** Run the user's code from within bridge code. @template T @param {() => T} action @returns {T} */
  leave(action) {
    const depth = this.#depth;
    this.#depth = 0;
    try {
      return action();
    } finally {
      this.#depth = depth;
    }
  }

  /** End the JavaScript that is running; if it is the bridge's, when it is done. */
  terminate() {
    this.#pending = this.#depth > 0;
    if (!this.#pending) this.#session.post('Runtime.terminateExecution');
  }
}

/** Whether JavaScript other than this very check is on the stack. */
function isBusy() {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = 10;
  Error.prepareStackTrace = undefined;
  const frames = String(new Error().stack).split('\n').length - 1;
  Error.stackTraceLimit = stackTraceLimit;
  Error.prepareStackTrace = prepareStackTrace;
  return frames > 3; // isBusy, interrupt and the inspector's call of it
}

/**
 * Start listening.
 * @param {number} control descriptor of the control pipe
 * @param {import('./session.js').Session} session
 * @param {() => void} end called when Python has closed the pipe
 */
export function listen(control, session, end) {
  /** @param {number} id */
  const interrupt = (id) => {
    if (!session.isActive(id)) return;
    session.stop(id, new Interrupted('the run was stopped'));
    if (isBusy()) session.critical.terminate();
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
}
