/** Timers, in the order in which they are due; the host knows of the first one only. */

import { Map, Math, Number, TypeError } from './globals.js';
import { arm, now } from './host.js';
import { stray } from './slices.js';

const LONGEST = 2 ** 31 - 1;
/** @typedef {{id: number, due: number, action: Function, args: any[], every: number}} Timer */

/** @type {Map<number, Timer>} */
const timers = new Map();
let last = 0;

/** Tell the host when to wake us. */
function rearm() {
  const timer = first();
  arm(timer ? Math.max(0, Math.ceil(timer.due - now())) : -1);
}

/** The timer that is due next: of several, the one that was set first. */
function first() {
  /** @type {Timer | undefined} */
  let best;
  for (const timer of timers.values()) if (!best || timer.due < best.due) best = timer;
  return best;
}

/** Run one timer, if it is due: between two of them promises have their turn. */
export function wake() {
  const timer = first();
  if (timer && timer.due <= now() + 1) {
    if (timer.every >= 0) timer.due = now() + timer.every;
    else timers.delete(timer.id);
    try {
      const { action, args } = timer;
      action(...args);
    } catch (error) {
      stray(error);
    }
  }
  rearm();
}

/** @param {any} action @param {number} wait @param {any[]} args @param {boolean} again */
function add(action, wait, args, again) {
  if (typeof action !== 'function') throw new TypeError('a timer needs a function to call');
  const ms = wait >= 1 && wait <= LONGEST ? Number(wait) : 1;
  const id = ++last;
  timers.set(id, { id, due: now() + (wait === -1 ? -1 : ms), action, args, every: again ? ms : -1 });
  rearm();
  return id;
}

/** @param {any} action @param {any} [ms] @param {any[]} args */
export function setTimeout(action, ms, ...args) {
  return add(action, Number(ms), args, false);
}

/** @param {any} action @param {any} [ms] @param {any[]} args */
export function setInterval(action, ms, ...args) {
  return add(action, Number(ms), args, true);
}

/** @param {any} action @param {any[]} args */
export function setImmediate(action, ...args) {
  return add(action, -1, args, false);
}

/** @param {any} id */
export function clearTimeout(id) {
  if (timers.delete(id)) rearm();
}
