/**
 * Stacks as work functions see them: their own frames, and none of Bifrost's. (`protocol/stacks.js`
 * is this module in the inner realm.)
 */

const { Array, Promise, Reflect, String, TypeError } = globalThis;
const { toString } = Error.prototype;
const { then } = Promise.prototype;
const { includes, indexOf, slice } = String.prototype;
const { parseInt } = globalThis;

/** Names of the inner realm's modules, of the host's files, and of Node.js's. */
const OURS = ['bifrost:', 'file:///', 'node:'];

/** @param {string} line */
function isOurs(line) {
  for (let i = 0; i < OURS.length; i++) if (Reflect.apply(includes, line, [OURS[i]])) return true;
  return false;
}

/** Where a column stands in the work function's first line; before that line stands a parenthesis. */
const FIRST_LINE = 'work.js:1:';

/** @param {string} line */
function placed(line) {
  const at = Reflect.apply(indexOf, line, [FIRST_LINE]);
  if (at < 0) return line;
  const start = at + FIRST_LINE.length;
  const column = parseInt(Reflect.apply(slice, line, [start]), 10);
  const rest = Reflect.apply(slice, line, [start + `${column}`.length]);
  return `${Reflect.apply(slice, line, [0, start])}${column - 1}${rest}`;
}

/**
 * V8 calls this for the text of every stack. It takes the place of `Error.prepareStackTrace`, which
 * would be given objects of the host's.
 * @param {any} _global
 * @param {any} error
 * @param {any[]} sites
 */
export function formatStack(_global, error, sites) {
  let text;
  try {
    text = Reflect.apply(toString, error, []);
  } catch {
    text = '<error>';
  }
  for (let i = 0; i < sites.length; i++) {
    const line = String(sites[i]);
    if (!isOurs(line)) text += `\n    at ${placed(line)}`;
  }
  return text;
}

const refusal = 'a work function has no import(): require() the modules that its job requires';

/** What `import()` comes to. */
export function refuseImport() {
  const promise = Promise.reject(new TypeError(refusal));
  Reflect.apply(then, promise, [undefined, () => {}]); // whether somebody looks is not for the host
  return promise;
}

/** @param {any} error @returns {string} */
export function cleanStack(error) {
  const { stack } = error;
  return typeof stack === 'string' ? stack : '';
}

export const ownStack = cleanStack;

/** No exception of Python's comes home here. */
export function passedPython() {}
