/**
 * Where a value came from, for what a JavaScript object cannot hold itself: the zone and the
 * microseconds of a datetime, the registered Python type of a plain object.
 */

import { WeakMap } from './globals.js';

/** @type {WeakMap<object, any>} */
const origins = new WeakMap();

/** Whether there ever was a value of a registered type: most programs have none to look for. */
export const known = { types: false };

/**
 * @param {object} value
 * @param {any} origin
 */
export function remember(value, origin) {
  origins.set(value, origin);
  if (typeof origin === 'string') known.types = true;
}

/** @param {object} value @returns {any} */
export function originOf(value) {
  return origins.get(value);
}
