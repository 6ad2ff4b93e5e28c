/**
 * The vocabulary of the wire: message types and extension codes (docs/protocol.md).
 * `protocol/messages.py` holds the same names with the same numbers; a test compares the two.
 */

import { Object } from './globals.js';

export const VERSION = 1;

/** What a frame is. Its id pairs a RESULT or an ERROR with its CALL. */
export const Message = Object.freeze({
  HELLO: 0,
  CALL: 1,
  RESULT: 2,
  ERROR: 3,
  NOTIFY: 4,
  RELEASE: 5,
});

/** MessagePack extension codes: what MessagePack itself has no word for. */
export const Ext = Object.freeze({
  UNDEFINED: 1,
  BIGINT: 2,
  STR16: 3,
  OBJECT: 4,
  MAP: 5,
  SET: 6,
  DATE: 7,
  DECIMAL: 8,
  DURATION: 9,
  COMPLEX: 10,
  REGEXP: 11,
  ERROR: 12,
  ARRAY: 13,
  BLOB: 14,
  TABLE: 15,
  CUSTOM: 16,
  REFERENCE: 17,
  HOME: 18,
  GRAPH: 19,
  NODE: 20,
});

/** What an ARRAY is on the JavaScript side. */
export const ArrayKind = Object.freeze({ NDARRAY: 0, TYPED_ARRAY: 1, READ_ONLY: 2 });
