/**
 * The stacks of errors that cross: each language's frames in their turn, and none of Bifrost's own.
 *
 * V8 writes a stack when an error is made. Where an error comes back from Python, the frames of the
 * JavaScript that called Python are put behind it.
 */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Error, Object, Reflect, String } from './globals.js';

const HERE = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
/** Here a call of Python's begins: what called Python is further out. */
const BOUNDARY = /^ {4}at (?:Session\.)?#serve \(/;
/** Frames of the bridge are among those that V8 counts. */
const LIMIT = 50;

/** Where the lines of a stack lead to a source that the script was made from. */
export const places = {
  /** @param {string} line @returns {string} */
  relocate: (line) => line,
};

/** @param {string} line of a stack */
const isOurs = (line) =>
  line.includes(HERE) ||
  line.includes('(node:inspector:') ||
  line.includes('(node:internal/async_local_storage') ||
  line.includes('(node:internal/process/task_queues') ||
  /^ {4}at (Session\.post \()?node:(inspector|internal\/(vm|process\/task_queues))/.test(line) ||
  line === '    at <anonymous>:1:1';

/** @param {string} stack */
function clean(stack) {
  let lines = stack.split('\n');
  const boundary = lines.findIndex((line) => BOUNDARY.test(line) && line.includes(HERE));
  if (boundary >= 0) lines = lines.slice(0, boundary);
  return lines.filter((line) => !isOurs(line)).map(places.relocate).join('\n');
}

/** An error's stack without the frames that are ours. @param {any} error */
export function cleanStack(error) {
  return typeof error.stack === 'string' ? clean(error.stack) : '';
}

/** What Python is told: of its own exceptions it knows its own part. @param {any} error */
export function ownStack(error) {
  const { traceback } = error;
  if (typeof traceback !== 'string') return cleanStack(error);
  return typeof error.stack === 'string' && error.stack.startsWith(traceback) ? clean(error.stack.slice(traceback.length)) : '';
}

/**
 * An error of ours came home: it has passed Python's frames.
 * @param {any} error
 * @param {unknown} stack as Python has it
 */
export function passedPython(error, stack) {
  if (typeof stack !== 'string') return;
  const known = cleanStack(error);
  if (stack.length > known.length && stack.startsWith(known)) setStack(error, stack);
}

/** Put the frames that are being executed behind an error. @param {any} error */
export function addFramesHere(error) {
  const before = { stackTraceLimit: Error.stackTraceLimit, prepareStackTrace: Error.prepareStackTrace };
  Object.assign(Error, { stackTraceLimit: LIMIT, prepareStackTrace: undefined });
  /** @type {{stack?: string}} */
  const here = {};
  Error.captureStackTrace(here, addFramesHere);
  const text = String(here.stack);
  Object.assign(Error, before);
  const frames = clean(text.slice(text.indexOf('\n') + 1));
  const stack = cleanStack(error);
  if (frames && !stack.endsWith(frames)) setStack(error, `${stack}\n${frames}`);
}

/** @param {any} error @param {string} value */
function setStack(error, value) {
  Reflect.defineProperty(error, 'stack', { value, writable: true, configurable: true });
}
