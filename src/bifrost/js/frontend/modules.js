/**
 * `require` and `import` as seen from a working directory.
 *
 * Node remembers for good where it found no package. A package that was installed after somebody
 * asked for it in vain is therefore looked for again by another path to the same place.
 */

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';
import { Map, Object, String, process } from '../protocol/globals.js';
import { CLIENT, MODULES } from '../compute/names.js';
import { answerImports, asNamespace, isAnswered } from './clients.js';

/** A longer path to the root folder each time it is repeated. */
const ROOT = '/proc/self/root';
/** Paths must stay within the system's limit on their length. */
const MOST = 150;

let detours = 0;

/** @typedef {(specifier: string, options?: object) => Promise<any>} Load */

/**
 * @param {string} cwd
 * @returns {{require: NodeRequire, load: Load, filename: string}}
 */
export function modulesAt(cwd) {
  const filename = path.join(cwd, '[bifrost]');
  const direct = createRequire(filename);
  const load = loader(filename);
  /** What was found on a detour. @type {Map<string, string>} */
  const found = new Map();
  /** @type {Map<string, Load>} */
  const loads = new Map();

  /** @param {string} id @param {any} error why it was not found */
  const find = (id, error) => {
    const known = found.get(id);
    if (known !== undefined && fs.existsSync(known)) return known;
    if (error?.code !== 'MODULE_NOT_FOUND' || error.requireStack?.[0] !== filename) throw error;
    if (!isThere(cwd, id)) throw advised(error, id, cwd);
    const place = createRequire(detour(filename)).resolve(id);
    found.set(id, place);
    return place;
  };
  const resolve = (/** @type {string} */ id, /** @type {any[]} */ ...rest) => {
    try {
      return direct.resolve(id, ...rest);
    } catch (error) {
      return find(id, error);
    }
  };
  const require = (/** @type {string} */ id) => {
    try {
      return direct(id);
    } catch (error) {
      return direct(find(id, error));
    }
  };
  return {
    filename,
    require: /** @type {any} */ (Object.assign(require, direct, { resolve: Object.assign(resolve, direct.resolve) })),
    load: async (specifier, options) => {
      if (isAnswered(specifier)) return asNamespace(require(specifier));
      answerImports();
      try {
        return await (loads.get(specifier) ?? load)(specifier, options);
      } catch (error) {
        const { code, message } = /** @type {any} */ (error);
        const isOurs = code === 'ERR_MODULE_NOT_FOUND' && String(message).endsWith(`imported from ${filename}`);
        if (!isOurs) throw error;
        if (loads.has(specifier) || !isThere(cwd, String(specifier))) throw advised(error, String(specifier), cwd);
        const again = loader(detour(filename));
        const module = await again(specifier, options);
        loads.set(specifier, again);
        return module;
      }
    },
  };
}

/** @param {string} filename of the script that imports @returns {Load} */
function loader(filename) {
  const load = new vm.Script('(specifier, options) => import(specifier, options)', {
    filename,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }).runInThisContext();
  return (specifier, options) => withoutWarning(() => load(specifier, options));
}

/** Another path to a file, which Node has not looked at. @param {string} filename */
function detour(filename) {
  if (detours < MOST) detours++;
  return ROOT.repeat(detours) + filename;
}

/** The name of a specifier's package; undefined of a path. @param {string} specifier */
const packageOf = (specifier) => /^(?:@[^/]+\/)?[^./@][^/]*/.exec(specifier)?.[0];

/** An error about a module that was not found, with the next step. @param {any} error @param {string} specifier @param {string} cwd */
function advised(error, specifier, cwd) {
  const name = packageOf(specifier);
  const advice = name === 'dcp' ? adviceOnDcp() : name
    ? `no node_modules of ${cwd} or above has it: in Python, \`from bifrost import npm; npm.install('${name}')\``
    : `it was looked for from ${cwd}, Python's working directory`;
  const before = String(error.message);
  error.message = `Cannot find module '${specifier}': ${advice}`;
  // V8 has the message in the stack, too.
  if (typeof error.stack === 'string') error.stack = error.stack.replace(before, () => error.message);
  return error;
}

/** The modules of DCP's client are in no package. */
const adviceOnDcp = () =>
  process.env.DCP_SCHEDULER_LOCATION
    ? `it is there after \`require('${CLIENT}').initSync()\``
    : `Bifrost's own ${CLIENT} has ${MODULES.join(', ')}`;

/** Whether the package of a specifier lies in a `node_modules`. @param {string} cwd @param {string} specifier */
function isThere(cwd, specifier) {
  const name = packageOf(specifier);
  if (!name || !fs.existsSync(ROOT)) return false;
  for (let folder = cwd; ; folder = path.dirname(folder)) {
    if (fs.existsSync(path.join(folder, 'node_modules', name))) return true;
    if (folder === path.dirname(folder)) return false;
  }
}

/** Node calls this loader experimental when it is first used. @template T @param {() => T} action */
function withoutWarning(action) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return action();
  } finally {
    process.emitWarning = emitWarning;
  }
}
