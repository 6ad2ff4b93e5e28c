/** A live peer: Python's calls to us, and ours to Python. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync, writeSync } from 'node:fs';
import { Boolean, Buffer, Error, Map, Object, Promise, Set, String, process, setImmediate } from '../protocol/globals.js';
import { seal } from '../protocol/framing.js';
import { Message } from '../protocol/messages.js';
import { decode } from '../protocol/decoder.js';
import { Encoder } from '../protocol/encoder.js';
import { ProtocolError } from '../protocol/errors.js';
import { ownStack } from '../protocol/stacks.js';
import { Call, Later, Latest, tracksContext } from './calls.js';
import { Interrupted } from './interrupts.js';
import { OPERATIONS } from './objects.js';
import { Outcome, asError, raised } from './outcome.js';
import { found } from './passing.js';
import { PythonObjects, idOf } from './python.js';
import { References } from './references.js';
import { tableFromStream, tableToStream } from './tables.js';

const PARENT_SIZE = 4;
/** Calls of a small function that must fit on the stack before we call Python. */
const FRAMES = 1000;

/** @typedef {(call: Call, ...args: any[]) => any} Method */

export class Session {
  #transport;
  #memory;
  #references = new References();
  #python = new PythonObjects(
    (method, ...args) => this.call(method, ...args),
    (key, count) => this.#memory.drop(key, count),
  );
  #encoder;
  #inward;
  #lastId = 0;
  /** Python's unanswered calls. @type {Map<number, Call>} */
  #calls = new Map();
  /** The newest call that Python sent. */
  #newest = 0;
  /** Calls that were stopped before they came. @type {Set<number>} */
  #refused = new Set();
  /** Whose code runs: the call, also in callbacks of its promises and timers. @type {Pick<AsyncLocalStorage<Call>, 'run' | 'getStore'>} */
  #owner = tracksContext() ? new AsyncLocalStorage() : new Latest();
  /** Answers to our calls, for whichever of them waits innermost. @type {Map<number, {error: boolean, value: any}>} */
  #answers = new Map();
  /** Methods that Python may call. @type {Record<string, Method>} */
  methods = {};
  /** Names of JavaScript classes whose instances go to Python by value. @type {Set<string>} */
  customClasses = new Set();

  /**
   * @param {import('./transport.js').Transport} transport
   * @param {import('./memory.js').Memory} memory
   * @param {import('./interrupts.js').Critical} critical
   */
  constructor(transport, memory, critical) {
    this.#transport = transport;
    this.#memory = memory;
    this.critical = critical;
    this.#encoder = new Encoder({
      lends: true,
      array: (value) => memory.share(value),
      blob: (data) => memory.shareBytes(data),
      reference: (value) => this.#references.lend(value),
      home: idOf,
      customName: (value) => {
        if (!this.customClasses.size) return undefined;
        const name = value.constructor?.name;
        return this.customClasses.has(name) ? name : undefined;
      },
      tableStream: tableToStream,
      stack: ownStack,
    });
    /** @type {import('../protocol/decoder.js').Inward} */
    this.#inward = {
      array: (parts) => memory.array(/** @type {any} */ (parts)),
      blob: (slot, nbytes) => memory.blob(slot, nbytes),
      home: (id) => this.#references.home(id),
      reference: (id, kind) => this.#python.open(id, kind),
      table: tableFromStream,
    };
    memory.release = (releases) =>
      this.critical.run(() => this.#send(Message.RELEASE, this.#transport.replied, releases, false));
  }

  /** Numbers for the leak check, made in a call of Python's. */
  get counts() {
    return {
      ...this.#memory.counts,
      references: this.#references.size,
      objects: this.#python.size,
      calls: this.#calls.size - 1,
    };
  }

  /** @param {Record<string, any>} facts */
  start(facts) {
    this.#transport.listen(
      (frame) => this.#dispatch(frame),
      (action) => this.#guard(action),
    );
    this.#send(Message.HELLO, 0, facts, true);
  }

  /** Run bridge code that nobody called: if it fails, somebody in Python would wait for ever. @param {() => void} action */
  #guard(action) {
    try {
      this.critical.run(action);
    } catch (error) {
      writeSync(2, `Bifrost cannot go on: ${/** @type {any} */ (error)?.stack}\n`);
      vanish();
    }
  }

  // -- sending

  /**
   * @param {number} type
   * @param {number} id
   * @param {any} value
   * @param {boolean} awaited
   * @param {Uint8Array} [prefix]
   */
  #send(type, id, value, awaited, prefix) {
    const encode = () => {
      const encoder = this.#encoder.busy ? new Encoder(this.#encoder.outward) : this.#encoder;
      return encoder.encode(value, () => this.#undo(), prefix);
    };
    // Only an object may have getters, which are the user's code.
    const frame = Object(value) === value ? this.#encodeSoftly(encode) : encode();
    this.#transport.send(seal(frame, type, id), awaited);
    this.#memory.commit();
    this.#references.commit();
  }

  /** @param {() => Buffer} encode */
  #encodeSoftly(encode) {
    try {
      return this.critical.soften(encode);
    } catch (error) {
      if (error instanceof Interrupted) {
        this.#encoder = new Encoder(this.#encoder.outward); // that one has been torn
        this.#undo();
      }
      throw error;
    }
  }

  #undo() {
    this.#memory.undo();
    this.#references.undo();
  }

  // -- Python's calls

  /** @param {import('../protocol/framing.js').Frame} frame */
  #dispatch({ type, id, body }) {
    switch (type) {
      case Message.CALL:
        this.#serve(id, body);
        break;
      case Message.RESULT:
      case Message.ERROR:
        this.#answers.set(id, { error: type === Message.ERROR, value: decode(body, this.#inward) });
        break;
      case Message.NOTIFY: {
        const [name, ...args] = decode(body, this.#inward);
        if (name === 'settle') this.#python.settle(.../** @type {[number, boolean, any]} */ (args));
        else if (name === 'forget') this.stop(args[0], new Interrupted('nobody waits for it any more'));
        else throw new ProtocolError(`no notice ${name}`);
        break;
      }
      case Message.RELEASE:
        for (const [key, count] of decode(body, this.#inward)) {
          if (key < 0) this.#references.returned(-key, count);
          else this.#memory.returned(key, count);
        }
        break;
      default:
        throw new ProtocolError(`Python sent a message of type ${type}`);
    }
  }

  /** @param {number} id @param {Buffer} body */
  #serve(id, body) {
    this.#newest = id;
    const request = body.subarray(PARENT_SIZE);
    if (this.#refused.delete(id)) {
      decode(request, this.#inward); // takes what it holds, to give it back
      return;
    }
    const call = new Call(id, body.readUInt32LE(0));
    this.#calls.set(id, call);
    this.#owner.run(call, () => {
      try {
        const [name, ...args] = decode(request, this.#inward);
        const operation = OPERATIONS[name];
        if (operation) {
          this.#memory.refresh();
          let result;
          try {
            result = this.critical.contain(() => operation(...args));
          } finally {
            this.#memory.flush();
          }
          this.#reply(id, result);
          return;
        }
        const method = this.methods[name];
        if (!method) throw new ProtocolError(`no method ${name}`);
        const result = method(call, ...args);
        if (result instanceof Later) this.#wait(call, result);
        else if (result instanceof Promise) this.#wait(call, new Later(result));
        else this.#reply(id, result);
      } catch (error) {
        this.#fail(id, error);
      }
    });
  }

  /** @param {Call} call @param {Later} later */
  #wait(call, later) {
    call.later = later;
    if (call.refusal === undefined) this.#attach(call, later);
    else this.#finish(call, () => later.rejected(call.refusal));
  }

  /** @param {Call} call @param {Later} later */
  #attach(call, later) {
    later.promise.then(
      (value) => this.#finish(call, () => later.fulfilled(value)),
      (reason) => this.#finish(call, () => later.rejected(reason)),
    );
  }

  /** What a call waits for is over, or it is to wait no longer. @param {Call} call @param {() => any} result */
  #finish(call, result) {
    this.#guard(() => {
      if (!call.later || this.#calls.get(call.id) !== call) return;
      call.later = null; // once, whatever else happens
      let value;
      try {
        value = result();
      } catch (error) {
        this.#fail(call.id, error);
        return;
      }
      this.#reply(call.id, value);
    });
  }

  /**
   * Wait until a promise has settled.
   * @param {Call} call
   * @param {Promise<any>} promise
   * @param {(value: any) => any} [fulfilled]
   */
  settle(call, promise, fulfilled) {
    if (call.isNested) {
      promise.catch(() => {}); // it cannot be waited for, which is the error to hear of
      throw new Error(
        'a promise cannot settle while JavaScript waits for this Python function to return:' +
          ' make the function `async def`, or await the promise in JavaScript',
      );
    }
    this.#references.see(promise);
    return new Later(promise, fulfilled);
  }

  /**
   * Have an iterator, synchronous or not, take a step.
   * @param {Call} call
   * @param {any} iterator
   * @param {'next' | 'return' | 'throw'} verb
   * @param {any[]} args
   * @returns {[boolean, any] | Later} whether it has ended, and its value
   */
  step(call, iterator, verb, args) {
    if (typeof iterator[verb] !== 'function') {
      if (verb === 'throw') throw args[0];
      return [true, undefined];
    }
    const result = this.critical.contain(() => iterator[verb](...args));
    if (typeof result?.then !== 'function') return [Boolean(result.done), found(iterator, result.value)];
    if (verb === 'return' && call.isNested) {
      result.catch(() => {}); // it will have ended in time
      return [true, undefined];
    }
    return this.settle(call, result, ({ done, value }) => [Boolean(done), value]);
  }

  /** @param {number} id of a call of Python's */
  #isAwaited(id) {
    return this.#calls.get(id)?.isAwaited ?? true;
  }

  /** @param {number} id @param {any} value */
  #reply(id, value) {
    try {
      this.#send(Message.RESULT, id, value instanceof Outcome ? value.parts : value, this.#isAwaited(id));
      this.#forget(id);
    } catch (error) {
      if (value instanceof Outcome && value.concede(error)) this.#reply(id, value);
      else this.#fail(id, error);
    }
  }

  /** @param {number} id @param {any} error */
  #fail(id, error) {
    try {
      this.#send(Message.ERROR, id, asError(error), this.#isAwaited(id));
    } catch {
      // Something in the error cannot be sent: its text can.
      this.#send(Message.ERROR, id, new Error(String(error?.message ?? error)), this.#isAwaited(id));
    }
    this.#forget(id);
  }

  /** A call has been answered. @param {number} id */
  #forget(id) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (call?.isStopped) call.atStop.forEach((action) => setImmediate(action));
  }

  /**
   * Stop a call that waits. Its state stays; what it waits for is no longer awaited.
   * @param {number} id
   * @param {any} reason
   */
  stop(id, reason) {
    this.noteStop(id);
    const call = this.#calls.get(id);
    const later = call?.later;
    if (call && later) this.#finish(call, () => later.rejected(reason));
  }

  /** Stop the call whose code runs, once that has left the stack. @param {any} reason */
  stopOwn(reason) {
    const call = this.#owner.getStore() ?? this.#calls.get(this.#latest);
    if (!call) return;
    if (call.later) Promise.resolve().then(() => this.stop(call.id, reason));
    else call.refusal = reason;
  }

  /**
   * Have something done after Python has stopped the call whose code runs.
   * @param {() => void} action
   * @returns {() => void} takes that back
   */
  atStop(action) {
    const owner = this.#owner.getStore() ?? this.#only;
    const call = owner && this.#calls.get(owner.id);
    call?.atStop.add(action);
    return () => void call?.atStop.delete(action);
  }

  /** The call to which code must belong that has no owner, if there is but one. */
  get #only() {
    const awaited = this.#awaited;
    return tracksContext() || awaited.length > 1 ? undefined : awaited[0];
  }

  /** Python asks for the end of a call. @param {number} id */
  noteStop(id) {
    const call = this.#calls.get(id);
    if (call) call.isStopped = true;
  }

  /** @param {number} id */
  isActive(id) {
    return this.#calls.has(id);
  }

  /** Whether the code that runs may be terminated to stop a call: it is that call's, or nobody's. @param {number} id */
  mayEnd(id) {
    const owner = this.#owner.getStore();
    return !owner || owner.id === id || !this.#calls.has(owner.id);
  }

  /** Whether a call cannot begin because code runs that belongs to no call: a timer's, say. @param {number} id */
  isKeptOut(id) {
    return this.#isNewer(id) && this.mayEnd(id) && (tracksContext() || this.#calls.size === 0);
  }

  /** Python counts its calls in the order of sending, and begins anew after 2**32. @param {number} id */
  #isNewer(id) {
    return ((id - this.#newest) | 0) > 0;
  }

  /**
   * Stop a call that is not here: it has ended, or is still to come.
   * @param {number} id
   * @param {any} reason
   * @returns {true}
   */
  refuse(id, reason) {
    if (this.#isNewer(id) && !this.#refused.has(id)) {
      this.#refused.add(id);
      this.critical.run(() => this.#send(Message.ERROR, id, reason, true));
    }
    return true;
  }

  /**
   * What the event loop called has been terminated. The calls that wait may be among those whose
   * promise callbacks V8 forgot, and the immediate that was to go on reading among those that Node did.
   */
  resume() {
    this.critical.hasTerminated = false;
    for (const call of this.#calls.values()) if (call.later) this.#attach(call, call.later);
    this.#transport.resume();
  }

  // -- our calls

  /** The call to which code belongs that has no owner. */
  get #latest() {
    if (tracksContext()) return 0;
    return this.#awaited.pop()?.id ?? 0;
  }

  /** Python's calls that a thread waits for, the newest last. */
  get #awaited() {
    return [...this.#calls.values()].filter((call) => call.isAwaited);
  }

  /**
   * Call Python and wait for the answer, with the event loop stopped.
   * @param {string} name
   * @param {...any} args
   */
  call(name, ...args) {
    checkStack(FRAMES);
    try {
      return this.critical.run(() => this.#ask(name, args));
    } finally {
      this.critical.goOn();
    }
  }

  /** @param {string} name @param {any[]} args */
  #ask(name, args) {
    const id = (this.#lastId = (this.#lastId % 0xffff_fffe) + 1);
    const owner = this.#owner.getStore();
    const parent = owner?.isAwaited && this.#calls.has(owner.id) ? owner.id : this.#latest;
    const prefix = Buffer.alloc(PARENT_SIZE);
    prefix.writeUInt32LE(parent);
    this.#memory.flush();
    this.#send(Message.CALL, id, [name, ...args], parent !== 0, prefix);
    for (;;) {
      const answer = this.#answers.get(id);
      if (answer) {
        this.#answers.delete(id);
        this.#memory.refresh();
        if (answer.error) throw raised(answer.value);
        return answer.value;
      }
      const frame = this.#transport.receive();
      if (!frame) vanish(); // Python is gone
      else this.#dispatch(frame);
    }
  }

  /** Tell Python something. @param {string} name @param {...any} args */
  notify(name, ...args) {
    this.critical.run(() => this.#send(Message.NOTIFY, 0, [name, ...args], false));
  }
}

/** End at once, with all that was started from here. */
function vanish() {
  try {
    closeSync(2); // where Node would say that it waits for a debugger, which is our own watchdog
  } finally {
    process.kill(-process.pid, 'SIGKILL');
  }
}

/**
 * Throw a RangeError now, rather than in the middle of a message.
 * @param {number} frames
 * @returns {number}
 */
function checkStack(frames) {
  return frames === 0 ? 0 : 1 + checkStack(frames - 1);
}
