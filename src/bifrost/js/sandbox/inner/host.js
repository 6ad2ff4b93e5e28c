/**
 * The host, as the inner realm has it. Its functions are of another realm: they stay in this module,
 * and so does what they throw, which may be an error of that realm (its stack may be full, too).
 */

/** @type {any[]} */
let [
  hostSend, hostFinished, hostArm, hostNow, hostOrigin, hostRandom, hostEncode, hostText, hostDecode, hostUrl, hostDigest,
  hostMistake,
] = [];

/** @param {Function[]} functions as `sandbox/host.js` makes them */
export function connect(...functions) {
  [
    hostSend, hostFinished, hostArm, hostNow, hostOrigin, hostRandom, hostEncode, hostText, hostDecode, hostUrl, hostDigest,
  hostMistake,
  ] = functions;
}

/**
 * @param {number} type
 * @param {number} ident
 * @param {Uint8Array} body
 * @param {boolean} [now]
 */
export function send(type, ident, body, now = true) {
  try {
    hostSend(type, ident, body, now);
  } catch {
    throw new RangeError('the worker could not report this: its stack, or its memory, is used up');
  }
}

/** The slice is over: the next one may come. */
export function finished() {
  try {
    hostFinished();
  } catch {}
}

/** @param {number} ms until `wake` is to be called; less than 0: not at all */
export function arm(ms) {
  try {
    hostArm(ms);
  } catch {}
}

/** @returns {number} */
export function now() {
  try {
    return hostNow();
  } catch {
    return NaN;
  }
}

/** @returns {number} */
export function timeOrigin() {
  try {
    return hostOrigin();
  } catch {
    return NaN;
  }
}

/** @param {Uint8Array} bytes */
export function random(bytes) {
  try {
    hostRandom(bytes);
  } catch {
    throw new RangeError('no random numbers');
  }
}

/** @param {string} text @param {Uint8Array} bytes @param {boolean} [wide] @returns {number} bytes written */
export function encode(text, bytes, wide = false) {
  try {
    return hostEncode(text, bytes, wide);
  } catch {
    throw new RangeError('the text cannot be encoded');
  }
}

/** The reverse of `encode`. @param {Uint8Array} bytes @param {boolean} [wide] @returns {string} */
export function textOf(bytes, wide = false) {
  try {
    return hostText(bytes, wide);
  } catch {
    throw new RangeError('the text cannot be decoded');
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {string} label
 * @param {boolean} fatal
 * @param {boolean} keepMark
 * @returns {string}
 */
export function decode(bytes, label, fatal, keepMark) {
  try {
    return hostDecode(bytes, label, fatal, keepMark);
  } catch {
    throw new TypeError(`The encoded data was not valid for encoding ${label}`);
  }
}

/** @param {string} text @param {string} base @param {string} part @param {string} value @returns {string} */
export function url(text, base, part, value) {
  try {
    return hostUrl(text, base, part, value);
  } catch {
    throw new TypeError('Invalid URL');
  }
}

/** @param {string} algorithm @param {Uint8Array} bytes @param {Uint8Array} target */
export function digest(algorithm, bytes, target) {
  try {
    hostDigest(algorithm, bytes, target);
  } catch {
    throw new TypeError(`no digest ${algorithm}`);
  }
}

/** @param {string} text of a script @returns {string} where its syntax is wrong, or nothing */
export function mistake(text) {
  try {
    return hostMistake(text);
  } catch {
    return '';
  }
}
