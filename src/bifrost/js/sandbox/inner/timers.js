/** Timers, in the order in which they are due; the host knows of the first one only. */

import { Array, Map, Math, Number, TypeError } from './globals.js';
import { arm, now } from './host.js';
import { stray } from './slices.js';

const LONGEST = 2 ** 31 - 1;
/** Due before all others: `setImmediate`. */
const AT_ONCE = -1;
/** @typedef {{id: number, due: number, action: Function, args: any[], every: number}} Timer */

/** Those that have not been cleared. @type {Map<number, Timer>} */
const timers = new Map();
/** A heap: no timer is due before the one at half its index. Cleared ones go when they are first. @type {Timer[]} */
const heap = new Array();
let last = 0;

/** @param {Timer} a @param {Timer} b */
const isBefore = (a, b) => a.due < b.due || (a.due === b.due && a.id < b.id);

/** @param {Timer} timer */
function push(timer) {
  let at = heap.length;
  for (let up; at > 0 && isBefore(timer, heap[(up = (at - 1) >> 1)]); at = up) heap[at] = heap[up];
  heap[at] = timer;
}

function pop() {
  const timer = heap[heap.length - 1];
  heap.length -= 1;
  const n = heap.length;
  if (n === 0) return;
  let at = 0;
  for (let down; (down = at * 2 + 1) < n; at = down) {
    if (down + 1 < n && isBefore(heap[down + 1], heap[down])) down += 1;
    if (!isBefore(heap[down], timer)) break;
    heap[at] = heap[down];
  }
  heap[at] = timer;
}

/** The timer that is due next. */
function first() {
  while (heap.length > 0 && timers.get(heap[0].id) !== heap[0]) pop();
  return heap.length > 0 ? heap[0] : undefined;
}

/** Tell the host when to wake us. */
function rearm() {
  const timer = first();
  arm(timer ? Math.max(0, Math.ceil(timer.due - now())) : -1);
}

/** Run one timer, if it is due: between two of them promises have their turn. */
export function wake() {
  const timer = first();
  if (timer && timer.due <= now() + 1) {
    pop();
    if (timer.every >= 0) {
      timer.due = now() + timer.every;
      push(timer);
    } else {
      timers.delete(timer.id);
    }
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
  const timer = { id, due: wait === AT_ONCE ? AT_ONCE : now() + ms, action, args, every: again ? ms : -1 };
  timers.set(id, timer);
  push(timer);
  if (first() === timer) rearm();
  return id;
}

/** @param {any} action @param {any} [ms] @param {any[]} args */
export function setTimeout(action, ms, ...args) {
  return add(action, Math.max(0, Number(ms)), args, false);
}

/** @param {any} action @param {any} [ms] @param {any[]} args */
export function setInterval(action, ms, ...args) {
  return add(action, Math.max(0, Number(ms)), args, true);
}

/** @param {any} action @param {any[]} args */
export function setImmediate(action, ...args) {
  return add(action, AT_ONCE, args, false);
}

/** @param {any} id */
export function clearTimeout(id) {
  const wasFirst = first()?.id === id;
  if (timers.delete(id) && wasFirst) rearm();
}
