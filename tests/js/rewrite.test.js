/** What a script is rewritten to: pure text, so no Node.js child is needed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import vm from 'node:vm';
import { isShown, rewrite } from '../../src/bifrost/js/frontend/rewrite.js';

/** Run what a script was rewritten to, in a global scope of its own. */
async function run(source, globals = {}) {
  const context = vm.createContext({ ...globals });
  const value = await vm.runInContext(rewrite(source).code, context);
  return { value, context };
}

test('a script that declares nothing is left as it is', () => {
  for (const source of ['x = 1', 'f()', '', '// constant', '"let it be"', 'function f() { return 1 }']) {
    assert.deepEqual(rewrite(source).code, source);
  }
});

test('top-level declarations become var, of the same length', () => {
  assert.equal(rewrite('const a = 1').code, 'var   a = 1');
  assert.equal(rewrite('let a = 1').code, 'var a = 1');
  assert.equal(rewrite('let a;').code, 'var a = undefined;');
  assert.equal(rewrite('var a;').code, 'var a;');
  assert.equal(rewrite('class A {}').code, 'var A = class A {};');
  // Where it can, it leaves the columns of the line alone.
  assert.equal(rewrite('a; // b\nclass A {}').code, 'a;;var A =  // b\nclass A {};');
  assert.equal(rewrite('class A {}\nclass B {}').code, 'var A = class A {};;var B = \nclass B {};');
  assert.equal(rewrite('a = 1\nclass A {}').code, 'a = 1\nvar A = class A {};');
});

test('declarations in blocks and functions stay', () => {
  for (const source of ['{ const a = 1 }', 'for (const a of b) {}', 'function f() { let a }', '(() => { class A {} })']) {
    assert.equal(rewrite(source).code, source);
    assert.deepEqual(rewrite(source).names, []);
  }
});

test('names that are declared are listed', () => {
  const names = (source) => rewrite(source).names.sort().join();
  assert.equal(names('const {a, b: [c, ...d], e = 1, ...f} = x'), 'a,c,d,e,f');
  assert.equal(names('let a, b = 1; class C {}'), 'C,a,b');
  assert.equal(names('if (x) { var a; } for (var b of c);'), 'a,b');
  assert.equal(names("import d, {e as f} from 'x'; import * as g from 'y'"), 'd,f,g');
  assert.equal(names('await 0; function f() { var inner }'), 'f');
});

test('every line stays where it is', () => {
  const sources = [
    'const a = 1\nlet b\nclass C {}\nawait 0\nthere()',
    "import {\n  a,\n  b } from 'x'\nthere()",
    "'use strict'\n\nawait 0; function f() {}\nthere()",
    '#!/bin/node\nawait 0\nthere()',
  ];
  for (const source of sources) {
    const line = (text) => text.slice(0, text.indexOf('there()')).split('\n').length;
    assert.equal(line(rewrite(source).code), line(source));
  }
});

test('a script that awaits returns its value and sets globals', async () => {
  const { value, context } = await run('const a = await 1; let b; class C {}; var d = 2; function f() { return a }\nf() + d');
  assert.equal(value, 3);
  assert.equal(context.a, 1);
  assert.equal(typeof context.C, 'function');
  assert.equal(context.f(), 1);
  assert.ok('b' in context);
});

test('destructuring, loops and directives in a script that awaits', async () => {
  assert.equal((await run('await 0; const {v} = {v: 7}\nv')).value, 7);
  assert.equal((await run('await 0; const [v] = [8]; v')).value, 8);
  assert.equal((await run('let n = 0; for await (const v of [1, 2]) n += v\nn')).value, 3);
  assert.equal((await run('for (var i = await 0; i < 3; i++);\ni')).value, 3);
  await assert.rejects(run("'use strict';await 0; nowhere = 1"), /nowhere/);
});

test('an await inside a function is none of the script', () => {
  const source = 'const f = async () => { await 0 }';
  assert.ok(!rewrite(source).code.includes('(async () => {const'));
  assert.ok(rewrite(source).code.startsWith('var'));
});

test('imports become calls', async () => {
  const calls = [];
  const load = async (...args) => (calls.push(args), { default: 'd', a: 1, 'q n': 2 });
  const source = "import d, {a as b, 'q n' as c} from 'x'; import * as ns from 'y' with {type: 'json'}\n[d, b, c, ns.a]";
  const { value } = await run(source, { __bifrost_import__: load });
  assert.deepEqual([...value], ['d', 1, 2, 1]);
  assert.equal(calls[0][0], 'x');
  assert.equal(calls[1][1].with.type, 'json');
  assert.match(rewrite("import('x')").code, /^__bifrost_import__\('x'\)/);
});

test('what is wrong with a script that only we could run is said with its place', () => {
  assert.deepEqual(rewrite('await 0;\n  )').problem, { message: 'Unexpected token', line: 2, column: 3 });
  assert.equal(rewrite('let = = 1').problem, undefined);
});

test('what a notebook shows', () => {
  for (const source of ['1 + 1', 'f()', 'x;\ny', 'await f()']) assert.ok(isShown(source), source);
  for (const source of ['1;', 'x = 1', 'x++', 'const a = 1', '"use strict"', '', 'if (x) y', ')']) {
    assert.ok(!isShown(source), source);
  }
});
