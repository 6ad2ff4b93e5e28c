/** Laws of the wire, from JavaScript's side: split anywhere, and garbage gives one error. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { decode } from '../../src/bifrost/js/protocol/decoder.js';
import { Encoder } from '../../src/bifrost/js/protocol/encoder.js';
import { ProtocolError, ShareError } from '../../src/bifrost/js/protocol/errors.js';
import { FrameReader, HEADER_SIZE, seal } from '../../src/bifrost/js/protocol/framing.js';
import { Ext } from '../../src/bifrost/js/protocol/messages.js';
import { DType, NDArray } from '../../src/bifrost/js/protocol/arrays.js';

/** A small generator with a seed, so that a failure can be had again. */
let state = 7;
const random = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
};

const inward = {
  array: ([, , , wire, shape]) => {
    const kind = new DType(wire);
    const count = shape.reduce((a, b) => a * b, 1);
    if (!(count < 1000)) throw new ProtocolError('too large');
    return NDArray.zeros(shape, kind);
  },
  blob: () => Buffer.alloc(1),
  home: (id) => ({ id }),
  table: () => ({}),
};
const encoder = new Encoder({
  lends: true,
  array: (value) => [0, value.byteLength, 0, '|u1', [value.byteLength], null, 1],
  blob: (data) => [0, data.length],
  home: () => undefined,
  reference: () => ({ reference: [1, 'function', 'f'] }),
  customName: () => undefined,
  tableStream: () => undefined,
  stack: () => '',
});
const encode = (value) => Buffer.from(encoder.encode(value).subarray(HEADER_SIZE));

/** Whatever the bytes, only our own errors come out. @param {Buffer} body */
function check(body) {
  try {
    decode(body, inward);
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof ShareError) return;
    throw new Error(`${body.toString('hex')} gave ${error.stack}`);
  }
}

test('frames may be split anywhere', () => {
  for (let round = 0; round < 300; round++) {
    const frames = Array.from({ length: random(6) }, () => {
      const frame = Buffer.alloc(HEADER_SIZE + random(100), random(256));
      return seal(frame, random(6), random(2 ** 32));
    });
    const stream = Buffer.concat(frames);
    for (const most of [1, 2, 7, 40, stream.length || 1]) {
      const reader = new FrameReader();
      const got = [];
      // The feeder uses its memory again, as the transport does.
      const memory = Buffer.alloc(most);
      for (let at = 0; at < stream.length; ) {
        const n = most === 1 ? 1 : 1 + random(most);
        const piece = memory.subarray(0, stream.copy(memory, 0, at, at + n));
        at += piece.length;
        reader.feed(piece);
        for (let frame; (frame = reader.next()); ) {
          got.push(seal(Buffer.concat([Buffer.alloc(HEADER_SIZE), frame.body]), frame.type, frame.id));
        }
        memory.fill(0xee);
      }
      assert.deepEqual(Buffer.concat(got), stream);
      assert.equal(got.length, frames.length);
    }
  }
});

test('an impossible header is refused at once', () => {
  for (const header of ['ffffffff0100000000', '000000000600000000']) {
    const reader = new FrameReader();
    reader.feed(Buffer.from(header, 'hex'));
    assert.throws(() => reader.next(), ProtocolError);
  }
});

test('damaged payloads', () => {
  const file = new URL('../vectors/values.json', import.meta.url);
  const { sections } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const entries = sections.flatMap((section) => section.entries);
  const bodies = entries.flatMap((e) => [e.toNode, e.toPython]).filter(Boolean);
  for (const hex of bodies) {
    const body = Buffer.from(hex, 'hex');
    for (let end = 0; end < body.length; end++) {
      assert.throws(() => decode(body.subarray(0, end), inward), (error) => {
        return error instanceof ProtocolError || error instanceof ShareError;
      });
    }
    assert.throws(() => decode(Buffer.concat([body, Buffer.from([1])]), inward), ProtocolError);
    for (let i = 0; i < 30; i++) {
      const damaged = Buffer.from(body);
      for (let n = random(3); n >= 0; n--) damaged[random(body.length)] = random(256);
      check(damaged);
    }
  }
});

test('garbage payloads', () => {
  for (let i = 0; i < 20_000; i++) {
    check(Buffer.from(Array.from({ length: 1 + random(40) }, () => random(256))));
  }
});

test('extensions with any body', () => {
  const some = () => {
    const choices = [
      () => null,
      () => random(2 ** 31),
      () => -random(100),
      () => 0.5,
      () => 2n ** 63n,
      () => ['', 'a', 'g', 'x'.repeat(40), '__proto__'][random(5)],
      () => Array.from({ length: random(8) }, some),
      () => Object.fromEntries(Array.from({ length: random(4) }, (_, k) => [`k${k}`, some()])),
      () => Buffer.from([0x91, 0xc0]),
    ];
    return choices[random(choices.length)]();
  };
  for (const code of [...Object.values(Ext), 0, 99]) {
    for (let i = 0; i < 500; i++) {
      const body = i % 3 ? encode(some()) : Buffer.from(Array.from({ length: random(20) }, () => random(256)));
      const head = Buffer.from([0x91, 0xc9, 0, 0, 0, 0, code]);
      head.writeUInt32BE(body.length, 2);
      check(Buffer.concat([head, body]));
    }
  }
});

test('a thousand nested lists are an error, not a crash', () => {
  check(Buffer.concat([Buffer.alloc(200_000, 0x91), Buffer.from([0xc0])]));
});
