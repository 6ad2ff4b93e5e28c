/**
 * The arena from JavaScript's side: Python's slots seen as ArrayBuffers, and slots of our own.
 *
 * With the native part an ArrayBuffer *is* the shared memory. Without it each one is a copy that
 * is brought up to date before a run and written back after it.
 */

import fs from 'node:fs';
import v8 from 'node:v8';
import vm from 'node:vm';
import {
  ArrayBuffer, Buffer, DataView, FinalizationRegistry, JSON, Map, Math, Number, RangeError, Uint8Array,
  WeakMap, WeakRef, setImmediate,
} from '../protocol/globals.js';
import { ArrayKind } from '../protocol/messages.js';
import { DType, NDArray } from '../protocol/arrays.js';
import { viewOf, wireOf } from '../protocol/descriptors.js';
import { ProtocolError } from '../protocol/errors.js';

/** @typedef {import('../protocol/arrays.js').TypedArray} TypedArray */
/** @typedef {{map(fd: number, length: number): void, view(offset: number, length: number): ArrayBuffer}} Native */

const ALIGNMENT = 64;
const PAGE = 4096;
/** V8 does not count shared memory as its own, and keeps what a WeakRef was asked for: ask it to collect. */
const UNCOLLECTED = 2 ** 28;
/** Bytes up to this length are copied out of Python's slots. */
const COPIED = 2 ** 20;
/** Releases may wait for the event loop's next turn until there are so many. */
const RELEASES = 64;

/** The size class of a slot; the same steps as in Python's `arena.slot_size`. @param {number} nbytes */
function slotSize(nbytes) {
  const size = Math.max(nbytes, ALIGNMENT);
  const step = Math.max(2 ** (Math.floor(Math.log2(size)) - 2), ALIGNMENT);
  return Math.ceil(size / step) * step;
}

/** Allocates slots in [next, end). */
class Slots {
  /** @type {Map<number, number[]>} */
  #free = new Map();
  /** @type {Map<number, number>} */
  #sizes = new Map();

  /** @param {number} next @param {number} end */
  constructor(next, end) {
    this.next = next;
    this.end = end;
  }

  /** @param {number} nbytes */
  allocate(nbytes) {
    const size = slotSize(nbytes);
    let offset = this.#free.get(size)?.pop();
    if (offset === undefined) {
      if (size >= PAGE) this.next = Math.ceil(this.next / PAGE) * PAGE;
      offset = this.next;
      if (offset + size > this.end) throw new RangeError(`no room for ${nbytes} bytes of shared memory`);
      this.next += size;
    }
    this.#sizes.set(offset, size);
    return offset;
  }

  /** @param {number} offset */
  free(offset) {
    const size = /** @type {number} */ (this.#sizes.get(offset));
    this.#sizes.delete(offset);
    const free = this.#free.get(size);
    if (free) free.push(offset);
    else this.#free.set(size, [offset]);
  }
}

/** What this process has sent and received through the arena. */
export class Memory {
  #fd;
  #native;
  #slots;
  #region;
  /** Slot -> its ArrayBuffer, while JavaScript uses it. @type {Map<number, WeakRef<ArrayBuffer>>} */
  #buffers = new Map();
  /** ArrayBuffer -> its slot. @type {WeakMap<ArrayBufferLike, {slot: number, nbytes: number}>} */
  #slotOf = new WeakMap();
  /** Python's slots: how many times each was received since it was last released. @type {Map<number, number>} */
  #borrowed = new Map();
  /** Our slots: holders, Python's and our own buffer's. @type {Map<number, number>} */
  #holders = new Map();
  /** What the encoding under way has sent. @type {number[]} */
  #pending = [];
  /** @type {FinalizationRegistry<number>} */
  #finalizers = new FinalizationRegistry((slot) => this.#dropped(slot));
  /** Bytes opened since the garbage collector was last asked to look for unused ones. */
  #opened = 0;
  /** Typed arrays and NDArrays made for what Python sent, so that each is made once. @type {WeakMap<ArrayBuffer, Map<string, WeakRef<object>>>} */
  #views = new WeakMap();
  /** @type {Array<[number, number]>} */
  #releases = [];

  /**
   * @param {number} fd
   * @param {number} size
   * @param {number} region where our own region begins
   * @param {number} regionSize
   * @param {Native | null} native
   * @param {(releases: Array<[number, number]>) => void} release tells Python what is no longer used
   */
  constructor(fd, size, region, regionSize, native, release) {
    this.#fd = fd;
    this.#native = native;
    this.#region = region;
    this.#slots = new Slots(region, region + regionSize);
    this.release = release;
    native?.map(fd, size);
  }

  /** Numbers for the leak check. */
  get counts() {
    return { borrowed: this.#borrowed.size, own: this.#holders.size, buffers: this.#buffers.size };
  }

  // -- receiving

  /**
   * @param {number} slot
   * @param {number} nbytes
   * @returns {ArrayBuffer} the same one while it is in use
   */
  #open(slot, nbytes) {
    const known = this.#buffers.get(slot)?.deref();
    if (known) return known;
    const buffer = this.#native ? this.#native.view(slot, nbytes) : new ArrayBuffer(nbytes);
    if (!this.#native) this.#read(slot, buffer);
    this.#buffers.set(slot, new WeakRef(buffer));
    this.#slotOf.set(buffer, { slot, nbytes });
    this.#finalizers.register(buffer, slot);
    this.#opened += nbytes;
    if (this.#opened > UNCOLLECTED) {
      this.#opened = 0;
      setImmediate(collector()).unref();
    }
    return buffer;
  }

  /** @param {number} slot */
  #isOurs(slot) {
    return slot >= this.#region && this.#holders.has(slot);
  }

  /**
   * Python sent one of its slots.
   * @param {number} slot
   * @param {number} nbytes
   */
  #receive(slot, nbytes) {
    if (!Number.isSafeInteger(slot) || slot < 0 || !Number.isSafeInteger(nbytes) || nbytes < 0) {
      throw new ProtocolError(`no slot at ${slot}`);
    }
    if (!this.#isOurs(slot)) this.#borrowed.set(slot, (this.#borrowed.get(slot) ?? 0) + 1);
    else if (!this.#buffers.get(slot)?.deref()) this.#hold(slot);
    return this.#open(slot, nbytes);
  }

  /**
   * The array that Python described.
   * @param {any[]} parts
   */
  array([slot, nbytes, start, wire, shape, strides, kind]) {
    const dtype = new DType(wire);
    if (slot < 0) return new NDArray(new dtype.type(new ArrayBuffer(0)), shape, dtype);
    const buffer = this.#receive(slot, nbytes);
    let views = this.#views.get(buffer);
    if (!views) this.#views.set(buffer, (views = new Map()));
    const key = JSON.stringify([start, wire, shape, strides, kind]);
    const known = views.get(key)?.deref();
    if (known) return known;
    const view = viewOf(buffer, start, dtype, shape, strides, kind);
    views.set(key, new WeakRef(view));
    return view;
  }

  /** Bytes that Python handed over. @param {number} slot @param {number} nbytes */
  blob(slot, nbytes) {
    if (nbytes <= COPIED && !this.#isOurs(slot)) {
      // A copy is cheap, and the slot is free again at once: a stream brings many.
      const bytes = Buffer.allocUnsafeSlow(nbytes);
      this.#read(slot, bytes.buffer);
      this.drop(slot, 1);
      return bytes;
    }
    return Buffer.from(this.#receive(slot, nbytes), 0, nbytes);
  }

  /** @param {number} slot */
  #dropped(slot) {
    if (this.#buffers.get(slot)?.deref()) return; // a new buffer has taken its place
    this.#buffers.delete(slot);
    const count = this.#borrowed.get(slot);
    if (count === undefined) {
      this.#letGo(slot);
      return;
    }
    this.#borrowed.delete(slot);
    this.drop(slot, count);
  }

  /** Tell Python, soon, of holds that are dropped: of a slot, or of an object (-id). @param {number} key @param {number} count */
  drop(key, count) {
    const waiting = this.#releases.push([key, count]);
    if (waiting >= RELEASES) this.release(this.#releases.splice(0)); // the event loop may be stopped
    else if (waiting === 1) {
      setImmediate(() => this.#releases.length && this.release(this.#releases.splice(0))).unref();
    }
  }

  // -- sending

  /**
   * Describe an array for Python, laying it into our region if it is not in the arena.
   * @param {NDArray | TypedArray | DataView} value
   */
  share(value) {
    if (value instanceof NDArray) {
      const [data] = value.memory;
      const place = this.#slotOf.get(data.buffer);
      if (place) return this.#describe(value, place);
      return this.#copy(value.typedArray, value.kind.wire, [...value.shape], ArrayKind.NDARRAY);
    }
    const wire = wireOf(value);
    const place = this.#slotOf.get(value.buffer);
    const length = value.byteLength / Number(wire.slice(2));
    if (place) {
      this.#lend(place.slot);
      return [place.slot, place.nbytes, value.byteOffset, wire, [length], null, ArrayKind.TYPED_ARRAY];
    }
    return this.#copy(value, wire, [length], ArrayKind.TYPED_ARRAY);
  }

  /** @param {NDArray} array @param {{slot: number, nbytes: number}} place */
  #describe(array, { slot, nbytes }) {
    const [data, offset] = array.memory;
    const element = data.BYTES_PER_ELEMENT;
    const start = data.byteOffset + offset * element;
    const strides = array.isContiguous ? null : array.strides.map((step) => step * element);
    this.#lend(slot);
    const kind = array.readOnly ? ArrayKind.READ_ONLY : ArrayKind.NDARRAY;
    return [slot, nbytes, start, array.kind.wire, [...array.shape], strides, kind];
  }

  /**
   * @param {TypedArray | DataView} data
   * @param {import('../protocol/arrays.js').WireType} wire
   * @param {number[]} shape
   * @param {number} kind
   */
  #copy(data, wire, shape, kind) {
    const nbytes = data.byteLength;
    if (nbytes === 0) return [-1, 0, 0, wire, shape, null, kind];
    const slot = this.#slots.allocate(nbytes);
    this.#holders.set(slot, 0);
    this.#put(slot, new Uint8Array(data.buffer, data.byteOffset, nbytes));
    this.#lend(slot);
    return [slot, nbytes, 0, wire, shape, null, kind];
  }

  /** Lay bytes into a slot that Python alone holds. @param {Uint8Array} data @returns {[number, number]} */
  shareBytes(data) {
    const slot = this.#slots.allocate(data.length);
    this.#holders.set(slot, 0);
    this.#put(slot, data);
    this.#lend(slot);
    return [slot, data.length];
  }

  /** @param {number} slot @param {Uint8Array} data */
  #put(slot, data) {
    if (this.#native) new Uint8Array(this.#native.view(slot, data.length)).set(data);
    else writeAll(this.#fd, data, slot);
  }

  /** Python holds one of our slots once more. @param {number} slot */
  #lend(slot) {
    if (!this.#isOurs(slot)) return; // Python's own slot: it looks after it itself
    this.#hold(slot);
    this.#pending.push(slot);
  }

  /** @param {number} slot */
  #hold(slot) {
    this.#holders.set(slot, (this.#holders.get(slot) ?? 0) + 1);
  }

  /** @param {number} slot @param {number} [count] */
  #letGo(slot, count = 1) {
    const left = (this.#holders.get(slot) ?? 0) - count;
    if (left > 0) {
      this.#holders.set(slot, left);
    } else if (this.#holders.delete(slot)) {
      this.#slots.free(slot);
    }
  }

  /** What was shared since the last commit has been sent. */
  commit() {
    this.#pending.length = 0;
  }

  /** What was shared since the last commit will not be sent. */
  undo() {
    for (const slot of this.#pending.splice(0)) this.#letGo(slot);
  }

  /** Python dropped `count` holds on one of our slots. @param {number} slot @param {number} count */
  returned(slot, count) {
    if (!((this.#holders.get(slot) ?? 0) >= count)) throw new ProtocolError(`release of slot ${slot}`);
    this.#letGo(slot, count);
  }

  /** @param {ArrayBufferLike} buffer */
  isShared(buffer) {
    return this.#slotOf.has(buffer);
  }

  /** A new ArrayBuffer that Python sees without a copy. @param {number} nbytes @returns {ArrayBuffer} */
  allocate(nbytes) {
    if (nbytes === 0) return new ArrayBuffer(0);
    const slot = this.#slots.allocate(nbytes);
    this.#holders.set(slot, 1);
    const buffer = this.#open(slot, nbytes);
    new Uint8Array(buffer).fill(0);
    return buffer;
  }

  // -- without the native part: copies that are kept alike

  /** @param {number} slot @param {ArrayBuffer} buffer */
  #read(slot, buffer) {
    const bytes = new Uint8Array(buffer);
    for (let at = 0; at < bytes.length; ) {
      const n = fs.readSync(this.#fd, bytes, at, bytes.length - at, slot + at);
      if (n === 0) throw new ProtocolError(`slot ${slot} is beyond the arena`);
      at += n;
    }
  }

  /** Before a run: see what Python changed. */
  refresh() {
    if (this.#native) return;
    for (const [slot, reference] of this.#buffers) {
      const buffer = reference.deref();
      if (buffer) this.#read(slot, buffer);
    }
  }

  /** After a run: show Python what was changed. */
  flush() {
    if (this.#native) return;
    for (const [slot, reference] of this.#buffers) {
      const buffer = reference.deref();
      if (buffer) writeAll(this.#fd, new Uint8Array(buffer), slot);
    }
  }
}

/** @type {(() => void) | undefined} */
let collect;

/** V8's garbage collector as a function; getting at it takes a context made while a flag is set. */
function collector() {
  if (!collect) {
    const given = /** @type {any} */ (globalThis).gc;
    v8.setFlagsFromString('--expose-gc');
    collect = /** @type {() => void} */ (given ?? vm.runInNewContext('gc'));
    if (!given) v8.setFlagsFromString('--no-expose-gc');
  }
  return () => collect?.();
}

/** @param {number} fd @param {Uint8Array} data @param {number} position */
function writeAll(fd, data, position) {
  for (let at = 0; at < data.length; ) {
    at += fs.writeSync(fd, data, at, data.length - at, position + at);
  }
}
