/**
 * What the inner realm may ask of its host: functions that take and return numbers, text and bytes.
 * They are handed to Bifrost's own code in there, which keeps them to itself and lets nothing out
 * that they throw.
 */

import { createHash, randomFillSync } from 'node:crypto';
import { Script } from 'node:vm';
import { own } from './channel.js';

const { utf8Write, utf8Slice, ucs2Write, ucs2Slice } = /** @type {any} */ (Buffer.prototype);
const { performance, setTimeout, clearTimeout, setImmediate, TextDecoder, URL } = globalThis;
const PARTS = /** @type {const} */ ([
  'href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash',
]);

/**
 * @param {import('./channel.js').Channel} channel
 * @param {{wake: () => void, finished: () => void}} events
 * @returns {Function[]} in the order in which `inner/host.js` takes them
 */
export function makeHost(channel, events) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  return [
    /** @param {number} type @param {number} ident @param {Uint8Array} body @param {boolean} now */
    function send(type, ident, body, now) {
      channel.send(Number(type), Number(ident), own(body), now === true);
    },
    function finished() {
      events.finished();
    },
    /** Have the inner realm woken, once. @param {number} ms */
    function arm(ms) {
      clearTimeout(timer);
      timer = undefined;
      if (ms > 0) timer = setTimeout(events.wake, ms);
      else if (ms === 0) setImmediate(events.wake);
    },
    function now() {
      return performance.now();
    },
    function timeOrigin() {
      return performance.timeOrigin;
    },
    /** @param {Uint8Array} bytes */
    function random(bytes) {
      randomFillSync(own(bytes));
    },
    /** @param {string} text @param {Uint8Array} bytes @param {boolean} wide UTF-16, else UTF-8 */
    function encode(text, bytes, wide) {
      if (typeof text !== 'string') throw new TypeError('not text');
      return Reflect.apply(wide ? ucs2Write : utf8Write, own(bytes), [text, 0]);
    },
    /** @param {Uint8Array} bytes @param {boolean} wide as they were encoded */
    function text(bytes, wide) {
      const view = own(bytes);
      return Reflect.apply(wide ? ucs2Slice : utf8Slice, view, [0, view.length]);
    },
    /** @param {Uint8Array} bytes @param {string} label @param {boolean} fatal @param {boolean} keepMark */
    function decode(bytes, label, fatal, keepMark) {
      if (typeof label !== 'string') throw new TypeError('not text');
      return new TextDecoder(label, { fatal: fatal === true, ignoreBOM: keepMark === true }).decode(own(bytes));
    },
    /**
     * The parts of a URL, one a line; after one of them was set, if one is named.
     * @param {string} text @param {string} base @param {string} part @param {string} value
     */
    function url(text, base, part, value) {
      for (const word of [text, base, part, value]) if (typeof word !== 'string') throw new TypeError('not text');
      const made = base ? new URL(text, base) : new URL(text);
      if (part) /** @type {any} */ (made)[PARTS.find((known) => known === part) ?? 'href'] = value;
      return PARTS.map((name) => made[name]).join('\n');
    },
    /** @param {string} algorithm @param {Uint8Array} bytes @param {Uint8Array} target */
    function digest(algorithm, bytes, target) {
      if (typeof algorithm !== 'string') throw new TypeError('not text');
      own(target).set(createHash(algorithm).update(own(bytes)).digest());
    },
    /** Where the syntax of a script is wrong, `line:column`; nothing if it is right. @param {string} text */
    function mistake(text) {
      if (typeof text !== 'string') throw new TypeError('not text');
      try {
        new Script(text, { filename: 'script' });
      } catch (error) {
        const [, line, before] = /^script:(\d+)\n.*\n([ \t]*)\^/.exec(String(/** @type {any} */ (error).stack)) ?? [];
        if (line) return `${line}:${before.length + 1}`;
      }
      return '';
    },
  ];
}
