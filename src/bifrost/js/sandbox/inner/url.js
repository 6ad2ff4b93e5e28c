/** URL and URLSearchParams; taking a URL apart is the host's work, the parts are text. */

import { Array, Object, Reflect, String, Symbol, TypeError } from './globals.js';
import { url as parse } from './host.js';

const PARTS = /** @type {const} */ ([
  'href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash',
]);

/** @param {string} text */
const decoded = (text) => {
  const spaced = text.replace(/\+/g, ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
};
/** @param {string} text */
const encoded = (text) =>
  encodeURIComponent(/** @type {any} */ (text).toWellFormed())
    .replace(/[!'()~]/g, (/** @type {string} */ c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+');

export class URLSearchParams {
  /** @type {Array<[string, string]>} */
  #pairs = [];
  /** Told of changes: the URL that this is of. @type {((text: string) => void) | undefined} */
  #changed;

  /** @param {any} [init] @param {(text: string) => void} [changed] */
  constructor(init = '', changed) {
    if (typeof init === 'object' && init !== null) {
      const entries = typeof init[Symbol.iterator] === 'function' ? Array.from(init) : Object.entries(init);
      this.#pairs = entries.map(([name, value]) => [String(name), String(value)]);
    } else {
      this.#read(String(init));
    }
    this.#changed = changed;
  }

  /** @param {string} text */
  #read(text) {
    const words = text.replace(/^\?/, '').split('&').filter(Boolean);
    this.#pairs = words.map((word) => {
      const at = word.indexOf('=');
      return at < 0 ? [decoded(word), ''] : [decoded(word.slice(0, at)), decoded(word.slice(at + 1))];
    });
  }

  /** @param {Array<[string, string]>} pairs */
  #become(pairs) {
    this.#pairs = pairs;
    this.#changed?.(this.toString());
  }

  get size() {
    return this.#pairs.length;
  }
  /** @param {any} name @param {any} value */
  append(name, value) {
    this.#become([...this.#pairs, [String(name), String(value)]]);
  }
  /** @param {any} name @param {any} [value] */
  delete(name, value) {
    this.#become(this.#pairs.filter(([key, item]) => key !== String(name) || (value !== undefined && item !== String(value))));
  }
  /** @param {any} name */
  get(name) {
    return this.#pairs.find(([key]) => key === String(name))?.[1] ?? null;
  }
  /** @param {any} name */
  getAll(name) {
    return this.#pairs.filter(([key]) => key === String(name)).map(([, value]) => value);
  }
  /** @param {any} name @param {any} [value] */
  has(name, value) {
    return this.#pairs.some(([key, item]) => key === String(name) && (value === undefined || item === String(value)));
  }
  /** @param {any} name @param {any} value */
  set(name, value) {
    const at = this.#pairs.findIndex(([key]) => key === String(name));
    if (at < 0) return this.append(name, value);
    const others = this.#pairs.filter(([key], i) => i <= at || key !== String(name));
    others[at] = [String(name), String(value)];
    this.#become(others);
  }
  sort() {
    this.#become([...this.#pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }
  /** @param {(value: string, name: string, params: URLSearchParams) => void} action @param {any} [self] */
  forEach(action, self) {
    for (const [name, value] of this.#pairs) action.call(self, value, name, this);
  }
  *entries() {
    for (const [name, value] of this.#pairs) yield [name, value];
  }
  *keys() {
    for (const [name] of this.#pairs) yield name;
  }
  *values() {
    for (const [, value] of this.#pairs) yield value;
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  toString() {
    return this.#pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&');
  }
}

export class URL {
  /** @type {string[]} */
  #parts = [];
  /** @type {URLSearchParams | undefined} */
  #params;

  /** @param {any} text @param {any} [base] */
  constructor(text, base) {
    this.#become(`${text}`, base === undefined ? '' : `${base}`);
  }

  /** @param {any} text @param {any} [base] */
  static canParse(text, base) {
    return URL.parse(text, base) !== null;
  }
  /** @param {any} text @param {any} [base] */
  static parse(text, base) {
    try {
      return new URL(text, base);
    } catch {
      return null;
    }
  }

  /** @param {string} text @param {string} base @param {string} [part] @param {string} [value] */
  #become(text, base, part = '', value = '') {
    let parts;
    try {
      parts = parse(text, base, part, value).split('\n');
    } catch {
      throw Object.assign(new TypeError(`Invalid URL: ${text}`), { code: 'ERR_INVALID_URL', input: text });
    }
    this.#parts = parts;
  }

  /** @param {number} index */
  part(index) {
    return this.#parts[index];
  }
  /** @param {number} index @param {any} value */
  setPart(index, value) {
    this.#become(this.#parts[0], '', PARTS[index], `${value}`);
    this.#params = undefined;
  }

  get searchParams() {
    this.#params ??= new URLSearchParams(this.#parts[9], (text) => this.#become(this.#parts[0], '', 'search', text));
    return this.#params;
  }
  toString() {
    return this.#parts[0];
  }
  toJSON() {
    return this.#parts[0];
  }
}

const { part, setPart } = URL.prototype;
PARTS.forEach((name, index) => {
  Object.defineProperty(URL.prototype, name, {
    /** @this {URL} */
    get() {
      return Reflect.apply(part, this, [index]);
    },
    /** @this {URL} @param {any} value */
    set(value) {
      if (name !== 'origin') Reflect.apply(setPart, this, [index, value]);
    },
    enumerable: true,
    configurable: true,
  });
});
for (const name of ['part', 'setPart']) Reflect.deleteProperty(URL.prototype, name);
