/** The job of this worker, and the slice of it that is running. */

import { pack, unpack } from '../../protocol/parcels.js';
import { decode } from '../../protocol/decoder.js';
import { Buffer, DataView, Error, Number, Object, String, TypeError, Uint8Array } from './globals.js';
import { evaluate } from './evaluate.js';
import { finished, now, send } from './host.js';
import { Type, message } from './messages.js';
import { provide } from './modules.js';
import { inspect } from './util.js';

/** Milliseconds for which a line that is printed again and again is counted only. */
const PATIENCE = 1000;
const current = { source: '', work: /** @type {Function | undefined} */ (undefined), args: /** @type {any[]} */ ([]) };
/** Why there is no job to work for. @type {{error: unknown} | undefined} */
let broken;
/** Number of the running slice; -1 between two. */
let running = -1;
let began = 0;
let progressed = { at: -Infinity, value: 0 };
/** What was printed last, and how often since. */
const printed = { level: '', text: '', same: 0, at: 0 };
/** What the user's code may read of its job. */
export const about = { public: /** @type {any} */ ({}) };

/** A worker has one job. @param {Uint8Array} body */
export function job(body) {
  try {
    const told = decode(Buffer.from(body.buffer, body.byteOffset, body.length), /** @type {any} */ ({}));
    current.source = told.source;
    current.args = unpack(told.arguments);
    about.public = unpack(told.public);
    provide(told.modules);
  } catch (error) {
    broken = { error }; // which each slice will say
  }
}

/** @param {number} ident @param {Uint8Array} parcel */
export function slice(ident, parcel) {
  running = ident;
  began = now();
  progressed = { at: -Infinity, value: 0 };
  send(Type.STARTED, ident, new Uint8Array(0));
  run(ident, parcel);
}

/** @param {number} ident @param {Uint8Array} parcel */
async function run(ident, parcel) {
  let work;
  try {
    work = workFunction();
  } catch (error) {
    fail(error, 'EWORK');
    return;
  }
  try {
    const value = await work(unpack(parcel), ...current.args);
    if (ident === running) answer(value);
  } catch (error) {
    if (ident === running) fail(error);
  }
}

/** @returns {Function} */
function workFunction() {
  if (broken) throw broken.error;
  if (current.work === undefined) {
    const work = evaluate('(', current.source, ')', 'work.js');
    if (typeof work !== 'function') {
      throw new TypeError(`the work is no function: its source evaluates to ${inspect(work)}`);
    }
    current.work = work;
    return work;
  }
  return current.work;
}

/** @param {any} value */
function answer(value) {
  let parcel;
  try {
    parcel = pack(value);
  } catch (error) {
    fail(error, 'ERESULT');
    return;
  }
  const body = new Uint8Array(8 + parcel.length);
  new DataView(body.buffer).setFloat64(0, now() - began, true);
  body.set(parcel, 8);
  end(Type.RESULT, body);
}

/** The slice is answered with an error. @param {any} error @param {string} [code] */
export function fail(error, code = 'EUNCAUGHT') {
  if (running >= 0) end(Type.ERROR, message(describe(error, code)));
}

/** @param {number} type @param {Uint8Array} body */
function end(type, body) {
  const ident = running;
  repeated();
  running = -1;
  send(type, ident, body, false);
  finished();
}

/** What ends a slice, asked for by the work function itself. */
export class Rejected extends Error {
  name = 'Rejected';
  /** @param {unknown} reason @param {number} retries */
  constructor(reason, retries) {
    super(typeof reason === 'string' ? reason : inspect(reason));
    this.retries = retries;
  }
}

/**
 * What Python is told of an error. Whatever the error's own code does, this comes to an end.
 * @param {any} error
 * @param {string} code
 */
function describe(error, code) {
  const told = { name: 'Error', message: '', stack: '', code, retries: null, properties: /** @type {any} */ (null) };
  try {
    if (typeof error !== 'object' || error === null || typeof error.message !== 'string') {
      told.name = 'Thrown';
      told.message = typeof error === 'string' ? error : inspect(error);
      return told;
    }
    told.name = String(error.name);
    told.message = error.message;
    told.stack = String(error.stack ?? '');
    if (error instanceof Rejected) Object.assign(told, { code: 'EREJECTED', retries: error.retries });
    else if (error.code === 'ENOMODULE') told.code = 'ENOMODULE';
    told.properties = pack(plainProperties(error));
  } catch {}
  return told;
}

/** @param {any} error */
function plainProperties(error) {
  /** @type {Record<string, any>} */
  const out = {};
  for (const key of Object.keys(error)) {
    if (['name', 'message', 'stack', 'retries'].includes(key)) continue;
    try {
      pack(error[key]);
      out[key] = error[key];
    } catch {} // what stays here is not of interest elsewhere
  }
  return out;
}

/** Something was thrown, or rejected, that nobody caught. @param {unknown} reason */
export function stray(reason) {
  try {
    fail(reason);
  } catch {}
}

/** The event loop has run dry. */
export function stalled() {
  const advice = 'nothing is left that could settle it (no timer, no other promise)';
  fail(new Error(`the work function waits for a promise for good: ${advice}`), 'ESTALLED');
}

/** @param {any} value 0..1, '50%' or nothing */
export function progress(value) {
  let fraction = value;
  if (typeof value === 'string') fraction = value.endsWith('%') ? Number(value.slice(0, -1)) / 100 : Number(value);
  const known = typeof fraction === 'number' && fraction >= progressed.value && fraction <= 1;
  if (known) progressed.value = fraction;
  const at = now();
  if (running >= 0 && at - progressed.at >= 100) {
    progressed.at = at;
    repeated();
    const body = new Uint8Array(8);
    new DataView(body.buffer).setFloat64(0, progressed.value, true);
    send(Type.PROGRESS, running, body);
  }
  return true;
}

/** @param {string} name @param {Uint8Array} parcel */
export function emit(name, parcel) {
  if (running < 0) return;
  repeated();
  send(Type.EMIT, running, message([name, parcel]));
}

/**
 * Print a line. One that comes again and again is sent once, and then how often it came: at the
 * next thing that the slice does or says, or after a while.
 * @param {string} level
 * @param {string} text
 */
export function print(level, text) {
  if (running < 0) return;
  const at = now();
  // (Near the end of the stack there is no time, which is no reason to send.)
  if (printed.same > 0 && text === printed.text && level === printed.level && !(at - printed.at >= PATIENCE)) {
    printed.same++;
    return;
  }
  repeated();
  send(Type.CONSOLE, running, message([level, text, 1]));
  printed.level = level;
  printed.text = text;
  printed.same = 1;
  printed.at = at;
}

/** Say how often the last line came, if more than once. */
function repeated() {
  const { level, text, same } = printed;
  if (same > 1) send(Type.CONSOLE, running, message([level, text, same]));
  printed.same = 0;
}
