/**
 * The variables that JavaScript and Python share.
 *
 * Each is a property of the global object. Between runs, and until a run touches it, it is an
 * accessor: so a variable of Python's crosses only when it is used, and we know which were used.
 * The first touch makes it an ordinary property (and fast) until the run is over.
 */

import { Array, ArrayBuffer, Map, Object, Reflect, Set, Symbol, WeakSet } from '../protocol/globals.js';
import { NDArray } from '../protocol/arrays.js';
import { ShareError } from '../protocol/errors.js';
import { idOf } from '../runtime/python.js';
import { fingerprint } from './fingerprint.js';

const UNKNOWN = Symbol('unknown');

/** A shared name. */
class Binding {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    /** @type {any} */
    this.value = undefined;
    /** Whether `value` holds a value of this side. */
    this.isHere = false;
    /** Whether `value` is what Python sent, and not made or assigned here. */
    this.isFromPython = false;
    /** Whether Python has the name, and so must be asked for its value of today. */
    this.isPythons = false;
    /** Whether Python has been asked in this run, or need not be. */
    this.isFresh = true;
    /** Whether Python may have bound the name anew. */
    this.isSuspect = false;
    /** How the value was when the run first touched it; UNKNOWN if it was assigned. */
    this.before = /** @type {any} */ (UNKNOWN);
    /** Neither accessor nor removable: what `function f() {}` makes. */
    this.isFixed = false;
  }
}

export class Workspace {
  /** @type {Map<string, Binding>} */
  #bindings = new Map();
  /** @type {Set<Binding>} */
  #touched = new Set();
  #runs = 0;
  #builtins = new Set(Object.getOwnPropertyNames(globalThis));

  /** @param {import('../runtime/session.js').Session} session */
  constructor(session) {
    this.session = session;
  }

  /** Whether a name is a global of Node.js or the language, which is not shared. @param {string} name */
  isTaken(name) {
    return this.#builtins.has(name);
  }

  // -- a run

  /**
   * @param {{add: string[], hide: string[], drop: string[]}} names that Python has anew or bound
   *   anew; that it does not share in this run; that it deleted
   * @param {Record<string, any>} given variables with their values
   */
  begin(names, given) {
    for (const name of Object.keys(given)) {
      if (this.isTaken(name)) {
        throw new ShareError(`$.${name}`, 'a variable named like a global of Node.js', 'rename it');
      }
    }
    this.#runs++;
    for (const binding of this.#bindings.values()) binding.isFresh = !binding.isPythons;
    for (const name of names.drop) this.#drop(name);
    for (const name of names.hide) this.#hide(name);
    for (const name of names.add) {
      if (this.isTaken(name)) continue;
      const binding = this.#binding(name);
      binding.isPythons = binding.isSuspect = true;
      binding.isFresh = false;
      if (binding.isFixed) this.#refreshFixed(binding);
    }
    for (const [name, value] of Object.entries(given)) {
      const binding = this.#binding(name);
      binding.value = value;
      binding.isHere = binding.isFresh = true;
      binding.isPythons = binding.isSuspect = false;
      if (binding.isFixed) /** @type {any} */ (globalThis)[name] = value;
    }
  }

  /** Names that a script declares: they become properties before it runs. @param {string[]} names */
  declare(names) {
    for (const name of names) {
      if (this.isTaken(name) || this.#bindings.has(name)) continue;
      const binding = this.#binding(name);
      binding.isHere = true;
      this.#touched.add(binding);
    }
  }

  /**
   * The end of a run: what it made or changed.
   * @returns {Map<string, any>}
   */
  end() {
    this.#runs--;
    const changes = new Map();
    for (const binding of this.#touched) this.#settle(binding, changes);
    this.#touched.clear();
    for (const name of Object.getOwnPropertyNames(globalThis)) {
      if (this.#builtins.has(name)) continue;
      const property = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(globalThis, name));
      if (property.get || property.set) continue; // ours, or one of the user's, which is no variable
      const binding = this.#bindings.get(name);
      const { value } = property;
      if (binding && Object.is(binding.before, print(value))) continue;
      changes.set(name, value);
      this.#adopt(binding ?? new Binding(name), value);
    }
    return changes;
  }

  /** @param {Binding} binding @param {Map<string, any>} changes */
  #settle(binding, changes) {
    const { name } = binding;
    const property = Object.getOwnPropertyDescriptor(globalThis, name);
    const untouched = property?.get !== undefined && Accessor.is(property.get);
    if (!property || (!untouched && !('value' in property))) {
      this.#bindings.delete(name); // the run deleted it, or made an accessor of its own of it
      return;
    }
    const value = untouched ? binding.value : /** @type {any} */ (globalThis)[name];
    if (binding.before === UNKNOWN || !Object.is(binding.before, print(value))) changes.set(name, value);
    this.#adopt(binding, value);
  }

  /** A value is of this side now. @param {Binding} binding @param {any} value */
  #adopt(binding, value) {
    binding.value = value;
    binding.isHere = true;
    binding.before = UNKNOWN;
    this.#bindings.set(binding.name, binding);
    this.#arm(binding);
    if (binding.isFixed) binding.before = print(value);
  }

  // -- properties

  /** @param {string} name */
  #binding(name) {
    let binding = this.#bindings.get(name);
    if (!binding) {
      binding = new Binding(name);
      this.#bindings.set(name, binding);
      this.#arm(binding);
    } else if (!binding.isFixed) {
      this.#arm(binding);
    }
    return binding;
  }

  /** Make the property an accessor, so that the next touch is seen. @param {Binding} binding */
  #arm(binding) {
    const get = () => this.#get(binding);
    Accessor.mark(get);
    const property = { get, set: (/** @type {any} */ value) => this.#set(binding, value) };
    binding.isFixed = !Reflect.defineProperty(globalThis, binding.name, {
      ...property,
      configurable: true,
      enumerable: true,
    });
  }

  /** Make the property an ordinary one for the rest of the run. @param {Binding} binding */
  #disarm(binding) {
    this.#touched.add(binding);
    Object.defineProperty(globalThis, binding.name, {
      value: binding.value,
      writable: true,
      configurable: true,
      enumerable: true,
    });
  }

  /** @param {Binding} binding */
  #get(binding) {
    if (this.#mustAsk(binding)) this.#fetch(binding);
    if (this.#runs > 0) {
      if (!this.#touched.has(binding)) binding.before = print(binding.value);
      this.#disarm(binding);
    }
    return binding.value;
  }

  /** @param {Binding} binding @param {any} value */
  #set(binding, value) {
    binding.value = value;
    binding.isHere = true;
    binding.isFromPython = false;
    if (this.#runs > 0) {
      binding.isFresh = true;
      binding.isSuspect = false;
      binding.before = UNKNOWN;
      this.#disarm(binding);
    } else if (binding.isPythons) {
      this.session.notify('assign', { [binding.name]: value });
    }
  }

  /** @param {Binding} binding */
  #mustAsk(binding) {
    if (!binding.isPythons) return false;
    if (!binding.isHere || this.#runs === 0) return true;
    // Python says which names it bound anew; besides, it may have changed something in a container.
    return !binding.isFresh && (binding.isSuspect || isContainer(binding.value));
  }

  /** Ask Python for a variable. @param {Binding} binding */
  #fetch(binding) {
    const { name } = binding;
    try {
      const [isNew, value] = this.session.call('get', name, binding.isHere);
      if (isNew) {
        binding.value = value;
        binding.isFromPython = true;
      }
    } catch (error) {
      const { path, kind, advice } = /** @type {any} */ (error);
      if (!advice) throw error;
      throw new ShareError(name + path.slice('$[1]'.length), kind, advice);
    }
    binding.isHere = binding.isFresh = true;
    binding.isSuspect = false;
  }

  /** @param {Binding} binding that Python bound anew */
  #refreshFixed(binding) {
    try {
      this.#fetch(binding);
    } catch {
      binding.isHere = true; // it cannot cross: the function stays what it is here
      return;
    }
    /** @type {any} */ (globalThis)[binding.name] = binding.value;
    binding.before = print(binding.value);
  }

  /** Python has a name, but does not share it in this run. @param {string} name */
  #hide(name) {
    const binding = this.#bindings.get(name);
    if (!binding) return;
    binding.isPythons = false;
    if (!binding.isHere || binding.isFromPython) this.#drop(name);
  }

  /** Python deleted a name. @param {string} name */
  #drop(name) {
    const binding = this.#bindings.get(name);
    if (!binding) return;
    if (!Reflect.deleteProperty(globalThis, name)) /** @type {any} */ (globalThis)[name] = undefined;
    else this.#bindings.delete(name);
  }
}

/** Tells our own getters from a user's. */
const Accessor = {
  /** @type {WeakSet<Function>} */
  ours: new WeakSet(),
  /** @param {Function} getter */
  mark(getter) {
    this.ours.add(getter);
  },
  /** @param {Function} getter */
  is(getter) {
    return this.ours.has(getter);
  },
};

/** @param {any} value */
function isContainer(value) {
  if (typeof value !== 'object' || value === null || value instanceof NDArray) return false;
  if (idOf(value) !== undefined) return false;
  return Array.isArray(value) || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value) || isPlain(value);
}

/** @param {object} value */
function isPlain(value) {
  const proto = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

/** A value's fingerprint; of one that cannot cross, the value itself. @param {any} value */
function print(value) {
  try {
    return fingerprint(value);
  } catch {
    return value;
  }
}

