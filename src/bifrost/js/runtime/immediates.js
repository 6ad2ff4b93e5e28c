/**
 * Saves Node's immediates when the callback of one is torn. Node then forgets those that were due
 * with it, or meets the torn one again, which it takes for cleared, and fails at every turn.
 */

import { executionAsyncResource } from 'node:async_hooks';
import { Object, setImmediate } from '../protocol/globals.js';

/**
 * What Node keeps of an immediate, in a list.
 * @typedef {NodeJS.Immediate & {_idleNext: Listed | null, _idlePrev: Listed | null, _onImmediate: Function | null, _argv: any, _destroyed: boolean}} Listed
 */

const make = () => /** @type {Listed} */ (setImmediate(() => {}));

/** If the code that runs is an immediate's, put those behind it where the next turn finds them. */
export function saveImmediates() {
  const torn = /** @type {Listed | undefined} */ (executionAsyncResource());
  const isRunning = torn?.constructor?.name === 'Immediate' && torn._destroyed && torn._onImmediate;
  if (!isRunning) return;
  const before = make();
  if (torn._idlePrev) {
    // Node will meet it again, and count it again: for that there is one more, which it never meets.
    Object.assign(torn, { _destroyed: false, _onImmediate: () => {}, _argv: undefined });
    make().unref();
  }
  const after = make();
  link(before, after);
  const first = torn._idleNext;
  if (!first) return;
  let last = first;
  while (last._idleNext) last = last._idleNext;
  torn._idleNext = null;
  link(before, first);
  link(last, after);
}

/** @param {Listed} one @param {Listed} next */
function link(one, next) {
  one._idleNext = next;
  next._idlePrev = one;
}
