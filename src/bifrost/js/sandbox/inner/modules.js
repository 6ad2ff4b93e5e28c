/** `require` and `module` of work functions: the modules that the job requires, by name. */

import { evaluate } from './evaluate.js';
import { Error, Map, Object, Reflect, Set, String } from './globals.js';

/** @typedef {{name: string, source: string, module: any}} Known */
/** By full name, and by each name that is short for one. @type {Map<string, Known>} */
const known = new Map();
/** Names of Node.js's modules; what the job requires comes before them. */
const OF_NODE = new Set(
  ('assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns domain events'
    + ' fs http http2 https inspector module net os path perf_hooks process punycode querystring readline repl stream'
    + ' string_decoder sys timers tls trace_events tty url util v8 vm wasi worker_threads zlib').split(' '),
);

/** @param {Array<[string, string]>} modules name and source of each */
export function provide(modules) {
  const all = modules.map(([name, source]) => ({ name, source, module: undefined }));
  for (const one of all) for (const short of shorter(one.name)) if (!known.has(short)) known.set(short, one);
  for (const one of all) known.set(one.name, one); // a full name comes before another's short one
}

/** `npm:@a/b` is also `@a/b` and `b`; `b.js` is also `b`. @param {string} name */
function shorter(name) {
  const path = name.slice(name.indexOf(':') + 1);
  const last = path.slice(path.lastIndexOf('/') + 1);
  return [path, last, bare(path), bare(last)];
}

/** @param {string} path */
function bare(path) {
  return path.replace(/\.c?js$/, '');
}

/** What `./b` is for `a/c`: `a/b`. @param {string} from @param {string} path */
function beside(from, path) {
  const parts = from.split('/').slice(0, -1);
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** @param {any} name @param {string} [from] name of the module that asks */
function find(name, from = '') {
  const text = String(name);
  const isRelative = /^\.\.?\//.test(text);
  const full = isRelative ? beside(from, text) : text;
  for (const path of [full, text, beside('', text)]) {
    const found = known.get(path) || known.get(bare(path));
    if (found) return found;
  }
  throw Object.assign(new Error(`cannot find module '${text}': ${whyNot(full)}`), { code: 'ENOMODULE' });
}

/** @param {string} name */
function whyNot(name) {
  if (name.startsWith('node:') || OF_NODE.has(name.split('/')[0])) return 'it is of Node.js, and a sandbox has none of that';
  const names = [...new Set([...known.values()].map((one) => one.name))].join(', ') || 'no modules';
  const prefix = /^(npm:|[^@].*\/)/.test(name) ? '' : 'npm:'; // what is published has a package before it
  return `the job requires ${names}; name it with job.requires('${prefix}${name}')`;
}

/** @param {string} [from] */
function requireFor(from) {
  return function require(/** @type {any} */ name) {
    const one = find(name, from);
    if (one.module === undefined) load(one);
    return one.module.exports;
  };
}

/** @param {Known} one */
function load(one) {
  const module = makeModule(one.name);
  one.module = module;
  const require = requireFor(one.name);
  try {
    const body = evaluate('(function (require, exports, module) {', one.source, '})', one.name.replace(/\s/g, '_'));
    Reflect.apply(body, module.exports, [require, module.exports, module]);
    const { declared } = module;
    if (declared) {
      delete module.declared;
      for (const name of declared.dependencies) require(name);
      const made = Reflect.apply(declared.factory, module.exports, [require, module.exports, module]);
      if (declared.plain) module.exports = made;
    }
  } catch (error) {
    one.module = undefined; // to be tried, and to fail in the same way, again
    throw error;
  }
}

/** @param {string} id */
function makeModule(id) {
  const module = {
    id,
    exports: {},
    loaded: true,
    /** @param {any[]} words `[dependencies], factory`, or the factory alone */
    declare(...words) {
      const factory = words[words.length - 1];
      const dependencies = words.length > 1 && Array.isArray(words[0]) ? words[0] : [];
      const call = typeof factory === 'function' ? factory : () => factory;
      const declared = { dependencies: dependencies.map(String), factory: call, plain: call !== factory };
      Object.defineProperty(module, 'declared', { value: declared, configurable: true, writable: true });
    },
  };
  return /** @type {any} */ (module);
}

export const require = requireFor();
export const module = makeModule('work');
