/** Python objects as JavaScript sees them: they stay in Python, we hold a reference. */

import { inspect, types } from 'node:util';
import {
  FinalizationRegistry, Function, Map, Number, Object, Promise, Proxy, Reflect, Symbol, TypeError, WeakMap, WeakRef,
} from '../protocol/globals.js';
import { dictOver, listOver } from './containers.js';
import { raised } from './outcome.js';
import { PythonAsyncIterator, PythonIterator } from './streams.js';

/** What a Python object inherits, which is no plain object. */
class PythonObject {}

/** Keyword arguments of a call: `f(1, kwargs({name: 2}))`. */
export class KeywordArguments {
  /** @param {Record<string, any>} values */
  constructor(values) {
    this.values = values;
  }
}

/** Proxy -> id of the object that it stands for. @type {WeakMap<object, number>} */
const ids = new WeakMap();

/** The id of the Python object that a value stands for, if it does. @param {any} value */
export const idOf = (value) => ids.get(value);

/** Stands for each Python object that JavaScript holds; the same one for the same object. */
export class PythonObjects {
  /** @type {Map<number, {proxy: WeakRef<object>, holds: number}>} */
  #proxies = new Map();
  /** Promises of awaitables that Python runs. @type {Map<number, {resolve: (value: any) => void, reject: (reason: any) => void}>} */
  #settlers = new Map();
  /** @type {Map<number, [boolean, any]>} */
  #early = new Map();
  /** @type {FinalizationRegistry<number>} */
  #finalizers = new FinalizationRegistry((id) => this.#dropped(id));

  /**
   * @param {(method: string, ...args: any[]) => any} ask Python, and wait for the answer
   * @param {(key: number, count: number) => void} release
   */
  constructor(ask, release) {
    this.ask = ask;
    this.release = release;
  }

  get size() {
    return this.#proxies.size;
  }

  /**
   * Python sent one of its objects.
   * @param {number} id
   * @param {string} kind
   */
  open(id, kind) {
    const entry = this.#proxies.get(id);
    const known = entry?.proxy.deref();
    if (entry && known) {
      entry.holds++;
      return known;
    }
    const proxy = kind === 'awaitable' ? this.#promise(id) : this.#proxy(kind);
    ids.set(proxy, id);
    this.#proxies.set(id, { proxy: new WeakRef(proxy), holds: (entry?.holds ?? 0) + 1 });
    this.#finalizers.register(proxy, id);
    return proxy;
  }

  /** @param {number} id */
  #dropped(id) {
    const entry = this.#proxies.get(id);
    if (!entry || entry.proxy.deref()) return; // a new proxy has taken its place
    this.#proxies.delete(id);
    this.release(-id, entry.holds);
  }

  /** @param {number} id of an awaitable */
  async #promise(id) {
    try {
      return await new Promise((resolve, reject) => {
        this.#settlers.set(id, { resolve, reject });
        const early = this.#early.get(id);
        if (early) this.settle(id, ...early);
      });
    } catch (error) {
      throw raised(error); // here V8 knows which functions await it
    }
  }

  /** An awaitable is over. @param {number} id @param {boolean} succeeded @param {any} value */
  settle(id, succeeded, value) {
    const settler = this.#settlers.get(id);
    if (!settler) {
      this.#early.set(id, [succeeded, value]); // it was over before we were told of it
      return;
    }
    this.#settlers.delete(id);
    this.#early.delete(id);
    if (succeeded) settler.resolve(value);
    else settler.reject(value);
  }

  /** @param {string} kind @returns {object} */
  #proxy(kind) {
    const { ask } = this;
    /** @type {any} */
    const target = kind === 'list' ? [] : kind === 'function' ? function () {}.bind(null) : new PythonObject();
    if (kind === 'function') for (const key of ['name', 'length']) Reflect.deleteProperty(target, key);
    // Asked of the target, for inspect looks behind proxies.
    const value = () => `[Python ${ask('text', proxy)}]`;
    Object.defineProperty(target, inspect.custom, { value, configurable: true });
    /** @type {any} */
    let proxy;
    if (kind === 'list') return (proxy = listOver(ask, target));
    if (kind === 'dict') return (proxy = dictOver(ask, Object.setPrototypeOf(target, Object.prototype)));
    proxy = new Proxy(target, {
      get(_, key) {
        if (typeof key === 'symbol') return special(key);
        if (kind === 'function' && key in Function.prototype) return asFunction(key);
        if (key === 'then') return undefined; // no promise: to `await` it is to have it
        const [found, value] = ask('property', proxy, asIndex(key));
        return found ? value : otherwise(key);
      },
      set(_, key, value) {
        if (typeof key === 'symbol') return false;
        ask('assignProperty', proxy, asIndex(key), value);
        return true;
      },
      has(_, key) {
        if (typeof key === 'symbol') return special(key) !== undefined;
        return key !== 'then' && ask('property', proxy, asIndex(key))[0];
      },
      deleteProperty(_, key) {
        if (typeof key === 'symbol') return false;
        ask('remove', proxy, asIndex(key));
        return true;
      },
      ownKeys: () => ask('fields', proxy).filter((/** @type {string} */ key) => key !== 'then'),
      getOwnPropertyDescriptor(_, key) {
        if (typeof key === 'symbol' || key === 'then') return undefined;
        const [found, value] = ask('property', proxy, key);
        return found ? { value, writable: true, enumerable: true, configurable: true } : undefined;
      },
      apply: (_, _this, args) => call(args),
      construct: (_, args) => call(args),
      defineProperty(_, key, descriptor) {
        if (!('value' in descriptor)) throw new TypeError('a Python object has no place for JavaScript accessors');
        return Reflect.set(proxy, key, descriptor.value);
      },
      setPrototypeOf: () => false,
      preventExtensions() {
        throw new TypeError('a Python object cannot be frozen');
      },
    });
    /** What JavaScript expects of an object that Python has under no such name. @param {string} key @returns {any} */
    const otherwise = (key) => {
      if (key === 'toString') return () => ask('primitive', proxy, 'string');
      if (key === 'constructor') return ask('property', proxy, '__class__')[1];
      if (key === 'next' || key === 'return') return stepper(key);
      return /** @type {any} */ (Object.prototype)[key];
    };
    /** A generator is its own iterator. @param {'next' | 'return'} key */
    const stepper = (key) => {
      const isAsync = kind === 'async iterable';
      if (!ask('property', proxy, isAsync ? '__anext__' : '__next__')[0]) return undefined;
      const iterator = isAsync ? new PythonAsyncIterator(ask, proxy) : new PythonIterator(ask, proxy);
      return (/** @type {any[]} */ ...given) => iterator[key](...given);
    };
    /** What every JavaScript function has. @param {string} key */
    const asFunction = (key) => {
      if (key === 'name') return ask('property', proxy, '__name__')[1];
      return key === 'length' ? ask('arity', proxy) : /** @type {any} */ (Function.prototype)[key];
    };
    /** @param {any[]} args */
    const call = (args) => {
      const last = args.at(-1);
      if (last instanceof KeywordArguments) return ask('call', proxy, args.slice(0, -1), last.values);
      return ask('call', proxy, args, {});
    };
    /** @param {symbol} key @returns {any} */
    const special = (key) => {
      if (key === Symbol.iterator && kind === 'iterable') return () => new PythonIterator(ask, proxy);
      if (key === Symbol.asyncIterator && kind === 'async iterable') return () => new PythonAsyncIterator(ask, proxy);
      if (key === Symbol.toPrimitive) return (/** @type {string} */ hint) => ask('primitive', proxy, hint);
      if (key === Symbol.hasInstance) return (/** @type {any} */ value) => ask('isInstance', proxy, value);
      const exit = key === Symbol.dispose ? '__exit__' : key === Symbol.asyncDispose ? '__aexit__' : '';
      if (exit) return ask('property', proxy, exit)[0] ? () => ask('exit', proxy, null) : undefined;
      return Reflect.get(target, key);
    };
    return proxy;
  }
}

/**
 * Run an action within a Python context manager; one that is asynchronous gives a promise.
 * @param {import('./streams.js').Ask} ask
 * @param {any} manager
 * @param {(value: any) => any} action
 */
export function within(ask, manager, action) {
  const entered = ask('enter', manager);
  if (types.isPromise(entered)) {
    return entered.then((/** @type {any} */ value) => leaveAfter(ask, manager, (async () => action(value))()));
  }
  let result;
  try {
    result = action(entered);
  } catch (error) {
    if (ask('exit', manager, error)) return undefined;
    throw error;
  }
  if (types.isPromise(result)) return leaveAfter(ask, manager, result);
  ask('exit', manager, null);
  return result;
}

/**
 * Leave a context once a promise of what is done in it has settled.
 * @param {import('./streams.js').Ask} ask
 * @param {any} manager
 * @param {Promise<any>} action
 */
async function leaveAfter(ask, manager, action) {
  let result;
  try {
    result = await action;
  } catch (error) {
    if (await ask('exit', manager, error)) return undefined;
    throw error;
  }
  await ask('exit', manager, null);
  return result;
}

/** @param {string} key */
const asIndex = (key) => (/^(0|-?[1-9]\d*)$/.test(key) ? Number(key) : key);
