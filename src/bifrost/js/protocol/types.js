/** Python's number-like types that JavaScript has no match for. They go home as what they were. */

import { inspect } from 'node:util';
import { Math, Number, Object, RangeError, String, SyntaxError } from './globals.js';

/** A `decimal.Decimal`: exact text; as a number (`+d`, `d < 1`) it is rounded to a double. */
export class Decimal {
  /** @param {string | number | bigint} text */
  constructor(text) {
    this.text = String(text).trim();
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^[+-]?(s?nan\d*|inf(inity)?)$/i.test(this.text)) {
      throw new SyntaxError(`not a decimal number: ${inspect(text)}`);
    }
    Object.freeze(this);
  }
  toString() {
    return this.text;
  }
  toJSON() {
    return this.text;
  }
  valueOf() {
    return Number(this.text.replace(/^([+-]?)inf(inity)?$/i, '$1Infinity'));
  }
  [inspect.custom]() {
    return `Decimal('${this.text}')`;
  }
}

/** A `datetime.timedelta`; as a number it is its milliseconds, so it adds to a Date's time. */
export class Duration {
  /**
   * @param {number} days
   * @param {number} [seconds]
   * @param {number} [microseconds]
   */
  constructor(days, seconds = 0, microseconds = 0) {
    this.days = days;
    this.seconds = seconds;
    this.microseconds = microseconds;
    if (![days, seconds, microseconds].every(Number.isSafeInteger)) {
      throw new RangeError('a Duration is made of whole days, seconds and microseconds');
    }
    Object.freeze(this);
  }
  /** @param {number} milliseconds */
  static fromMilliseconds(milliseconds) {
    const micro = Math.round(milliseconds * 1000);
    const days = Math.floor(micro / 86_400e6);
    const rest = micro - days * 86_400e6;
    return new Duration(days, Math.floor(rest / 1e6), rest % 1e6);
  }
  valueOf() {
    return this.days * 86_400e3 + this.seconds * 1e3 + this.microseconds / 1e3;
  }
  toString() {
    return `${this.valueOf()} ms`;
  }
}

/** A Python `complex`. */
export class Complex {
  /**
   * @param {number} re
   * @param {number} [im]
   */
  constructor(re, im = 0) {
    this.re = re;
    this.im = im;
    Object.freeze(this);
  }
  toString() {
    return `${this.re}${this.im < 0 || Object.is(this.im, -0) ? '-' : '+'}${Math.abs(this.im)}i`;
  }
}
