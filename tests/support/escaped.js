/**
 * Attacks from where an escape would lead: a Node.js that was started and confined as a worker is,
 * but whose first script is this, with `require` and `process` in reach. (Tests only.)
 *
 * Each line of the requests is JSON, `[name, code, given]`; each line of the replies is `[name, what
 * came of it]`.
 */

import { readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import vm from 'node:vm';

const PATIENCE = 2000;
const [requests, replies] = process.argv[2].split(',').map(Number);
const require = createRequire(import.meta.url);
process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});

/** @returns {string[]} */
function lines() {
  let text = '';
  const chunk = Buffer.alloc(1 << 16);
  while (!text.endsWith('\n\n')) text += chunk.toString('utf8', 0, readSync(requests, chunk, 0, chunk.length, null));
  return text.trim().split('\n');
}

/** What a refusal is called. @param {any} error */
const nameOf = (error) => String(error?.code ?? error?.cause?.code ?? error?.name ?? error);

writeSync(replies, '\n');
for (const line of lines()) {
  const [name, code, given] = JSON.parse(line);
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve('nothing happened'), PATIENCE);
  });
  let answer;
  try {
    const attack = vm.runInThisContext(`(async (require, process, given) => {${code}\n})`);
    answer = await Promise.race([attack(require, process, { ...given, replies }), late]);
  } catch (error) {
    answer = `refused: ${nameOf(error)}`;
  }
  clearTimeout(timer);
  writeSync(replies, `${JSON.stringify([name, String(answer)])}\n`);
}
process.exit(0);
