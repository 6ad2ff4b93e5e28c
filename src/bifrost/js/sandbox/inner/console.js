/** The console of work functions: what it is given is shown as Node.js would, and sent to the job. */

import { Map, Number, Object, Reflect, String } from './globals.js';
import { now } from './host.js';
import { print } from './slices.js';
import { inspect } from './util.js';

/** A line that is longer is cut. */
const MOST = 1 << 16;
const counts = new Map();
const timers = new Map();
let indent = '';

/** @param {any[]} args */
export function format(args) {
  if (typeof args[0] !== 'string' || args.length === 1) return args.map(plain).join(' ');
  let next = 1;
  const text = args[0].replace(/%([sdifjoOc%])/g, (whole, kind) => {
    if (kind === '%') return '%';
    if (next >= args.length) return whole;
    const value = args[next++];
    if (kind === 's') return typeof value === 'object' || typeof value === 'function' ? inspect(value, { depth: 0 }) : String(value);
    if (kind === 'd') return typeof value === 'bigint' ? `${value}n` : String(Number(value));
    if (kind === 'i') return String(parseInt(value, 10));
    if (kind === 'f') return String(parseFloat(value));
    if (kind === 'j') return JSON.stringify(value);
    return kind === 'c' ? '' : inspect(value, { depth: 4 });
  });
  return [text, ...args.slice(next).map(plain)].join(' ');
}

/** @param {any} value */
const plain = (value) => (typeof value === 'string' ? value : inspect(value));

/** @param {string} level @param {string} text */
function write(level, text) {
  const whole = indent ? text.replace(/^/gm, indent) : text;
  const cut = whole.length > MOST ? `${whole.slice(0, MOST)}... ${whole.length - MOST} more characters` : whole;
  print(level, /** @type {any} */ (cut).toWellFormed());
}

/** @param {string} level */
const at = (level) => (/** @type {any[]} */ ...args) => write(level, format(args));

/** @param {string} label @param {any[]} rest */
function elapsed(label, rest) {
  const ms = now() - timers.get(label);
  if (timers.has(label)) write('info', [`${label}: ${ms.toFixed(3)}ms`, ...rest.map(plain)].join(' '));
}

export const console = {
  log: at('log'),
  info: at('info'),
  warn: at('warn'),
  error: at('error'),
  debug: at('debug'),
  /** @param {any} value */
  dir: (value) => write('log', inspect(value)),
  /** @param {any} rows */
  table: (rows) => write('log', inspect(rows)),
  /** @param {any[]} args */
  trace: (...args) => {
    const { stack } = new Error(format(args));
    write('error', String(stack).replace(/^Error/, 'Trace'));
  },
  /** @param {any} holds @param {any[]} args */
  assert: (holds, ...args) => {
    if (!holds) write('error', args.length ? `Assertion failed: ${format(args)}` : 'Assertion failed');
  },
  /** @param {any} label */
  count: (label = 'default') => {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    write('info', `${label}: ${counts.get(label)}`);
  },
  /** @param {any} label */
  countReset: (label = 'default') => void counts.delete(label),
  /** @param {any[]} args */
  group: (...args) => {
    if (args.length) write('log', format(args));
    indent += '  ';
  },
  groupEnd: () => void (indent = indent.slice(2)),
  /** @param {any} label */
  time: (label = 'default') => void timers.set(label, now()),
  /** @param {any} label @param {any[]} rest */
  timeLog: (label = 'default', ...rest) => elapsed(label, rest),
  /** @param {any} label */
  timeEnd: (label = 'default') => {
    elapsed(label, []);
    timers.delete(label);
  },
};
Object.assign(console, { groupCollapsed: console.group, dirxml: console.log });
Reflect.defineProperty(console, Symbol.toStringTag, { value: 'console', configurable: true });
