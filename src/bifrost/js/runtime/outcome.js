/** What a call comes to: its value, or what was thrown. */

import { ByReference } from '../protocol/encoder.js';
import { ShareError } from '../protocol/errors.js';
import { Error, Object, String } from '../protocol/globals.js';
import { addFramesHere } from '../protocol/stacks.js';

/** The name under which something crosses that is thrown and is no Error. */
const THROWN = 'Thrown';

/** What a run came to: the variables it made or changed, its completion value, its error. */
export class Outcome {
  /**
   * @param {Map<string, any>} changes
   * @param {any} value
   * @param {{thrown: any} | undefined} error
   * @param {boolean} isShown whether the value is only to be looked at
   */
  constructor(changes, value, error, isShown) {
    this.isShown = isShown;
    /** Names, their values, the completion value, the error. @type {[string[], any[], any, any]} */
    this.parts = [[...changes.keys()], [...changes.values()], value, error ? asError(error.thrown) : null];
  }

  /**
   * Something in it cannot cross. A variable then stays here, and Python gets a reference; a
   * completion value is what was asked for, so that is an error.
   * @param {any} error
   * @returns {boolean} whether it is worth another try
   */
  concede(error) {
    if (!(error instanceof ShareError)) return false;
    const [, values, , thrown] = this.parts;
    const index = values.findIndex((_, i) => isWithin(error.path, `$[1][${i}]`));
    if (index >= 0 && !(values[index] instanceof ByReference)) {
      values[index] = new ByReference(values[index]);
      return true;
    }
    if (isWithin(error.path, '$[2]')) {
      const path = `$${error.path.slice('$[2]'.length)}`;
      if (this.isShown) {
        this.parts[2] = new ByReference(this.parts[2]);
        return true;
      }
      this.parts[2] = undefined;
      this.parts[3] = thrown ?? new ShareError(path, error.kind, error.advice);
      return true;
    }
    if (!thrown || !isWithin(error.path, '$[3]')) return false;
    this.parts[3] = Object.assign(new Error(thrown.message), { name: thrown.name, stack: thrown.stack });
    return true;
  }
}

/** @param {string} path @param {string} start */
function isWithin(path, start) {
  return path === start || (path.startsWith(start) && '.[{'.includes(path[start.length]));
}

/** A thrown value as an Error: it need not be one. @param {any} thrown */
export function asError(thrown) {
  if (thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]') return thrown;
  const error = new Error(typeof thrown === 'string' ? thrown : cleanText(thrown));
  error.name = THROWN;
  error.stack = '';
  return Object.assign(error, { thrown });
}

/** What to throw for an error that Python raised. @param {any} error */
export function raised(error) {
  if (error.name === THROWN && Object.hasOwn(error, 'thrown')) return error.thrown;
  addFramesHere(error);
  return error;
}

/** @param {any} value */
function cleanText(value) {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}
