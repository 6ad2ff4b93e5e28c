/** The vectors through JavaScript's encoder and decoder alone: the bytes that are fixed. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import test from 'node:test';
import { NDArray } from '../../src/bifrost/js/protocol/arrays.js';
import { decode } from '../../src/bifrost/js/protocol/decoder.js';
import { Encoder } from '../../src/bifrost/js/protocol/encoder.js';
import { HEADER_SIZE } from '../../src/bifrost/js/protocol/framing.js';
import { Complex, Decimal, Duration } from '../../src/bifrost/js/protocol/types.js';

const require = createRequire(import.meta.url);
const same = require('../vectors/same.cjs');
const file = new URL('../vectors/values.json', import.meta.url);
const { sections } = JSON.parse(fs.readFileSync(file, 'utf8'));
const bifrost = { NDArray, Complex, Decimal, Duration };

const fail = () => {
  throw new Error('a fixed vector needs nothing but its bytes');
};
const encoder = new Encoder({
  lends: true,
  array: fail,
  blob: fail,
  home: () => undefined,
  reference: fail,
  customName: () => undefined,
  tableStream: () => undefined,
  stack: () => '',
});
const inward = { array: fail, blob: fail, home: fail, table: fail };

const make = (expression) => new Function('bifrost', 'require', `return (${expression});`)(bifrost, require);
const hex = (value) => encoder.encode(value).subarray(HEADER_SIZE).toString('hex');

for (const { title, entries } of sections) {
  test(title, async (t) => {
    for (const entry of entries) {
      if (entry.toPython) {
        await t.test(`to Python: ${entry.js}`, () => assert.equal(hex(make(entry.js)), entry.toPython));
      }
      if (entry.toNode && entry.js) {
        await t.test(`from Python: ${entry.python}`, () => {
          const value = decode(Buffer.from(entry.toNode, 'hex'), inward);
          assert.ok(same(value, make(entry.js)), 'it is another value');
        });
      }
    }
  });
}
