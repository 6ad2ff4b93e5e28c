/**
 * Answers `require('dcp-client')`, and for the modules that it makes known, with Bifrost's own engine:
 * wherever it is asked for, whatever npm has installed. Where the user has a scheduler, npm's is used.
 */

import Module, { createRequire } from 'node:module';
import { Error, JSON, Object, Reflect, Set, String, process } from '../protocol/globals.js';
import { CLIENT, MODULES } from '../compute/names.js';

const NAMES = new Set([CLIENT, ...MODULES]);
const SCHEME = 'bifrost:';
/** The bridge to Bifrost's engines. */
const BRIDGE = 'bifrost.compute.bridge';

/** Whether a module is answered here. @param {string} name */
export const isAnswered = (name) => NAMES.has(name) && !process.env.DCP_SCHEDULER_LOCATION;

let hasHooks = false;

/**
 * Have `require` know the client. It is loaded when it is asked for.
 * @param {(name: string) => any} importPython
 * @param {(action: () => void) => () => void} atStop has something done when Python stops what runs
 */
export function answerClients(importPython, atStop) {
  /** @type {{get: (name: string) => any} | undefined} */
  let client;
  const get = (/** @type {string} */ name) => {
    client ??= load().createClient(() => {
      const { start, inputs, publish } = importPython(BRIDGE);
      return { engine: { start, inputs, publish, atStop }, version: importPython('bifrost').__version__ };
    });
    return client.get(name);
  };
  const internals = /** @type {any} */ (Module);
  const before = { load: internals._load, resolve: internals._resolveFilename };
  internals._load = function (/** @type {string} */ name, /** @type {any[]} */ ...rest) {
    return isAnswered(name) ? get(name) : Reflect.apply(before.load, this, [name, ...rest]);
  };
  internals._resolveFilename = function (/** @type {string} */ name, /** @type {any[]} */ ...rest) {
    return isAnswered(name) ? name : Reflect.apply(before.resolve, this, [name, ...rest]);
  };
}

/** @returns {typeof import('../compute/client.js')} */
function load() {
  try {
    return createRequire(import.meta.url)('../compute/client.js');
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'ERR_REQUIRE_ESM') throw error;
    throw new Error(`${CLIENT} needs Node.js 20.19, or 22.12 or newer, and this is ${process.version}`);
  }
}

/** What `import()` gives of a module. @param {any} module */
export const asNamespace = (module) => ({ ...module, default: module });

/**
 * Have `import` in files know the client, too. (In Node.js 20 it does not.) Not before the first import:
 * Node takes another path through its loader from then on.
 */
export function answerImports() {
  const { registerHooks } = /** @type {any} */ (Module);
  if (hasHooks || !registerHooks) return;
  hasHooks = true;
  registerHooks({
    resolve: (/** @type {string} */ name, /** @type {any} */ context, /** @type {any} */ next) =>
      isAnswered(name) ? { url: SCHEME + name, format: 'module', shortCircuit: true } : next(name, context),
    load: (/** @type {string} */ url, /** @type {any} */ context, /** @type {any} */ next) =>
      url.startsWith(SCHEME)
        ? { source: moduleOf(url.slice(SCHEME.length)), format: 'module', shortCircuit: true }
        : next(url, context),
  });
}

/** The text of an ES module that exports what `require` gives. @param {string} name */
function moduleOf(name) {
  const require = createRequire(process.execPath);
  const keys = Object.keys(require(name)).filter((key) => key !== 'default');
  return [
    `import { createRequire } from 'node:module';`,
    `const all = createRequire(process.execPath)(${JSON.stringify(name)});`,
    'export default all;',
    ...keys.map((key, place) => `const e${place} = all[${JSON.stringify(key)}]; export { e${place} as ${String(key)} };`),
  ].join('\n');
}
