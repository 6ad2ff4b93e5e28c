/** Tables as Arrow IPC streams, with the `apache-arrow` of the user's project. */

import { createRequire } from 'node:module';
import path from 'node:path';
import { Array, process } from '../protocol/globals.js';
import { ShareError } from '../protocol/errors.js';

/** @returns {any} */
function arrow() {
  return createRequire(path.join(process.cwd(), '[bifrost]'))('apache-arrow');
}

/** An Arrow table of a stream. @param {string} kind what it is in Python @param {Uint8Array} stream */
export function tableFromStream(kind, stream) {
  try {
    return arrow().tableFromIPC(stream);
  } catch (error) {
    throw new ShareError('$', `a ${kind}`, `apache-arrow cannot read it: ${/** @type {Error} */ (error).message}`);
  }
}

/** The stream of an Arrow table; undefined if the value is none. @param {any} value @returns {Uint8Array | undefined} */
export function tableToStream(value) {
  if (value.constructor?.name !== 'Table' || !value.schema?.fields || !Array.isArray(value.batches)) return undefined;
  try {
    return arrow().tableToIPC(value, 'stream');
  } catch {
    return undefined;
  }
}
