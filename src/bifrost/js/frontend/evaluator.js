/** Runs JavaScript as a console does: state persists, `await` works at the top level. */

import inspector from 'node:inspector';
import vm from 'node:vm';
import { Boolean, Error, Object, String, SyntaxError, process } from '../protocol/globals.js';
import { noteMap } from './maps.js';
import { modulesAt } from './modules.js';
import { IMPORT, rewrite } from './rewrite.js';


/** Runs scripts in the global scope of this process. */
export class Evaluator {
  #session = new inspector.Session();
  #take = '';
  /** @type {any} */
  #taken;
  #cwd = '';

  /**
   * @param {import('./workspace.js').Workspace} workspace
   * @param {import('../runtime/interrupts.js').Critical} critical
   */
  constructor(workspace, critical) {
    this.workspace = workspace;
    this.critical = critical;
    this.#session.connect();
    // The inspector speaks of objects by id; this function gives us the object itself.
    const take = (/** @type {any} */ value) => (this.#taken = value);
    Object.defineProperty(globalThis, '__bifrost_take__', { value: take, configurable: true });
    this.#session.post('Runtime.evaluate', { expression: '__bifrost_take__' }, (_, reply) => {
      this.#take = String(reply?.result.objectId);
    });
    delete (/** @type {any} */ (globalThis).__bifrost_take__);
  }

  /** Make the names that every script has. Called before the workspace notes what is taken. */
  static prepare() {
    const define = (/** @type {string} */ name) =>
      Object.defineProperty(globalThis, name, { value: undefined, writable: true, configurable: true });
    ['require', 'module', 'exports', IMPORT, '__filename', '__dirname'].forEach(define);
  }

  /** Modules are looked for from the working directory. @param {string} cwd */
  enter(cwd) {
    if (cwd === this.#cwd) return;
    if (cwd !== process.cwd()) process.chdir(cwd);
    this.#cwd = cwd;
    const { filename, require, load } = modulesAt(cwd);
    const scope = /** @type {any} */ (globalThis);
    scope.require = require;
    scope.module = { exports: {}, filename, id: '.', loaded: false, paths: [], children: [] };
    scope.exports = scope.module.exports;
    scope.__dirname = cwd;
    scope.__filename = filename;
    scope[IMPORT] = load;
  }

  /**
   * Run a script.
   * @param {string} source
   * @param {string} filename for stacks
   * @returns {any} the completion value; of a script that awaits, a promise of it
   */
  run(source, filename) {
    const { code, names, problem } = rewrite(source);
    this.workspace.declare(names);
    const url = filename.replace(/\s/g, '%20');
    noteMap(source, url, filename);
    return this.#evaluate(`${code}\n//# sourceURL=${url}`, (thrown, details) => {
      if (!(thrown instanceof SyntaxError) || details.stackTrace?.callFrames.some((frame) => frame.url === url)) {
        return thrown;
      }
      // V8 keeps the place of a syntax error beside the error; the end of the source is ours.
      const lines = source.split('\n');
      const isAtEnd = details.lineNumber >= lines.length;
      const line = problem?.line ?? (isAtEnd ? lines.length : details.lineNumber + 1);
      const column = problem?.column ?? (isAtEnd ? lines[lines.length - 1].length : details.columnNumber) + 1;
      if (problem) thrown.message = problem.message;
      if (isObject(source)) thrown.message += ' (an object at the start of a script needs parentheses: ({...}))';
      thrown.stack = `SyntaxError: ${thrown.message}\n    at ${url}:${line}:${column}`;
      return thrown;
    });
  }

  /** @param {string} specifier @returns {Promise<any>} */
  import(specifier) {
    return /** @type {any} */ (globalThis)[IMPORT](specifier);
  }

  /**
   * Run a script as it is. Not in the inspector's REPL mode: that crashes Node when a promise that
   * it awaits is collected as garbage.
   * @param {string} expression
   * @param {(thrown: any, details: inspector.Runtime.ExceptionDetails) => any} place says where in the script
   */
  #evaluate(expression, place) {
    /** @type {any} */
    let value;
    /** @type {{thrown: any} | undefined} */
    let failure;
    const parameters = { expression, objectGroup: 'run', silent: true };
    const done = (/** @type {Error | null} */ error, /** @type {any} */ reply) => {
      if (error) failure = { thrown: error };
      else if (reply.exceptionDetails) failure = { thrown: this.#thrown(reply.exceptionDetails, place) };
      else value = this.#object(reply.result);
    };
    this.critical.contain(() => this.#session.post('Runtime.evaluate', parameters, done));
    if (failure) throw failure.thrown;
    return value;
  }

  /** The value that the inspector describes. @param {inspector.Runtime.RemoteObject} remote */
  #object(remote) {
    const { objectId, unserializableValue, value, type } = remote;
    if (type === 'undefined') return undefined;
    if (!objectId && unserializableValue === undefined) return value;
    this.#session.post('Runtime.callFunctionOn', {
      objectId: this.#take,
      functionDeclaration: 'function (value) { this(value); }',
      arguments: [objectId ? { objectId } : { unserializableValue }],
      silent: true,
    });
    if (objectId) this.#session.post('Runtime.releaseObjectGroup', { objectGroup: 'run' });
    const taken = this.#taken;
    this.#taken = undefined;
    return taken;
  }

  /**
   * @param {inspector.Runtime.ExceptionDetails} details
   * @param {(thrown: any, details: inspector.Runtime.ExceptionDetails) => any} place
   */
  #thrown(details, place) {
    return place(details.exception ? this.#object(details.exception) : new Error(details.text), details);
  }
}

/** Whether a script that is none is an object literal, which is read as a block. @param {string} source */
function isObject(source) {
  if (!/^\s*\{/.test(source)) return false;
  try {
    return Boolean(new vm.Script(`(${source}\n)`));
  } catch {
    return false;
  }
}
