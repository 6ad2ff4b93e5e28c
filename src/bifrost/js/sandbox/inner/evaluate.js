/** Evaluates sources; if their syntax is wrong it says where, which V8 keeps to itself. */

import { Error, Number, Object, SyntaxError } from './globals.js';
import { mistake } from './host.js';

const indirect = eval; // under another name it is sloppy, and global

/**
 * @param {string} before what stands before the source, in its first line
 * @param {string} source
 * @param {string} after
 * @param {string} name of the source, in stacks
 */
export function evaluate(before, source, after, name) {
  const text = `${before}${source}\n${after}`;
  try {
    return indirect(`${text}\n//# sourceURL=${name}`);
  } catch (error) {
    const place = error instanceof SyntaxError ? mistake(text) : '';
    if (!place) throw error;
    const [line, column] = place.split(':').map(Number);
    const at = `${name}:${line}:${line === 1 ? column - before.length : column}`;
    const { message } = /** @type {Error} */ (error);
    const told = new SyntaxError(`${message} (${at})`);
    throw Object.defineProperty(told, 'stack', { value: `SyntaxError: ${told.message}\n    at ${at}` });
  }
}
