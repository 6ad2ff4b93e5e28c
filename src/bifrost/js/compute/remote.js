/** Inputs that lie elsewhere: each is fetched, by this process, when it is needed. */

import { Array, Buffer, Error, JSON, Number, Promise, RangeError, String, SyntaxError, TypeError, URL } from '../protocol/globals.js';

const SCHEMES = ['http:', 'https:', 'data:'];

/**
 * The arguments of a work function, with what lies elsewhere fetched: each address of a set is one.
 * @param {any} args
 * @param {AbortSignal} signal ends that
 * @returns {any[] | Promise<any[]>} a promise only if there is something to fetch
 */
export function argumentsOf(args, signal) {
  const list = args instanceof RemoteDataSet ? [args] : Array.from(args);
  if (!list.some((one) => one instanceof RemoteDataSet)) return list;
  const contents = (/** @type {RemoteDataSet} */ { urls }) => Promise.all(urls.map((url) => fetched(url, signal)));
  const found = Promise.all(list.map((one) => (one instanceof RemoteDataSet ? contents(one) : [one])));
  return found.then((all) => all.flat());
}

/** The contents of several addresses. */
export class RemoteDataSet {
  /** @param {...any} urls or one Array of them */
  constructor(...urls) {
    const list = urls.length === 1 && typeof urls[0] !== 'string' && !(urls[0] instanceof URL) ? [...urls[0]] : urls;
    this.urls = list.map(checked);
  }

  get length() {
    return this.urls.length;
  }

  /** @param {number} index */
  fetch(index) {
    return fetched(this.urls[index]);
  }
}

/** The contents of addresses that differ by a number only. */
export class RemoteDataPattern {
  /** @param {string | URL} pattern with `{slice}` in the place of the number, which counts from 1 @param {number} sliceCount */
  constructor(pattern, sliceCount) {
    this.pattern = String(pattern).replace('%7Bslice%7D', '{slice}');
    if (!this.pattern.includes('{slice}')) {
      throw new TypeError(`${this.pattern} has no {slice}, the place of the number`);
    }
    if (!(Number.isInteger(sliceCount) && sliceCount >= 0)) {
      throw new RangeError(`sliceCount is a number of addresses, not ${String(sliceCount)}`);
    }
    this.sliceCount = sliceCount;
    checked(this.pattern.replace('{slice}', '1'));
  }

  get length() {
    return this.sliceCount;
  }

  /** @param {number} index */
  fetch(index) {
    return fetched(this.pattern.replace('{slice}', String(index + 1)));
  }
}

/** What an address has. @param {string} url @param {AbortSignal} [signal] */
async function fetched(url, signal) {
  try {
    const response = await request(url, { signal });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return valueOf(await bytesOf(response), response);
  } catch (error) {
    throw new Error(`cannot fetch ${shown(url)}: ${because(error)}`, { cause: error });
  }
}

/**
 * `fetch`, which refuses addresses with a name and a password: they go into a header.
 * @param {string} url
 * @param {RequestInit} [options]
 */
export function request(url, options) {
  const address = new URL(url);
  const { username, password } = address;
  if (!username && !password) return globalThis.fetch(address, options);
  address.username = address.password = '';
  const secret = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  return globalThis.fetch(address, { ...options, headers: { authorization: `Basic ${secret}` } });
}

/** @param {Response} response */
export const bytesOf = async (response) => Buffer.from(await response.arrayBuffer());

/**
 * What a server answered: JSON's value, text, or bytes, by its content type.
 * @param {Buffer} bytes
 * @param {Response} response
 * @throws {SyntaxError} it says that this is JSON
 */
export function valueOf(bytes, { headers }) {
  const type = (headers.get('content-type') ?? '').split(';')[0].trim();
  const isJson = type === 'application/json' || type.endsWith('+json');
  if (!isJson && !type.startsWith('text/')) return bytes;
  const text = new globalThis.TextDecoder().decode(bytes);
  if (!isJson) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`no JSON: ${because(error)}`);
  }
}

/** Why something failed; `fetch` itself only says that it did. @param {any} error @returns {string} */
export const because = ({ cause, message }) => cause?.message ?? message;

/** @param {any} url @returns {string} */
export function checked(url) {
  const text = String(url);
  if (!SCHEMES.some((scheme) => text.toLowerCase().startsWith(scheme))) {
    throw new TypeError(`${shown(text)} is no address of http, https or data`);
  }
  return text;
}

/** An address for a message: long ones are cut, and passwords left out. @param {string} url */
export function shown(url) {
  const text = url.replace(/^(\w+:\/\/)[^/@]*:[^/@]*@/, '$1');
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`;
}
