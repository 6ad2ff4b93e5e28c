/** No module of the bridge uses a global that a script may have bound anew. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import test from 'node:test';
import * as captured from '../../src/bifrost/js/protocol/globals.js';

const root = new URL('../../src/bifrost/js/', import.meta.url);
const { parse } = createRequire(new URL('main.js', root))('acorn');
/** Runs in a thread or process of its own, with globals of its own. */
const APART = /^(sandbox\/.*|compute\/bundle|runtime\/watchdog|protocol\/globals)\.js$/;

/** Names that a module uses, but neither declares nor imports. @param {string} source */
function free(source) {
  const used = new Set();
  const declared = new Set();
  /** @param {any} node @param {any} parent @param {string} key */
  const visit = (node, parent, key) => {
    if (Array.isArray(node)) return node.forEach((item) => visit(item, parent, key));
    if (typeof node?.type !== 'string') return undefined;
    if (node.type === 'Identifier') {
      const isName = ['property', 'key', 'imported', 'exported'].includes(key) && !parent.computed;
      const isDeclared = ['local', 'id'].includes(key);
      if (isDeclared) declared.add(node.name);
      else if (!isName || (parent.type === 'Property' && parent.shorthand)) used.add(node.name);
    }
    return Object.entries(node).forEach(([name, child]) => visit(child, node, name));
  };
  visit(parse(source, { ecmaVersion: 'latest', sourceType: 'module' }), null, '');
  return [...used].filter((name) => !declared.has(name));
}

const files = /** @type {string[]} */ (fs.readdirSync(root, { recursive: true }));
for (const file of files.filter((name) => name.endsWith('.js') && !name.startsWith('node_modules'))) {
  if (APART.test(file)) continue;
  test(file, () => {
    const names = free(fs.readFileSync(new URL(file, root), 'utf8'));
    const taken = names.filter((name) => /^[A-Z]/.test(name) && name in globalThis && !/^(NaN|Infinity)$/.test(name));
    assert.deepEqual(taken, [], `import these from globals.js (it has ${Object.keys(captured).length})`);
  });
}
