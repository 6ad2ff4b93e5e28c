/** Opens the inner realm: a V8 context, with Bifrost's own modules loaded inside of it. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import vm from 'node:vm';

/** What names of modules are relative to. */
const ROOT = new URL('../', import.meta.url);
/** What the inner realm has of its own instead. @type {Record<string, string>} */
const INSTEAD = {
  'node:util': 'sandbox/inner/util.js',
  'protocol/globals.js': 'sandbox/inner/globals.js',
  'protocol/stacks.js': 'sandbox/inner/stacks.js',
};

/**
 * @typedef {object} Worker what the inner realm does for its host
 * @property {(body: Uint8Array) => void} job
 * @property {(ident: number, body: Uint8Array) => void} slice
 * @property {() => void} wake a timer is due
 * @property {(reason: unknown) => void} stray something was thrown or rejected, and nobody caught it
 * @property {() => void} stalled
 */

/**
 * @returns {Promise<{start: (...host: any[]) => Worker, newBytes: (size: number) => Uint8Array}>}
 */
export async function openRealm() {
  // Without an object behind it the global object is an ordinary one, and fast. Node.js 20 needs one.
  const behind = /** @type {any} */ (vm.constants)?.DONT_CONTEXTIFY ?? Object.create(null);
  const context = vm.createContext(behind, { name: 'work', codeGeneration: { strings: true, wasm: true } });
  const entry = await load(context, 'sandbox/inner/entry.js');
  const { start, newBytes, formatStack, refuseImport } = /** @type {any} */ (entry.namespace);
  rehome(formatStack, refuseImport);
  return { start, newBytes };
}

/**
 * Load a module, and all that it imports.
 * @param {vm.Context} context
 * @param {string} name
 */
async function load(context, name) {
  /** @type {Map<string, vm.SourceTextModule>} */
  const modules = new Map();
  /** @param {string} name */
  const module = (name) => {
    let found = modules.get(name);
    if (!found) {
      const source = readFileSync(new URL(name, ROOT), 'utf8');
      found = new vm.SourceTextModule(source, { context, identifier: `bifrost:${name}` });
      modules.set(name, found);
    }
    return found;
  };
  const entry = module(name);
  await entry.link((specifier, referrer) => {
    const from = new URL(referrer.identifier.slice('bifrost:'.length), 'file:///');
    const target = specifier.startsWith('.') ? new URL(specifier, from).pathname.slice(1) : specifier;
    return module(INSTEAD[target] ?? target);
  });
  await entry.evaluate();
  return entry;
}

/**
 * V8 asks the host for the text of a stack, and for what `import()` is to do. Node.js answers with
 * functions, errors and promises of its own realm; so the inner realm answers itself.
 * @param {Function} formatStack
 * @param {Function} refuseImport
 */
function rehome(formatStack, refuseImport) {
  const { internalBinding } = createRequire(import.meta.url)('internal/test/binding');
  internalBinding('errors').setPrepareStackTraceCallback(formatStack);
  internalBinding('module_wrap').setImportModuleDynamicallyCallback(refuseImport);
}
