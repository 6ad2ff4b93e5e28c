/** JavaScript objects that Python holds: they stay here, alive, until Python lets go. */

import { inspect, types } from 'node:util';
import { Function, Map, Promise, ReferenceError, Symbol } from '../protocol/globals.js';

const PREVIEW = 200;

/**
 * @typedef {object} Entry
 * @property {any} value
 * @property {number} holds
 * @property {boolean} isSeen whether Python has asked what became of it, if it is a promise
 * @property {{reason: any} | null} rejection
 */

/** The table of what is lent. */
export class References {
  #next = 1;
  /** @type {Map<number, Entry>} */
  #byId = new Map();
  /** @type {Map<any, number>} */
  #ids = new Map();
  /** @type {number[]} */
  #pending = [];

  get size() {
    return this.#byId.size;
  }

  /**
   * Lend a value once more.
   * @param {any} value
   * @returns {{reference: [number, string]}}
   */
  lend(value) {
    let id = this.#ids.get(value);
    if (id === undefined) {
      id = this.#next++;
      this.#ids.set(value, id);
      /** @type {Entry} */
      const entry = { value, holds: 0, isSeen: false, rejection: null };
      this.#byId.set(id, entry);
      // That it may be rejected is Python's to handle, once it gets round to it.
      if (types.isPromise(value)) value.catch((reason) => (entry.rejection = { reason }));
    }
    /** @type {Entry} */ (this.#byId.get(id)).holds++;
    this.#pending.push(id);
    return { reference: [id, kindOf(value)] };
  }

  /** The value of an id that comes home. @param {number} id */
  home(id) {
    const entry = this.#byId.get(id);
    if (!entry) throw new ReferenceError(`Python sent a reference (${id}) that is no longer held`);
    return entry.value;
  }

  /** Python asks what becomes of a promise. @param {any} promise */
  see(promise) {
    const entry = this.#byId.get(this.#ids.get(promise) ?? 0);
    if (entry) entry.isSeen = true;
  }

  /** The id of a value that is lent. @param {any} value */
  idOf(value) {
    return this.#ids.get(value);
  }

  /** Python dropped some holds. @param {number} id @param {number} count */
  returned(id, count) {
    const entry = this.#byId.get(id);
    if (!entry) return;
    entry.holds -= count;
    if (entry.holds > 0) return;
    this.#byId.delete(id);
    this.#ids.delete(entry.value);
    // Nobody asked, and nobody can any more: then it is unhandled after all.
    if (entry.rejection && !entry.isSeen) Promise.reject(entry.rejection.reason);
  }

  commit() {
    this.#pending.length = 0;
  }

  undo() {
    for (const id of this.#pending.splice(0)) this.returned(id, 1);
  }
}

/** What a value is, in a word. @param {any} value */
export function kindOf(value) {
  // Not `String(value)`: a proxy of somebody's may answer with anything.
  if (typeof value === 'function') return /^class\b/.test(Function.prototype.toString.call(value)) ? 'class' : 'function';
  if (typeof value !== 'object') return typeof value;
  if (types.isPromise(value)) return 'Promise';
  const { [Symbol.toStringTag]: tag, constructor } = value;
  if (typeof tag === 'string') return tag;
  return typeof constructor?.name === 'string' ? constructor.name : 'object';
}

/** One line that shows a value. @param {any} value */
export function preview(value) {
  let text;
  try {
    text = inspect(value, { depth: 0, breakLength: Infinity, maxArrayLength: 10, maxStringLength: 80 });
  } catch {
    text = typeof value;
  }
  text = text.replace(/\s+/g, ' ');
  return text.length > PREVIEW ? `${text.slice(0, PREVIEW - 3)}...` : /** @type {any} */ (text).toWellFormed();
}
