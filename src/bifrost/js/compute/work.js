/** The source of a work function, which is all of it that travels: no variable from around it does. */

import vm from 'node:vm';
import { Function, SyntaxError, TypeError } from '../protocol/globals.js';

/**
 * @param {any} work a function, or text that evaluates to one
 * @returns {string} an expression that evaluates to the function
 * @throws {TypeError} it is no function, or one without a source
 * @throws {SyntaxError} text that is no expression
 */
export function sourceOf(work) {
  if (typeof work === 'string') {
    const text = work.replace(/[;\s]+$/, ''); // as it stands behind an assignment
    check(text);
    return text;
  }
  if (typeof work !== 'function') {
    throw new TypeError('a work function is a function, or text that evaluates to one');
  }
  const source = Function.prototype.toString.call(work);
  const name = work.name || 'this function';
  if (/\{\s*\[native code\]\s*\}$/.test(source)) {
    throw new TypeError(`${name} is native or bound: it has no source to send; write a function around it`);
  }
  if (/^class\b/.test(source)) throw new TypeError(`${name} is a class: send a function that makes its own`);
  if (isExpression(source)) return source;
  // A method's source is one only within an object; a getter or `super` is none at all.
  const method = `Object.values({${source}\n})[0]`;
  if (!/^[gs]et\b/.test(source) && isExpression(method)) return method;
  throw new TypeError(`the source of ${name} does not stand for itself: write a function of its own`);
}

/** @param {string} source */
function isExpression(source) {
  try {
    check(source);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} source @throws {SyntaxError} */
function check(source) {
  try {
    new vm.Script(`(${source}\n)`, { filename: 'work function' });
  } catch (error) {
    throw new SyntaxError(`the work function: ${/** @type {Error} */ (error).message}`);
  }
}
