/** The inner realm's side of its host: what `sandbox/realm.js` takes from here. */

import { Uint8Array } from './globals.js';
import { connect } from './host.js';
import { install } from './install.js';
import { job, slice, stalled, stray } from './slices.js';
import { wake } from './timers.js';

export { formatStack, refuseImport } from './stacks.js';

/** @param {number} size */
export const newBytes = (size) => new Uint8Array(size);

/** @param {Function[]} host */
export function start(...host) {
  connect(...host);
  install();
  return { job, slice, stalled, stray, wake };
}
