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
  let library;
  try {
    library = arrow();
  } catch {
    throw new ShareError('$', `a ${kind}`, "install apache-arrow for JavaScript: npm.install('apache-arrow')");
  }
  return library.tableFromIPC(stream);
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
