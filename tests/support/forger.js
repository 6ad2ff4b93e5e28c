/**
 * A worker that lies: it runs the source of its job with `send` and `raw` in reach, which write to
 * Python what they are given. (Tests only.)
 */

import { closeSync, readSync, writeSync } from 'node:fs';
import vm from 'node:vm';

const [requests, replies] = process.argv[2].split(',').map(Number);

/** @param {ArrayLike<number>} bytes */
const raw = (bytes) => writeSync(replies, Buffer.from(/** @type {any} */ (bytes)));

/** @param {number} type @param {number} ident @param {string | number[]} body */
function send(type, ident, body) {
  const bytes = Buffer.from(/** @type {any} */ (body));
  const header = Buffer.alloc(9);
  header.writeUInt32LE(bytes.length, 0);
  header[4] = type;
  header.writeUInt32LE(ident, 5);
  raw(Buffer.concat([header, bytes]));
}

/** @param {number} n */
function read(n) {
  const bytes = Buffer.alloc(n);
  for (let at = 0; at < n; ) at += readSync(requests, bytes, at, n - at, null);
  return bytes;
}

send(16, 0, '{"version": "none"}');
const job = read(read(9).readUInt32LE(0)).toString('latin1');
const begin = job.indexOf('/*<*/');
const text = (/** @type {string} */ word) => [...Buffer.from(word)];
const result = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5]; // no time, and the parcel of 5
vm.runInThisContext(`(send, raw, close, text, result, process) => {${job.slice(begin, job.indexOf('/*>*/'))}}`)(
  send, raw, () => closeSync(replies), text, result, process,
);
setTimeout(() => {}, 1e6);
