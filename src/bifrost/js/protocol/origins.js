/**
 * Where a value came from, for what a JavaScript object cannot hold itself: the zone and the
 * microseconds of a datetime, the registered Python type of a plain object.
 */

/** @type {WeakMap<object, any>} */
const origins = new WeakMap();

/**
 * @param {object} value
 * @param {any} origin
 */
export function remember(value, origin) {
  origins.set(value, origin);
}

/** @param {object} value @returns {any} */
export function originOf(value) {
  return origins.get(value);
}
