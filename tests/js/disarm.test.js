/** What is left of the host realm of a sandboxed Node.js for one who reaches it. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const DISARM = fileURLToPath(new URL('../../src/bifrost/js/sandbox/disarm.js', import.meta.url));

/** @param {string} code run in a realm that has been disarmed; what `tell` is given is the answer */
function within(code) {
  const script = `
    import { disarm } from ${JSON.stringify(`file://${DISARM}`)};
    import fs from 'node:fs';
    import vm from 'node:vm';
    const wait = setTimeout;
    disarm();
    const tell = (value) => fs.writeSync(1, JSON.stringify(value));
    await vm.runInThisContext(${JSON.stringify(`(async (tell, wait) => {${code}})`)})(tell, wait);`;
  const options = ['--disallow-code-generation-from-strings', '--input-type=module', '-e', script];
  return JSON.parse(execFileSync(process.execPath, options, { encoding: 'utf8' }));
}

test('nothing global is left but the language', () => {
  const left = within('tell(Object.getOwnPropertyNames(globalThis))');
  for (const name of ['process', 'Buffer', 'require', 'eval', 'fetch', 'WebSocket', 'setTimeout', 'console', 'WebAssembly', 'global']) {
    assert.ok(!left.includes(name), name);
  }
  assert.ok(left.includes('Map'));
});

test('no code can be made from strings', () => {
  const made = within(`tell([Function, (async () => {}).constructor, (function* () {}).constructor].map((make) => {
    try { make('1'); return 'made'; } catch (error) { return error.name; }
  }))`);
  assert.deepEqual(made, ['EvalError', 'EvalError', 'EvalError']);
});

test('what the realm is made of cannot be changed', () => {
  const changed = within(`'use strict'; tell([
    () => { Object.prototype.x = 1 }, () => { Array.prototype.push = null }, () => { Promise.prototype.then = null },
    () => { Error.prepareStackTrace = () => 1 }, () => { globalThis.x = 1 }, () => { Function.prototype.call = null },
    () => { Object.getPrototypeOf([][Symbol.iterator]()).next = null },
  ].map((change) => { try { change(); return 'changed' } catch (error) { return error.name } }))`);
  assert.deepEqual(new Set(changed), new Set(['TypeError']));
});

test("Node.js's own errors, timers and promises still work", () => {
  const works = within(`
    await new Promise((done) => wait(done, 1));
    const error = Object.assign(new Error('x'), { name: 'Mine', code: 5 });
    tell([error.name, String(error), await Promise.reject(1).catch((x) => x + 1)])`);
  assert.deepEqual(works, ['Mine', 'Mine: x', 2]);
});
