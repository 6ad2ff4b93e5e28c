/** Results that are to lie elsewhere: each is posted to a server, whose answer takes its place. */

import { setTimeout } from 'node:timers/promises';
import { NDArray } from '../protocol/arrays.js';
import {
  AbortController, Array, ArrayBuffer, Date, Error, JSON, Number, Object, Promise, String, SyntaxError, TypeError,
} from '../protocol/globals.js';
import { kindOf } from './inputs.js';
import { because, bytesOf, checked, request, shown, valueOf } from './remote.js';

/** So many results are on their way at once. */
const LANES = 8;
/** Milliseconds before each further attempt, where one may help. */
const PAUSES = [200, 1000, 3000];

/**
 * Stands between an engine and its job: results pass when they are stored, all else in its order.
 *
 * The job hears `stored` (index, time, answer) instead of `result`, and `unstored` (index, error,
 * reason) of the first that failed: it is kept, like all that come then and those that are on their
 * way, and the job is not complete without them.
 */
export class ResultStorage {
  #url;
  #params;
  #open;
  #hear;
  /** @type {Promise<any>[]} */
  #lanes = Array.from({ length: LANES }, () => Promise.resolve());
  #controller = new AbortController();
  /** What came last is heard after all before it. */
  #turn = Promise.resolve();
  /** Results that have not been stored, as they came. @type {any[][]} */
  #kept = [];
  /** The first that could not be, and why. @type {[number, any] | undefined} */
  #failure;
  /** What ended this first: that, or `stop`. A code and a reason. @type {[string, string] | undefined} */
  #end;
  #isComputed = false;

  /**
   * @param {any} url of http or https
   * @param {any} params sent with each result; `contentType` says as what (JSON if left out), and
   *   `element` as which (the slice's number)
   * @param {(index: number, parcel: Uint8Array) => [any] | undefined} open gives what a worker sent, if it can be read
   * @param {(kind: string, parts: any[]) => void} hear takes what happens
   * @throws {TypeError} it is no address, or no object
   */
  constructor(url, params, open, hear) {
    this.#url = checked(url);
    if (!/^https?:/i.test(this.#url)) throw new TypeError(`${shown(this.#url)} is no address that results can be sent to`);
    if (typeof params !== 'object' || params === null) {
      throw new TypeError(`the parameters of a result storage are an object, not ${kindOf(params)}`);
    }
    this.#params = { contentType: 'application/json', ...params };
    this.#open = open;
    this.#hear = hear;
  }

  /** Take an event of the engine. @param {string} kind @param {any[]} parts */
  pass(kind, parts) {
    const isResult = kind === 'result';
    const stored = isResult ? this.#store(parts[0], parts[2]) : undefined;
    stored?.catch(() => {}); // it is looked at in its turn
    this.#turn = this.#turn.then(() => (stored ? this.#settle(parts, stored) : this.#tell(kind, parts)));
  }

  /** Send nothing more, and wait for nothing; until `again`. @param {string} reason */
  stop(reason) {
    this.#end ??= ['ECANCELLED', reason];
    this.#controller.abort();
  }

  /**
   * Try again what has not been stored.
   * @returns {boolean} whether that is all there is to do
   */
  again() {
    this.#controller = new AbortController();
    this.#failure = this.#end = undefined;
    for (const parts of this.#kept.splice(0)) this.pass('result', parts);
    if (this.#isComputed) this.pass('complete', []);
    return this.#isComputed;
  }

  /** @param {string} kind @param {any[]} parts */
  #tell(kind, parts) {
    if (kind === 'complete' && this.#kept.length > 0) {
      this.#isComputed = true;
      this.#hear('cancel', /** @type {any[]} */ (this.#end));
    } else this.#hear(kind, parts);
  }

  /** @param {any[]} parts @param {Promise<[any] | undefined>} stored */
  async #settle(parts, stored) {
    const [index, time] = parts;
    const [answer, error] = await stored.then((value) => [value], (reason) => [undefined, reason]);
    if (answer) this.#hear('stored', [index, time, answer[0]]);
    if (error === undefined) return;
    if (this.#kept.push(parts) > 1 || !this.#failure) return;
    this.#hear('unstored', [...this.#failure, this.#end?.[1]]);
  }

  /**
   * The server's answer to a result: JSON's value, text or bytes.
   * @param {number} index @param {Uint8Array} parcel @returns {Promise<[any] | undefined>}
   */
  #store(index, parcel) {
    const { signal } = this.#controller;
    const lane = index % LANES;
    const stored = this.#lanes[lane].then(async () => {
      signal.throwIfAborted();
      const value = this.#open(index, parcel);
      if (!value) return undefined;
      return /** @type {[any]} */ ([await this.#post(this.#form(index, value[0]), signal)]);
    });
    this.#lanes[lane] = stored.catch((error) => {
      if (signal.aborted) return; // that may be all that is wrong with it
      this.#failure = [index, error];
      this.#end = ['ESTORAGE', `slice ${index}: its result cannot be stored: ${error?.message ?? error}`];
      this.#controller.abort(); // one that failed is enough to know
    });
    return stored;
  }

  /** @param {number} index @param {any} result */
  #form(index, result) {
    const fields = { element: index, ...this.#params };
    const content = contentOf(result, String(fields.contentType));
    const form = typeof content === 'string' ? new globalThis.URLSearchParams() : new globalThis.FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
    form.append('content', /** @type {any} */ (content));
    return form;
  }

  /** @param {any} body @param {AbortSignal} signal @returns {Promise<any>} */
  async #post(body, signal) {
    for (let attempt = 0; ; attempt++) {
      const { answer, error, isFinal } = await this.#attempt(body, signal);
      if (!error) return answer;
      if (isFinal || attempt === PAUSES.length) throw error;
      await setTimeout(PAUSES[attempt], undefined, { signal });
    }
  }

  /** @param {any} body @param {AbortSignal} signal @returns {Promise<{answer?: any, error?: Error, isFinal?: boolean}>} */
  async #attempt(body, signal) {
    const where = shown(this.#url);
    let response;
    try {
      response = await request(this.#url, { method: 'POST', body, signal });
    } catch (error) {
      if (signal.aborted) throw error;
      return { error: new Error(`cannot reach ${where}: ${because(error)}`, { cause: error }) };
    }
    const { ok, status, statusText } = response;
    if (!ok) {
      const said = (await response.text().catch(() => '')).slice(0, 200);
      const error = new Error(`${where} answered ${status} ${statusText}${said && `: ${said}`}`);
      return { error, isFinal: status < 500 && status !== 429 };
    }
    try {
      const bytes = await bytesOf(response);
      return { answer: bytes.length > 0 ? valueOf(bytes, response) : undefined };
    } catch (error) {
      if (signal.aborted) throw error;
      // It has the result: one more attempt would store that twice.
      const what = error instanceof SyntaxError ? `what is ${error.message}` : `what cannot be read: ${because(error)}`;
      return { error: new Error(`${where} answered ${what}`, { cause: error }), isFinal: true };
    }
  }
}

/** A result as what a content type says it is. @param {any} result @param {string} type @returns {string | Blob} */
function contentOf(result, type) {
  if (/^application\/json\b|\+json\b/i.test(type)) return JSON.stringify(jsonOf(result, '$'));
  if (/^text\//i.test(type)) {
    if (typeof result === 'string') return result;
    throw new TypeError(`a result of type ${type} is text, not ${kindOf(result)}`);
  }
  const bytes = result instanceof NDArray ? result.typedArray : result;
  if (!(bytes instanceof ArrayBuffer || ArrayBuffer.isView(bytes))) {
    throw new TypeError(`a result of type ${type} is bytes, such as a Uint8Array, not ${kindOf(result)}`);
  }
  return new globalThis.Blob([/** @type {any} */ (bytes)], { type });
}

/**
 * The same value of what JSON has: typed arrays are Arrays, dates text; what it has not is an error.
 * @param {any} value
 * @param {string} path
 * @returns {any}
 */
function jsonOf(value, path) {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)) return value;
  if (value instanceof NDArray) return jsonOf(value.toArray(), path);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value)) {
    return Array.from(/** @type {any} */ (value), (item, index) => jsonOf(item, `${path}[${index}]`));
  }
  const prototype = typeof value === 'object' ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    const kind = typeof value === 'number' ? String(value) : kindOf(value);
    throw new TypeError(`${path}: JSON has no such value as ${kind}: return another, or store results as another contentType`);
  }
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, jsonOf(item, `${path}.${key}`)]));
}
