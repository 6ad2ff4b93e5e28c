/** How a value is shown in text: as Node.js does, or nearly. */

const { Array, ArrayBuffer, BigInt, Error, JSON, Map, Math, Number, Object, Promise, Reflect, Set, String, Symbol, WeakMap, WeakSet } =
  globalThis;
const CUSTOM = Symbol.for('nodejs.util.inspect.custom');
/** So many items of a list are shown, and so much of a text inside of others. */
const MOST_ITEMS = 100;
const MOST_TEXT = 10_000;
/** Short enough for one line together with others. */
const LINE = 72;

/**
 * @param {any} value
 * @param {number} depth
 * @param {number} width
 * @param {Record<string, (value: any) => boolean>} types
 * @returns {string}
 */
export function show(value, depth, width, types) {
  return new Shower(depth, Math.min(width, LINE), types).any(value, 0);
}

class Shower {
  /** Objects that are being shown, from the outside in. @type {any[]} */
  #around = [];

  /** @param {number} depth @param {number} width @param {Record<string, (value: any) => boolean>} types */
  constructor(depth, width, types) {
    this.depth = depth;
    this.width = width;
    this.types = types;
  }

  /** @param {any} value @param {number} level @returns {string} */
  any(value, level) {
    if (typeof value === 'string') return quoted(value);
    if (typeof value === 'bigint') return `${value}n`;
    if (Object.is(value, -0)) return '-0';
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return String(value);
    if (this.#around.includes(value)) return '[Circular]';
    const custom = value[CUSTOM];
    if (typeof custom === 'function' && level <= this.depth) {
      const text = Reflect.apply(custom, value, [this.depth - level, {}]);
      return typeof text === 'string' ? text : this.any(text, level + 1);
    }
    this.#around.push(value);
    try {
      return this.#object(value, level);
    } finally {
      this.#around.pop();
    }
  }

  /** @param {any} value @param {number} level */
  #object(value, level) {
    const { types } = this;
    const name = className(value);
    const keys = Object.keys(value);
    if (typeof value === 'function') return this.#with(functionHead(value), value, keys, level);
    if (types.isNativeError(value)) return this.#with(errorText(value), value, keys, level);
    if (types.isDate(value)) return this.#with(isNaN(value) ? 'Invalid Date' : value.toISOString(), value, keys, level);
    if (types.isRegExp(value)) return this.#with(String(value), value, keys, level);
    if (types.isBoxedPrimitive(value)) return `[${name}: ${this.any(value.valueOf(), level)}]`;
    const isList = Array.isArray(value) || ArrayBuffer.isView(value);
    if (level > this.depth) return Array.isArray(value) ? '[Array]' : `[${name || 'Object: null prototype'}]`;
    if (isList && 'length' in value) return this.#list(value, name, keys, level);
    if (types.isMap(value)) {
      const items = [...value].map(([key, item]) => `${this.any(key, level + 1)} => ${this.any(item, level + 1)}`);
      return this.#wrap(`${name}(${value.size}) `, '{', items, '}', level);
    }
    if (types.isSet(value)) {
      return this.#wrap(`${name}(${value.size}) `, '{', [...value].map((item) => this.any(item, level + 1)), '}', level);
    }
    if (types.isAnyArrayBuffer(value)) return `${name} { byteLength: ${value.byteLength} }`;
    for (const kind of [WeakMap, WeakSet]) if (value instanceof kind) return `${name} { <items unknown> }`;
    if (value instanceof Promise) return `${name} { <state unknown> }`;
    const tag = value[Symbol.toStringTag];
    let head = name === 'Object' ? '' : `${name || '[Object: null prototype]'} `;
    if (typeof tag === 'string' && tag && tag !== name) head = `${name || 'Object'} [${tag}] `;
    return this.#wrap(head, '{', this.#entries(value, keys, level), '}', level);
  }

  /** @param {any} value @param {string} name @param {string[]} keys @param {number} level */
  #list(value, name, keys, level) {
    const n = value.length;
    const items = [];
    for (let i = 0; i < Math.min(n, MOST_ITEMS); i++) {
      items.push(i in value ? this.any(value[i], level + 1) : '<empty>');
    }
    if (n > MOST_ITEMS) items.push(`... ${n - MOST_ITEMS} more item${n > MOST_ITEMS + 1 ? 's' : ''}`);
    const named = keys.length > n || Array.isArray(value) ? keys.filter((key) => !/^\d+$/.test(key)) : [];
    const head = name === 'Array' ? '' : `${name}(${n}) `;
    return this.#wrap(head, '[', [...items, ...this.#entries(value, named, level)], ']', level);
  }

  /** @param {any} value @param {string[]} keys @param {number} level */
  #entries(value, keys, level) {
    return keys.map((key) => {
      const { get, set } = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(value, key) ?? {});
      const accessor = get ? (set ? '[Getter/Setter]' : '[Getter]') : set ? '[Setter]' : '';
      const name = /^[A-Za-z_$][\w$]*$/.test(key) ? key : quoted(key);
      return `${name}: ${accessor || this.any(value[key], level + 1)}`;
    });
  }

  /** @param {string} head @param {any} value @param {string[]} keys @param {number} level */
  #with(head, value, keys, level) {
    if (keys.length === 0 || level > this.depth) return head;
    return this.#wrap(`${head} `, '{', this.#entries(value, keys, level), '}', level);
  }

  /** @param {string} head @param {string} open @param {string[]} items @param {string} close @param {number} level */
  #wrap(head, open, items, close, level) {
    if (items.length === 0) return `${head}${open}${close}`;
    const length = items.reduce((sum, item) => sum + item.length + 2, head.length + level * 2);
    if (length <= this.width && !items.some((item) => item.includes('\n'))) {
      return `${head}${open} ${items.join(', ')} ${close}`;
    }
    const indent = '  '.repeat(level + 1);
    return `${head}${open}\n${indent}${inRows(items, open === '[').join(`,\n${indent}`)}\n${indent.slice(2)}${close}`;
  }
}

/** Many short items share lines. @param {string[]} items @param {boolean} isList */
function inRows(items, isList) {
  if (!isList || items.length <= 6 || items.some((item) => item.length > 16 || item.includes('\n'))) return items;
  const rows = [];
  for (let i = 0; i < items.length; i += 10) rows.push(items.slice(i, i + 10).join(', '));
  return rows;
}

/** @param {string} text */
function quoted(text) {
  const cut = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}... ${text.length - MOST_TEXT} more characters` : text;
  if (!cut.includes("'")) return `'${JSON.stringify(cut).slice(1, -1).replaceAll('\\"', '"')}'`;
  return cut.includes('"') ? `'${JSON.stringify(cut).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'` : JSON.stringify(cut);
}

/** @param {any} value */
function className(value) {
  for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
    const { value: kind } = Object.getOwnPropertyDescriptor(at, 'constructor') ?? {};
    if (typeof kind === 'function' && kind.name) return kind.name;
  }
  return '';
}

/** @param {Function} value */
function functionHead(value) {
  const text = Reflect.apply(Function.prototype.toString, value, []);
  const kind = text.startsWith('class') ? 'class' : value.constructor?.name || 'Function';
  const name = String(value.name);
  if (kind === 'class') return `[class ${name || '(anonymous)'}]`;
  return name ? `[${kind}: ${name}]` : `[${kind} (anonymous)]`;
}

/** @param {any} error */
function errorText(error) {
  const { stack } = error;
  return typeof stack === 'string' && stack ? stack : `[${Reflect.apply(Error.prototype.toString, error, [])}]`;
}
