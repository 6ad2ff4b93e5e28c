/** The JavaScript half's entry: Python starts `node main.js <wiring> <native part>`. */

import inspector from 'node:inspector';
import { createRequire } from 'node:module';
import { inspect, types } from 'node:util';
import { AbortController, Error, Number, Object, Reflect, String, console, process } from './protocol/globals.js';
import { NDArray, DType } from './protocol/arrays.js';
import { VERSION } from './protocol/messages.js';
import { cleanStack, places } from './protocol/stacks.js';
import { Complex, Decimal, Duration } from './protocol/types.js';
import { Critical, listen } from './runtime/interrupts.js';
import { Memory } from './runtime/memory.js';
import { Later } from './runtime/calls.js';
import { Outcome } from './runtime/outcome.js';
import { Session } from './runtime/session.js';
import { copy, proxy, transfer } from './runtime/passing.js';
import { KeywordArguments, idOf, within } from './runtime/python.js';
import { streamOver } from './runtime/streams.js';
import { Transport, takeOver } from './runtime/transport.js';
import { answerClients } from './frontend/clients.js';
import { Evaluator } from './frontend/evaluator.js';
import { honourMaps, relocate } from './frontend/maps.js';
import { isShown } from './frontend/rewrite.js';
import { Workspace } from './frontend/workspace.js';

const [inward, controlled, outward, unasked, file, size, region, regionSize] = process.argv[2].split(',').map(Number);
const requests = takeOver(inward, 'r');
const control = takeOver(controlled, 'r');
const replies = takeOver(outward, 'w');
const events = takeOver(unasked, 'w');
const fd = takeOver(file, 'r+');
const addon = process.argv[3];
process.argv.length = 1;

/** @type {import('./runtime/memory.js').Native | null} */
let native = null;
let nativeError = '';
if (addon) {
  try {
    native = createRequire(import.meta.url)(addon);
  } catch (error) {
    nativeError = String(/** @type {Error} */ (error).message);
  }
}

const critical = new Critical();
const memory = new Memory(fd, size, region, regionSize, native, () => {});
const session = new Session(new Transport(requests, replies, events), memory, critical);

/** @param {string} method @param {...any} args */
const ask = (method, ...args) => session.call(method, ...args);

Evaluator.prepare();
// The inspector keeps what Node's own console is given, for somebody to look at. This one does not.
const { Console } = console;
Object.defineProperty(globalThis, 'console', {
  get() {
    const plain = Object.assign(new Console(process.stdout, process.stderr), { Console });
    Object.defineProperty(globalThis, 'console', { value: plain, writable: true });
    return plain;
  },
  configurable: true,
});
/** @type {any} */ (globalThis).bifrost = Object.freeze({
  NDArray,
  Complex,
  Decimal,
  Duration,
  /** A Python module. @param {string} name */
  python: (name) => session.call('import', name),
  /** Keyword arguments of a call to Python: `f(1, kwargs({key: 2}))`. @param {Record<string, any>} values */
  kwargs: (values) => new KeywordArguments(values),
  /** Passes plain data by reference: Python works on this very Array or object. @param {any} value */
  proxy: (value) => (idOf(value) === undefined ? proxy(value) : value),
  /** Plain data with what an object holds, to pass it by value. @param {any} value */
  copy: (value) => (idOf(value) === undefined ? copy(value) : session.call('copy', value)),
  /** An array's contents in shared memory that is Python's to keep; the array is detached. @param {any} array */
  transfer: (array) => critical.run(() => transfer(memory, array)),
  /** Runs an action within a Python context manager. @param {any} manager @param {(value: any) => any} action */
  with: (manager, action) => within(ask, manager, action),
  /** A Node stream over a Python file object, or over anything that can be iterated. @param {any} source */
  stream: (source) => streamOver(ask, source, idOf(source) !== undefined),
  /**
   * A new array of zeros that Python sees without a copy.
   * @param {number | number[]} shape
   * @param {string} [dtype] a NumPy name, `float64` by default
   */
  zeros(shape, dtype = 'float64') {
    const kind = DType.named(dtype);
    const dimensions = typeof shape === 'number' ? [shape] : shape;
    const count = dimensions.reduce((a, b) => a * b, 1);
    const buffer = critical.run(() => memory.allocate(count * kind.itemsize));
    return new NDArray(new kind.type(buffer), dimensions, kind);
  },
});
const mayPause = listen(control, session, end);
honourMaps();
answerClients((name) => session.call('import', name), (action) => session.atStop(action));
places.relocate = relocate;
const workspace = new Workspace(session);
const evaluator = new Evaluator(workspace, critical);

session.methods = {
  /**
   * Run a script.
   * @param {any} _call
   * @param {string} source
   * @param {string} filename
   * @param {'never' | 'always' | 'shown'} wants when the completion value is asked for: `shown` is
   *   as in a notebook, and then it may come by reference
   * @param {{add: string[], hide: string[], drop: string[]}} names
   * @param {Record<string, any>} given
   * @param {string} cwd
   */
  run(_call, source, filename, wants, names, given, cwd) {
    const finish = (/** @type {any} */ value, /** @type {{thrown: any} | undefined} */ error = undefined) =>
      critical.soften(() => {
        const changes = workspace.end();
        memory.flush();
        const isWanted = wants === 'always' || (wants === 'shown' && isShown(source));
        return new Outcome(changes, isWanted ? value : undefined, error, wants === 'shown');
      });
    const fail = (/** @type {any} */ thrown) => finish(undefined, { thrown });
    memory.refresh();
    evaluator.enter(cwd);
    workspace.begin(names, given);
    let value;
    try {
      value = evaluator.run(source, filename);
    } catch (thrown) {
      return fail(thrown);
    }
    return types.isPromise(value) ? new Later(value, finish, fail) : finish(value);
  },
  /** @param {any} _call @param {string} name of a class whose instances go to Python by value */
  registerClass(_call, name) {
    session.customClasses.add(name);
  },
  settle: (call, promise) => session.settle(call, promise),
  abortController: () => new AbortController(),
  step: (call, iterator, verb, args) => session.step(call, iterator, verb, args),
  require: (_call, name, cwd) => {
    evaluator.enter(cwd);
    return critical.contain(() => /** @type {any} */ (globalThis).require(name));
  },
  import: (_call, name, cwd) => {
    evaluator.enter(cwd);
    return evaluator.import(name);
  },
  counts: () => session.counts,
  /** The inspector's address; it listens from now on. @param {any} _call @param {number} port 0 is any */
  openInspector: (_call, port) => {
    if (!inspector.url()) inspector.open(port, '127.0.0.1');
    const url = inspector.url();
    if (!url) throw new Error(`the inspector cannot listen on port ${port}: give it another one, or none`);
    mayPause();
    return url;
  },
};

// What a run printed is out when it ends. (On pipes Node would write later what does not fit now.)
for (const stream of [process.stdout, process.stderr]) /** @type {any} */ (stream)._handle?.setBlocking(true);

// What user code must not bring down.
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (reason) => {
    const text = reason instanceof Error ? cleanStack(reason) || String(reason) : inspect(reason);
    process.stderr.write(`Uncaught ${event === 'unhandledRejection' ? '(in promise) ' : ''}${text}\n`);
  });
}
class ProcessExit extends Error {
  name = 'ProcessExit';
}
process.exit = (code) => {
  const error = new ProcessExit(
    `process.exit(${code ?? ''}) was called; the Node.js of a workspace goes on: close it from Python with node.close()`,
  );
  Object.assign(error, { code: Number(code ?? process.exitCode ?? 0) });
  session.stopOwn(error);
  throw error;
};

/** Python is gone, or wants us gone. */
function end() {
  try {
    for (const listener of process.listeners('exit')) Reflect.apply(listener, process, [0]);
  } finally {
    // What was started from here must end as well, and nothing may delay that.
    process.kill(-process.pid, 'SIGKILL');
  }
}

session.start({
  protocol: VERSION,
  version: process.version,
  pid: process.pid,
  native: native !== null,
  nativeError,
});
