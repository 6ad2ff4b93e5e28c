/**
 * `dcp/wallet`: keystores, as far as a job here needs them, which is to be there.
 *
 * Nothing is paid or signed, so a keystore keeps its address and its label only: what is not kept
 * cannot be logged, nor sent anywhere.
 */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { Error, JSON, Map, Object, String, TypeError } from '../protocol/globals.js';

const HEX = /^(?:0x)?([0-9a-f]{40})$/i;

/** An account's address. */
export class Address {
  /** @param {any} address 40 hexadecimal digits */
  constructor(address) {
    const digits = HEX.exec(String(address));
    if (!digits) throw new TypeError('an address is 40 hexadecimal digits');
    this.address = `0x${digits[1].toLowerCase()}`;
  }

  /** @param {any} other */
  eq(other) {
    return isAddress(other) && new Address(other).address === this.address;
  }

  toString() {
    return this.address;
  }

  toJSON() {
    return this.address;
  }

  [inspect.custom]() {
    return `Address(${this.address})`;
  }
}

/** @param {any} value */
export const isAddress = (value) => HEX.test(String(value));

/** An account, encrypted or not: neither its key nor the cipher text is kept. */
export class Keystore {
  #isLocked = true;

  /** @param {any} given a keystore file's contents, as text or parsed */
  constructor(given) {
    const { address, label } = contents(given);
    this.address = new Address(address);
    this.label = typeof label === 'string' ? label : '';
  }

  /** Asks for nothing: what is locked is not here. */
  async unlock() {
    this.#isLocked = false;
  }

  lock() {
    this.#isLocked = true;
  }

  isLocked() {
    return this.#isLocked;
  }

  isUnlocked() {
    return !this.#isLocked;
  }

  /** @returns {Promise<never>} */
  async getPrivateKey() {
    throw new Error('the engine of Bifrost reads no private keys: nothing here is paid or signed');
  }

  /** @returns {Promise<never>} */
  async makeSignature() {
    return this.getPrivateKey();
  }

  toJSON() {
    return { address: this.address.toJSON(), label: this.label };
  }

  [inspect.custom]() {
    return `${this.constructor.name}(${this.address}${this.label ? ` ${JSON.stringify(this.label)}` : ''})`;
  }
}

export class AuthKeystore extends Keystore {}
export class IdKeystore extends AuthKeystore {}
export class BankAccountKeystore extends AuthKeystore {}

/** Where keystores lie. */
export const stateDir = () => path.join(os.homedir(), '.dcp');

/** Keystores that were added by name in this process. @type {Map<string, Keystore>} */
const added = new Map();

/**
 * The keystore of a name, from `~/.dcp/NAME.keystore`.
 * @param {string | {name?: string}} [given]
 */
export const get = (given) => named(given, 'default', BankAccountKeystore);

/** The keystore that says who one is. @param {string | {name?: string}} [given] */
export const getId = (given) => named(given, 'id', IdKeystore);

/** @param {Keystore} keystore @param {string} [name] */
export async function add(keystore, name = 'default') {
  if (!(keystore instanceof Keystore)) throw new TypeError('wallet.add(keystore, name): this is no keystore');
  added.set(name, keystore);
}

/** @param {Keystore} keystore */
export const addId = (keystore) => add(keystore, 'id');

export const clear = () => added.clear();

/**
 * The keystore in a file.
 * @param {string} filename
 * @returns {Promise<{keystore: Keystore, safe: boolean}>} `safe`: nobody else may read or write it
 */
export async function load(filename) {
  const place = path.resolve(filename.replace(/^~(?=\/)/, os.homedir()));
  const found = await read(place, AuthKeystore);
  if (!found) throw missing(`Could not locate keystore '${place}'`);
  return found;
}

/** @param {any} given @param {string} usual @param {typeof Keystore} Kind */
async function named(given, usual, Kind) {
  const name = String((typeof given === 'string' ? given : given?.name) ?? usual);
  const known = added.get(name);
  if (known) return known;
  const place = path.join(stateDir(), `${name}.keystore`);
  const found = await read(place, Kind);
  if (found) return found.keystore;
  throw missing(`Could not locate keystore named '${name}' in these locations: ${JSON.stringify([place])}`);
}

/** @param {string} place @param {typeof Keystore} Kind */
async function read(place, Kind) {
  /** @type {string} */
  let text;
  try {
    text = await fs.readFile(place, 'utf8');
  } catch (error) {
    if (/** @type {any} */ (error).code === 'ENOENT') return undefined;
    throw error;
  }
  let keystore;
  try {
    keystore = new Kind(text);
  } catch {
    // A reason might quote the contents.
    throw Object.assign(new Error(`${place} is no keystore: it has to be JSON with an address`), { code: 'EINVAL' });
  }
  return { keystore, safe: ((await fs.stat(place)).mode & 0o077) === 0 };
}

/** @param {string} message */
const missing = (message) => Object.assign(new Error(message), { code: 'ENOENT' });

/** @param {any} given */
function contents(given) {
  if (typeof given === 'object' && given !== null) return given;
  if (typeof given === 'string' && given.trimStart().startsWith('{')) return JSON.parse(given);
  throw new TypeError('a keystore is made of the JSON of a keystore file');
}
