/** Python's iterators and files as JavaScript's iterators and streams. */

import { Duplex, Readable, Writable } from 'node:stream';
import { Object, Promise, Symbol, TypeError } from '../protocol/globals.js';

/** @typedef {(method: string, ...args: any[]) => any} Ask Python, and wait for the answer */

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
const AsyncIteratorPrototype = Object.getPrototypeOf(
  Object.getPrototypeOf(Object.getPrototypeOf((async function* () {})())),
);

/** A Python iterator; a generator takes what is sent or thrown into it, and is closed by `return`. */
export class PythonIterator {
  #ask;
  #iterator;
  #hasEnded = false;

  /** @param {Ask} ask @param {object} owner */
  constructor(ask, owner) {
    this.#ask = ask;
    this.#iterator = ask('iterator', owner);
  }

  /** @param {'next' | 'return' | 'throw'} verb @param {any[]} given @returns {IteratorResult<any>} */
  #step(verb, given) {
    const before = this.#hasEnded;
    this.#hasEnded = true; // so it is, if this throws
    if (before) {
      if (verb === 'throw') throw given[0];
      return { done: true, value: undefined };
    }
    const [done, value] = this.#ask('step', this.#iterator, verb, given);
    this.#hasEnded = done;
    return { done, value };
  }

  /** @param {any[]} given */
  next(...given) {
    return this.#step('next', given);
  }

  /** @param {any} [value] */
  return(value) {
    return { done: this.#step('return', []).done, value };
  }

  /** @param {any} error */
  throw(error) {
    return this.#step('throw', [error]);
  }
}
Object.setPrototypeOf(PythonIterator.prototype, IteratorPrototype);

/** A Python async iterator. Steps that are asked for at once are taken one after the other. */
export class PythonAsyncIterator {
  #ask;
  #iterator;
  #hasEnded = false;
  /** @type {Promise<any>} */
  #last = Promise.resolve();

  /** @param {Ask} ask @param {object} owner */
  constructor(ask, owner) {
    this.#ask = ask;
    this.#iterator = ask('asyncIterator', owner);
  }

  /** @param {'next' | 'return' | 'throw'} verb @param {any[]} given @returns {Promise<IteratorResult<any>>} */
  #step(verb, given) {
    const take = async () => {
      const before = this.#hasEnded;
      this.#hasEnded = true; // so it is, if this throws
      if (before) {
        if (verb === 'throw') throw given[0];
        return { done: true, value: undefined };
      }
      const [done, value] = await this.#ask('stepAsync', this.#iterator, verb, given);
      this.#hasEnded = done;
      return { done, value };
    };
    return (this.#last = this.#last.then(take, take));
  }

  /** @param {any[]} given */
  next(...given) {
    return this.#step('next', given);
  }

  /** @param {any} [value] */
  async return(value) {
    return { done: (await this.#step('return', [])).done, value };
  }

  /** @param {any} error */
  throw(error) {
    return this.#step('throw', [error]);
  }
}
Object.setPrototypeOf(PythonAsyncIterator.prototype, AsyncIteratorPrototype);

/**
 * A Node stream over a Python file object (it stays open when the stream ends), or over anything
 * that can be iterated.
 * @param {Ask} ask
 * @param {any} source
 * @param {boolean} isPython whether it is a Python object
 * @returns {Readable | Writable}
 */
export function streamOver(ask, source, isPython) {
  const { reads, writes, text } = isPython ? ask('fileFacts', source) : { reads: false, writes: false, text: false };
  const isIterable = typeof (source?.[Symbol.asyncIterator] ?? source?.[Symbol.iterator]) === 'function';
  if (!reads && !writes) {
    if (isIterable) return Readable.from(source);
    throw new TypeError('a stream is made of a Python file object, or of what can be iterated');
  }
  /** @type {import('node:stream').DuplexOptions & {encoding?: BufferEncoding}} */
  const options = { encoding: text ? 'utf8' : undefined, decodeStrings: !text };
  if (reads) {
    options.read = async function (size) {
      try {
        const chunk = await ask('read', source, size);
        this.push(chunk.length > 0 ? chunk : null);
      } catch (error) {
        this.destroy(/** @type {Error} */ (error));
      }
    };
  }
  /** @param {() => any} action @param {(error?: any) => void} done */
  const perform = async (action, done) => {
    try {
      await action();
    } catch (error) {
      done(error);
      return;
    }
    done();
  };
  if (writes) {
    options.write = (chunk, _, done) => void perform(() => ask('write', source, chunk), done);
    options.final = (done) => void perform(() => ask('flush', source), done);
  }
  return reads && writes
    ? new Duplex(options)
    : reads
      ? new Readable(/** @type {import('node:stream').ReadableOptions} */ (options))
      : new Writable(/** @type {import('node:stream').WritableOptions} */ (options));
}
