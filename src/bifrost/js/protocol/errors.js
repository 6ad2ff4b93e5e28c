/** The errors that are Bifrost's own on the JavaScript side. */

import { Error, Object, TypeError } from './globals.js';

/** The bytes from the other side are not what docs/protocol.md allows. */
export class ProtocolError extends Error {
  name = 'ProtocolError';
}

/** A value cannot cross between JavaScript and Python. */
export class ShareError extends TypeError {
  name = 'ShareError';

  /**
   * @param {string} path where the value sits inside what was sent, such as `$.a[3].b`
   * @param {string} kind its type
   * @param {string} advice what to do
   */
  constructor(path, kind, advice) {
    super(`${path}: ${kind} cannot cross between Python and JavaScript; ${advice}`);
    this.path = path;
    this.kind = kind;
    this.advice = advice;
  }
}

/** An exception raised by Python. Its `name` is the Python class's. */
export class PythonError extends Error {
  /**
   * @param {string} name
   * @param {string} message
   * @param {string} traceback Python's own traceback, as text
   */
  constructor(name, message, traceback) {
    super(message);
    for (const [key, value] of Object.entries({ name, traceback })) {
      Object.defineProperty(this, key, { value, writable: true, configurable: true });
    }
  }
}
