/** A live peer: Python's calls to us, and ours to Python. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { seal } from '../protocol/framing.js';
import { Message } from '../protocol/messages.js';
import { decode } from '../protocol/decoder.js';
import { ByReference, Encoder } from '../protocol/encoder.js';
import { ProtocolError, ShareError } from '../protocol/errors.js';
import { References } from './references.js';
import { tableFromStream, tableToStream } from './tables.js';

const HERE = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const NO_PARENT = Buffer.alloc(4);

/** Thrown into a run that Python asked to stop. */
export class Interrupted extends Error {
  name = 'Interrupted';
}

/** @typedef {(call: Call, ...args: any[]) => any} Method */

/** A call of Python's that has not been answered yet. */
class Call {
  /** @param {number} id */
  constructor(id) {
    this.id = id;
    /** Rejects when the call is to end without a result. @type {Promise<never>} */
    this.stopped = new Promise((_, reject) => (this.stop = reject));
    this.stopped.catch(() => {});
  }
  /** @type {(reason: any) => void} */
  stop = () => {};
}

export class Session {
  #transport;
  #memory;
  #references = new References();
  #encoder;
  #inward;
  #lastId = 0;
  /** Python's unanswered calls. @type {Map<number, Call>} */
  #calls = new Map();
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
      array: (value) => memory.share(value),
      blob: (data) => memory.shareBytes(data),
      reference: (value) => this.#references.lend(value),
      customName: (value) => {
        if (!this.customClasses.size) return undefined;
        const name = value.constructor?.name;
        return this.customClasses.has(name) ? name : undefined;
      },
      tableStream: tableToStream,
      stack: cleanStack,
    });
    /** @type {import('../protocol/decoder.js').Inward} */
    this.#inward = {
      array: (parts) => memory.array(/** @type {any} */ (parts)),
      blob: (slot, nbytes) => memory.blob(slot, nbytes),
      home: (id) => this.#references.home(id),
      table: tableFromStream,
    };
    memory.release = (releases) => this.#send(Message.RELEASE, 0, releases, false);
  }

  /** Numbers for the leak check. */
  get counts() {
    return { ...this.#memory.counts, references: this.#references.size };
  }

  /** @param {Record<string, any>} facts */
  start(facts) {
    this.#transport.listen((frame) => this.critical.run(() => this.#dispatch(frame)));
    this.#send(Message.HELLO, 0, facts, true);
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
    const encoder = this.#encoder.busy ? new Encoder(this.#encoder.outward) : this.#encoder;
    const frame = encoder.encode(value, () => this.#undo(), prefix);
    this.#transport.send(seal(frame, type, id), awaited);
    this.#memory.commit();
    this.#references.commit();
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
        this.#serve(id, body.subarray(NO_PARENT.length));
        break;
      case Message.RESULT:
      case Message.ERROR:
        this.#answers.set(id, { error: type === Message.ERROR, value: decode(body, this.#inward) });
        break;
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
    const call = new Call(id);
    this.#calls.set(id, call);
    try {
      const [name, ...args] = decode(body, this.#inward);
      const method = this.methods[name];
      if (!method) throw new ProtocolError(`no method ${name}`);
      const result = method(call, ...args);
      if (result instanceof Promise) {
        result.then(
          (value) => this.critical.run(() => this.#reply(id, value)),
          (error) => this.critical.run(() => this.#fail(id, error)),
        );
      } else {
        this.#reply(id, result);
      }
    } catch (error) {
      this.#fail(id, error);
    }
  }

  /** @param {number} id @param {any} value */
  #reply(id, value) {
    try {
      this.#send(Message.RESULT, id, value instanceof Outcome ? value.parts : value, true);
      this.#calls.delete(id);
    } catch (error) {
      if (value instanceof Outcome && value.concede(error)) this.#reply(id, value);
      else this.#fail(id, error);
    }
  }

  /** @param {number} id @param {any} error */
  #fail(id, error) {
    try {
      this.#send(Message.ERROR, id, asError(error), true);
    } catch {
      // Something in the error cannot be sent: its text can.
      this.#send(Message.ERROR, id, new Error(String(error?.message ?? error)), true);
    }
    this.#calls.delete(id);
  }

  /**
   * Stop a call, or all of them. Its state stays; what it waits for is no longer awaited.
   * @param {number} id 0 for all
   * @param {any} reason
   */
  stop(id, reason) {
    for (const call of this.#calls.values()) if (id === 0 || call.id === id) call.stop(reason);
  }

  /** @param {number} id */
  isActive(id) {
    return this.#calls.has(id);
  }

  // -- our calls

  /**
   * Call Python and wait for the answer, with the event loop stopped.
   * @param {string} name
   * @param {...any} args
   */
  call(name, ...args) {
    return this.critical.run(() => {
      const id = (this.#lastId = (this.#lastId % 0xffff_fffe) + 1);
      const parent = [...this.#calls.keys()].pop() ?? 0;
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32LE(parent);
      this.#send(Message.CALL, id, [name, ...args], parent !== 0, prefix);
      for (;;) {
        const answer = this.#answers.get(id);
        if (answer) {
          this.#answers.delete(id);
          if (answer.error) throw answer.value;
          return answer.value;
        }
        const frame = this.#transport.receive();
        if (!frame) process.kill(-process.pid, 'SIGKILL'); // Python is gone
        else this.#dispatch(frame);
      }
    });
  }

  /** Tell Python something. @param {string} name @param {...any} args */
  notify(name, ...args) {
    this.critical.run(() => this.#send(Message.NOTIFY, 0, [name, ...args], false));
  }
}

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
function asError(thrown) {
  if (thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]') return thrown;
  const error = new Error(typeof thrown === 'string' ? thrown : cleanText(thrown));
  error.name = 'Thrown';
  error.stack = '';
  return Object.assign(error, { thrown });
}

/** @param {any} value */
function cleanText(value) {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

/** An error's stack without the frames that are ours. @param {any} error */
export function cleanStack(error) {
  const stack = typeof error.stack === 'string' ? error.stack : '';
  return stack
    .split('\n')
    .filter((/** @type {string} */ line) => !isOurs(line))
    .join('\n');
}

/** @param {string} line of a stack */
const isOurs = (line) =>
  line.includes(HERE) || /^ {4}at (Session\.post \()?node:(inspector|internal\/(vm|process\/task_queues))/.test(line) ||
  line.includes('(node:inspector:') || line.includes('(node:internal/process/task_queues');

