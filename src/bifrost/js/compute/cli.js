/** `dcp/dcp-cli`: what programs that use DCP offer on their command lines. */

import path from 'node:path';
import { Map, Number, Object, String, console, process } from '../protocol/globals.js';
import * as wallet from './wallet.js';

/** Options that every program has: name -> one letter. */
const COMMON = { identity: 'i', 'identity-file': 'I', 'default-bank-account': '', 'default-bank-account-file': '' };

/** @typedef {{alias?: string | string[], default?: any, type?: string, boolean?: boolean, description?: string}} Option */

/** Reads the command line: `base(description).options({...}).argv`. */
class Options {
  /** @type {Map<string, Option>} */
  #known = new Map();

  /** @param {string} description */
  constructor(description) {
    this.description = description;
    for (const [name, letter] of Object.entries(COMMON)) this.option(name, letter ? { alias: letter } : {});
  }

  /** @param {string} name @param {Option} [option] */
  option(name, option = {}) {
    this.#known.set(name, option);
    return this;
  }

  /** @param {Record<string, Option>} options */
  options(options) {
    for (const [name, option] of Object.entries(options)) this.option(name, option);
    return this;
  }

  /** Values by name; words that belong to no option are in `_`. @returns {Record<string, any>} */
  get argv() {
    /** @type {Record<string, any>} */
    const values = { _: [], $0: path.basename(process.argv[1] ?? 'node') };
    for (const [name, option] of this.#known) if (option.default !== undefined) this.#set(values, name, option.default);
    const words = process.argv.slice(2);
    for (let word = words.shift(); word !== undefined; word = words.shift()) {
      const [, dashes, key, , text] = /^(--?)([^=-][^=]*)(=(.*))?$/s.exec(word) ?? [];
      if (word === '--') {
        values._.push(...words);
        break;
      }
      if (!dashes) values._.push(word);
      else if (text !== undefined) this.#set(values, key, this.#read(key, text));
      else if (key.startsWith('no-') && !this.#find(key)) this.#set(values, key.slice(3), false);
      else if (this.#isFlag(key) || words[0] === undefined || /^-/.test(words[0])) this.#set(values, key, true);
      else this.#set(values, key, this.#read(key, String(words.shift())));
    }
    return values;
  }

  /** The option of a name or alias. @param {string} key @returns {[string, Option] | undefined} */
  #find(key) {
    for (const [name, option] of this.#known) {
      if (name === key || [option.alias ?? []].flat().includes(key)) return [name, option];
    }
    return undefined;
  }

  /** @param {string} key */
  #isFlag(key) {
    const option = this.#find(key)?.[1];
    return option?.type === 'boolean' || option?.boolean === true;
  }

  /** @param {string} key @param {string} text @returns {any} */
  #read(key, text) {
    const type = this.#find(key)?.[1].type;
    return type === 'number' || (type === undefined && /^-?\d+(\.\d+)?$/.test(text)) ? Number(text) : text;
  }

  /** A value is had by its name, its aliases, and in camelCase. @param {Record<string, any>} values @param {string} key @param {any} value */
  #set(values, key, value) {
    const [name, option] = this.#find(key) ?? [key, /** @type {Option} */ ({})];
    for (const one of [name, ...[option.alias ?? []].flat()]) {
      values[one] = values[one.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())] = value;
    }
  }
}

/** The options of a program. @param {string} [description] */
export const base = (description = '') => new Options(description);

/** The keystore that pays for jobs. @param {boolean} [hideWarning] about a file that others can read */
export const getAccountKeystore = (hideWarning = false) => keystore('default-bank-account', wallet.get, hideWarning);

/** The keystore that says who one is. @param {boolean} [hideWarning] */
export const getIdentityKeystore = (hideWarning = false) => keystore('identity', wallet.getId, hideWarning);

/** @param {string} option @param {(name?: string) => Promise<wallet.Keystore>} get @param {boolean} hideWarning */
async function keystore(option, get, hideWarning) {
  const { [option]: name, [`${option}-file`]: file } = base().argv;
  if (typeof file !== 'string') return get(typeof name === 'string' ? name : undefined);
  const { keystore: found, safe } = await wallet.load(file);
  if (!safe && !hideWarning) console.warn(`others on this computer can read or write the keystore ${file}`);
  return found;
}

export default { base, getAccountKeystore, getIdentityKeystore, get argv() { return base().argv; } };
