/** A job: what the user sets and listens to; the work itself is done by Python's engines. */

import { randomInt } from 'node:crypto';
import { AbortController, Array, Error, Map, Number, Object, Promise, String, TypeError, console, setImmediate } from '../protocol/globals.js';
import { unpack } from '../protocol/parcels.js';
import { EventEmitter } from './emitter.js';
import { kindOf, parcelOf } from './inputs.js';
import { argumentsOf } from './remote.js';
import { ResultHandle } from './results.js';
import { ResultStorage } from './storage.js';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const ID_LENGTH = 22;

/**
 * What runs jobs: Python's `bridge.py`, or another with the same methods.
 * @typedef {object} Engine
 * @property {(spec: object, notify: (events: any[][]) => void) => Running} start
 * @property {(action: () => void) => () => void} atStop has something done when Python stops the code
 *   that runs, by Ctrl-C or a time-out; what it returns takes that back
 */

/**
 * A job that an engine has. `begin` also goes on after `cancel`, and then pulls anew what it was not
 * given; `feed` answers `pull` with inputs from `start` on, and may bring some again.
 * @typedef {object} Running
 * @property {() => void} begin
 * @property {(start: number, parcels: Uint8Array[], exhausted: boolean) => void} feed
 * @property {(reason: string, code?: string) => void} cancel
 */

/** Why `exec` was rejected. */
export class JobError extends Error {
  name = 'JobError';

  /** @param {string} message @param {string} code such as ETOOMANYERRORS @param {string} reason @param {ErrorOptions} [options] */
  constructor(message, code, reason, options) {
    super(message, options);
    this.code = code;
    this.reason = reason;
  }
}

/** Made by `compute.for`; runs when `exec` is called. */
export class Job extends EventEmitter {
  #engine;
  #inputs;
  #source;
  #arguments;
  /** @type {Running | undefined} */
  #running;
  #hasStarted = false;
  #isOver = false;
  /** What ended the job that only we know: an input that failed, or a result that cannot be read. @type {Error | undefined} */
  #failure;
  /** What the user, or the end of a cell, did to it last. @type {{reason: string} | undefined} */
  #cancelled;
  /** Ends what goes on before the engine has the job. */
  #starting = new AbortController();
  /** How `exec`, or the newest `resume`, is to end. @type {{promise: Promise<any>, resolve: (value: any) => void, reject: (reason: any) => void}} */
  #ending = withResolvers();
  #status = {
    runStatus: /** @type {string | null} */ (null),
    total: /** @type {number | null} */ (null),
    distributed: 0,
    computed: 0,
  };
  /** @type {Map<number, any>} */
  #values = new Map();
  /** Where results go, if not here. @type {ResultStorage | undefined} */
  #storage;
  #stayed = () => {};

  /** 22 letters and digits; set when `exec` is called. @type {string | null} */
  id = null;
  readyState = 'new';
  /** What the work function and the engine's displays may show. */
  public = {
    name: /** @type {string | null} */ (null),
    description: /** @type {string | null} */ (null),
    link: /** @type {string | null} */ (null),
  };
  /** Modules that the work function may require. @type {string[]} */
  requireModules = [];
  /** DCP's demands on workers (a GPU and the like). Workers here are all alike. @type {Record<string, any>} */
  requirements = {};
  /** DCP's groups of workers. Here all workers work for every job. @type {object[]} */
  computeGroups = [];
  /** Whether `results` keeps what comes. */
  collateResults = true;
  /** For DCP's sake: a job that is done is always closed. */
  autoClose = true;
  /** Bifrost's own settings: retries, errorRetries, sliceTimeout, progressTimeout, memory, concurrency. @type {Record<string, any>} */
  policy = {};
  /** Emits what the work function gives to `work.emit`. */
  work = new EventEmitter();
  /** Remembered, as in DCP; nothing is paid here. @type {any} */
  slicePaymentOffer = undefined;
  /** @type {any} */
  paymentAccountKeystore = null;
  results;

  /**
   * @param {Engine} engine
   * @param {import('./inputs.js').Inputs} inputs
   * @param {string} source of the work function
   * @param {ArrayLike<any>} args further arguments of every call
   */
  constructor(engine, inputs, source, args) {
    super();
    this.#engine = engine;
    this.#inputs = inputs;
    this.#source = source;
    this.#arguments = args;
    this.results = new ResultHandle({
      values: this.#values,
      key: (index) => inputs.key(index),
      announce: (slices) => slices.forEach((index) => this.#announce(index, this.#values.get(index), 0)),
    });
    this.#ending.promise.catch(() => {}); // whoever called `exec` has a promise of its own
  }

  get status() {
    return { ...this.#status };
  }

  /** Modules that the work function may require. @param {string | string[]} names */
  requires(names) {
    if (this.#hasStarted) throw new Error('job.requires() comes before job.exec()');
    for (const name of Array.isArray(names) ? names : [names]) {
      if (typeof name !== 'string') throw new TypeError(`a module is required by its name, not by ${kindOf(name)}`);
      if (!this.requireModules.includes(name)) this.requireModules.push(name);
    }
  }

  /** @param {any} offer @param {any} [account] */
  setSlicePaymentOffer(offer, account) {
    this.slicePaymentOffer = offer;
    if (account !== undefined) this.setPaymentAccountKeystore(account);
  }

  /** @param {any} keystore */
  setPaymentAccountKeystore(keystore) {
    if (keystore === null || typeof keystore !== 'object' || typeof keystore.then === 'function') {
      throw new TypeError('this is no keystore; wallet.get() and dcpCli.getAccountKeystore() give promises of one');
    }
    this.paymentAccountKeystore = keystore;
  }

  /**
   * Have each result posted to a server; what that answers takes its place. It gets a form with
   * `element` (the slice's number), `contentType`, `content` and the parameters.
   * @param {string | URL} url
   * @param {Record<string, any>} [params] `contentType` is JSON if left out; text/... is for results
   *   that are text, all others for bytes
   */
  setResultStorage(url, params = {}) {
    if (this.#hasStarted) throw new Error('job.setResultStorage() comes before job.exec()');
    this.#storage = new ResultStorage(
      url,
      params,
      (index, parcel) => this.#open(index, parcel, 'its result'),
      (kind, parts) => this.#hearSoon(kind, parts),
    );
  }

  /**
   * Run the job.
   * @param {any} [offer] for DCP's sake, like the following: nothing is paid here
   * @param {any} [keystore]
   * @param {any} [_sliceProfile]
   * @returns {Promise<ResultHandle>} the results; rejected when the job is cancelled, which leaves
   *   those that came in `job.results`
   */
  async exec(offer, keystore, _sliceProfile) {
    if (this.#hasStarted) throw new Error('job.exec() was called before: a job runs once; make another with compute.for');
    if (this.#isOver) throw new Error('the job was closed: make another with compute.for');
    if (offer !== undefined) this.setSlicePaymentOffer(offer);
    if (keystore !== undefined && keystore !== null) this.setPaymentAccountKeystore(keystore);
    this.#hasStarted = true;
    this.#setReadyState('exec');
    this.id = Array.from({ length: ID_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join('');
    for (const state of ['init', 'preauth', 'deploying']) this.#setReadyState(state);
    this.#stayed = this.#stay();
    void this.#start();
    return this.#ending.promise;
  }

  /** Have the job run for as long as the cell does that waits for it. @returns {() => void} takes that back */
  #stay() {
    return this.#engine.atStop(() => void this.cancel('the code that ran the job was stopped'));
  }

  /** Run, or go on. */
  async #start() {
    const { signal } = this.#starting;
    this.#inputs.keepsKeys = this.collateResults;
    try {
      signal.throwIfAborted();
      if (!this.#running) {
        let args;
        try {
          const found = argumentsOf(this.#arguments, signal);
          args = parcelOf(Array.isArray(found) ? found : await found, 'arguments');
        } catch (error) {
          const { message } = /** @type {Error} */ (error);
          throw new JobError(message, 'EARGUMENT', message, { cause: error });
        }
        signal.throwIfAborted();
        this.#running = this.#engine.start(this.#describe(args), this.#notify);
      }
      if (!this.#storage?.again()) this.#running.begin();
    } catch (error) {
      if (signal.aborted) {
        this.#cancelWith('ECANCELLED', signal.reason);
        return;
      }
      const { code, name, message } = /** @type {any} */ (error);
      this.#failure = /** @type {Error} */ (error);
      this.#cancelWith(String(code ?? name), message);
    }
  }

  /** @param {Uint8Array} args */
  #describe(args) {
    return {
      id: this.id,
      source: this.#source,
      arguments: args,
      requires: this.requireModules,
      public: parcelOf({ ...this.public }, 'job.public'),
      total: this.#inputs.length,
      policy: { ...this.policy },
    };
  }

  /** Like `exec`, on so many workers at most. @param {number} cores @param {...any} args those of `exec` */
  async localExec(cores = 1, ...args) {
    if (!(Number.isInteger(cores) && cores > 0)) throw new TypeError(`cores is a number from 1 on, not ${String(cores)}`);
    this.policy = { ...this.policy, concurrency: cores };
    return this.exec(...args);
  }

  /** Stop the job. What came stays. @param {any} [reason] */
  async cancel(reason = 'cancelled by the client') {
    if (this.#isOver) return;
    this.#cancelled = { reason: String(reason) };
    this.#stop(this.#cancelled);
  }

  /** @param {{reason: string}} cancelled */
  #stop({ reason }) {
    this.#starting.abort(reason);
    this.#storage?.stop(reason);
    this.#running?.cancel(reason);
  }

  /**
   * Go on with a job that was cancelled; not with one whose inputs failed.
   * @returns {Promise<ResultHandle>} as `exec`
   */
  async resume() {
    if (!this.#hasStarted) throw new Error('job.resume() goes on with a job that was executed');
    const stayed = this.#stay();
    if (this.#status.runStatus !== 'cancelled') await new Promise(setImmediate); // its cell may have been stopped just now
    const cancelled = this.#cancelled;
    // The end that was asked for comes first; and if it is asked for again meanwhile, that is that.
    if (cancelled && this.#status.runStatus !== 'cancelled') await this.#ending.promise.catch(() => {});
    const isOff = this.#status.runStatus !== 'cancelled' || this.#cancelled !== cancelled || this.#isOver || this.#failure;
    if (isOff) {
      stayed();
      return this.#ending.promise;
    }
    this.#stayed = stayed;
    this.#cancelled = undefined;
    this.#starting = new AbortController();
    this.#ending = withResolvers();
    this.#status.runStatus = 'running';
    void this.#start();
    return this.#ending.promise;
  }

  /** Let the engine forget the job; if it runs it is cancelled. */
  async close() {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelled ??= { reason: 'the job was closed' };
    this.#stop(this.#cancelled);
    this.#letGo();
  }

  /** Nothing more is wanted of the engine. */
  #letGo() {
    this.#stayed();
    this.#inputs.close();
    this.#running = undefined;
  }

  /** @param {string} state */
  #setReadyState(state) {
    this.readyState = state;
    this.emit('readystatechange', state);
  }

  /** Gives the engine inputs. @param {number} most */
  async #feed(most) {
    try {
      await this.#inputs.pull(most, (...pulled) => this.#running?.feed(...pulled));
    } catch (error) {
      this.#failure ??= /** @type {Error} */ (error);
      this.#running?.cancel(`an input failed: ${String(error)}`, 'EINPUT');
    }
  }

  /** Takes what the engine has to tell, in order. @type {(events: any[][]) => void} */
  #notify = (events) => {
    for (const [kind, ...parts] of events) {
      if (this.#storage) this.#storage.pass(kind, parts);
      else this.#hearSoon(kind, parts);
    }
  };

  /**
   * Not within the call that tells it, which may come while JavaScript waits for Python; and each event
   * by itself: a listener that is stopped takes no other with it.
   * @param {string} kind @param {any[]} parts
   */
  #hearSoon(kind, parts) {
    setImmediate(() => this.#hear(kind, parts));
  }

  /** @param {string} kind @param {any[]} parts */
  #hear(kind, parts) {
    const [index] = parts;
    switch (kind) {
      case 'pull':
        void this.#feed(index);
        break;
      case 'accepted':
        for (const state of ['listeners', 'compute-groups', 'uploading', 'deployed']) this.#setReadyState(state);
        this.emit('accepted', { job: this });
        break;
      case 'status': {
        const [total, distributed, computed, runStatus] = parts;
        this.#status = { runStatus, total, distributed, computed };
        this.emit('status', this.status);
        break;
      }
      case 'result': {
        const value = this.#open(index, parts[2], 'its result');
        if (value) this.#receive(index, parts[1], value[0]);
        break;
      }
      case 'stored':
        this.#receive(index, parts[1], parts[2]);
        break;
      case 'unstored':
        this.#giveUp(index, parts[1], 'ESTORAGE', parts[2]);
        break;
      case 'duplicate':
        this.emit('duplicate-result', { sliceNumber: index, taskId: this.id });
        break;
      case 'console':
        this.emit('console', { sliceNumber: index, level: parts[1], message: parts[2], ...(parts[3] > 1 && { same: parts[3] }) });
        break;
      case 'work': {
        const value = this.#open(index, parts[2], `work.emit('${parts[1]}')`);
        if (value) this.work.emit(parts[1], value[0]);
        break;
      }
      case 'error':
        this.#complain({ sliceNumber: index, ...parts[1] });
        if (parts[1].code === 'ENOPROGRESS') this.emit('noProgress', { sliceNumber: index });
        break;
      case 'cancel':
        this.#cancelWith(String(index), String(parts[1]));
        break;
      case 'complete':
        this.#status.runStatus = 'finished';
        this.#settle('resolve', this.results);
        this.emit('complete', this.results);
        this.#isOver = true;
        this.#letGo();
        break;
      default:
        throw new Error(`no event ${kind} of a job`);
    }
  }

  /** @param {number} index @param {number} time in milliseconds @param {any} result */
  #receive(index, time, result) {
    if (this.collateResults) this.#values.set(index, result);
    this.#announce(index, result, time);
    if (this.collateResults) this.emit('resultsUpdated', { sliceNumber: index });
  }

  /** What came of a slice is of no use, which ends the job. @param {number} index @param {Error} error @param {string} code @param {string} reason */
  #giveUp(index, { name, message, stack }, code, reason) {
    this.#complain({ sliceNumber: index, name, message, stack, code });
    this.#running?.cancel(reason, code);
  }

  /**
   * What a worker sent; nothing if it cannot be read, which ends the job.
   * @param {number} index @param {Uint8Array} parcel @param {string} what @returns {[any] | undefined}
   */
  #open(index, parcel, what) {
    try {
      return [unpack(parcel)];
    } catch (error) {
      const failure = /** @type {Error} */ (error);
      this.#failure ??= failure;
      this.#giveUp(index, failure, 'EPROTOCOL', `slice ${index}: ${what} cannot be read: ${failure.message}`);
      return undefined;
    }
  }

  /** @param {number} index @param {any} result @param {number} time */
  #announce(index, result, time) {
    this.emit('result', { job: this.id, sliceNumber: index, taskId: this.id, result, time });
  }

  /** An error that nobody listens for is printed. @param {Record<string, any>} error */
  #complain(error) {
    if (this.emit('error', error)) return;
    const { sliceNumber, name, message, stack } = error;
    const text = String(stack ?? '').includes(message) ? stack : `${name}: ${message}`;
    console.error(`Job ${this.id}, slice ${sliceNumber}: ${text}`);
  }

  /** @param {string} code @param {string} reason */
  #cancelWith(code, reason) {
    this.#stayed();
    this.#status.runStatus = 'cancelled';
    this.#settle('reject', this.#failure ?? new JobError(`job ${this.id} was cancelled: ${reason}`, code, reason));
    const event = { job: this.id, runStatus: 'cancelled', reason, code };
    const isHeard = this.emit('cancel', event);
    if (code !== 'ECANCELLED') {
      this.emit(code, event);
      // The promise is often let go: nothing else would tell why there are no results.
      if (!isHeard) console.error(`Job ${this.id} was cancelled: ${reason}`);
    }
  }

  /** End `exec` after the event that tells why, whatever its listeners come to. @param {'resolve' | 'reject'} how @param {any} outcome */
  #settle(how, outcome) {
    const ending = this.#ending;
    setImmediate(() => ending[how](outcome));
  }
}

/** A promise and what settles it. */
function withResolvers() {
  /** @type {any} */
  const ending = {};
  ending.promise = new Promise((resolve, reject) => Object.assign(ending, { resolve, reject }));
  return ending;
}
