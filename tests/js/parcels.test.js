/** Parcels: values that travel alone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NDArray } from '../../src/bifrost/js/protocol/arrays.js';
import { pack, unpack } from '../../src/bifrost/js/protocol/parcels.js';

const through = (value) => unpack(pack(value));

test('values arrive as they were', () => {
  const value = {
    list: [1, -0, NaN, null, undefined, 2n ** 80n, 'ü\ud800'],
    map: new Map([['a', new Set([1])]]),
    date: new Date(5),
    bytes: new Uint8Array(100_000).fill(7),
    doubles: new Float64Array([1.5, -0]),
    words: new Uint16Array([1, 2, 3]).subarray(1),
    empty: new Int8Array(0),
    nested: { deep: [[[]]] },
  };
  assert.deepEqual(through(value), value);
});

test('what is too large is refused before it is copied', () => {
  assert.throws(() => pack([new Uint8Array(2 ** 30)]), /^ShareError: \$: a Array of 1,073,741,8\d\d bytes .* send it in parts$/);
});

test('arrays have memory of their own', () => {
  const parcel = pack([new Float32Array([1, 2]), new Float32Array([3])]);
  const [a, b] = unpack(parcel);
  assert.equal(a.buffer.byteLength, 8);
  assert.notEqual(a.buffer, b.buffer);
  const odd = new Uint8Array(parcel.length + 1);
  odd.set(parcel, 1);
  assert.deepEqual(unpack(odd.subarray(1)), [a, b]);
});

test('an NDArray keeps its shape', () => {
  const array = NDArray.from([[1, 2, 3], [4, 5, 6]], 'int16');
  const came = through(array);
  assert.deepEqual([came.dtype, came.shape, came.toArray()], ['int16', [2, 3], [[1, 2, 3], [4, 5, 6]]]);
});

test('what occurs twice, or in itself, does so', () => {
  const ring = { name: 'ring', data: new Uint8Array(3) };
  ring.self = ring;
  ring.again = ring.data;
  const came = through(ring);
  assert.equal(came.self, came);
  assert.equal(came.again, came.data);
});

test('an error keeps its class, name and own properties', () => {
  const came = through(Object.assign(new RangeError('far'), { code: 'EFAR' }));
  assert.ok(came instanceof RangeError);
  assert.deepEqual([came.name, came.message, came.code], ['RangeError', 'far', 'EFAR']);
});

test('what cannot travel is named with its path', () => {
  class Thing {}
  for (const value of [() => {}, new Thing(), Symbol('s'), new WeakMap(), Promise.resolve()]) {
    assert.throws(() => pack({ a: [1, { b: value }] }), /\$\.a\[1\]\.b/);
  }
  assert.deepEqual(through([1]), [1]);
});

test('a getter may pack another value', () => {
  const value = { get inner() { return pack([new Uint8Array(3)]).length; }, last: new Uint8Array(2) };
  assert.deepEqual(through(value).last, new Uint8Array(2));
});

test('garbage is one defined error', () => {
  const good = pack({ a: new Float64Array(9), b: 'text' });
  for (let end = 0; end < good.length; end++) {
    assert.throws(() => unpack(good.subarray(0, end)), { name: /ProtocolError/ });
  }
});
