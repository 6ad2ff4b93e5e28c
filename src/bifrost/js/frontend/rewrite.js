/**
 * What a cell needs changed before V8 runs it as a script. Lines stay where they are.
 *
 * Top-level `const`, `let` and `class` become `var`: so a cell can run again, and its variables are
 * properties that can be shared. `import`, which scripts do not have, becomes a call. A script that
 * awaits becomes the body of an async function, whose variables are assigned to the global ones.
 */

import { createRequire } from 'node:module';
import { Array, JSON, Map, Set } from '../protocol/globals.js';

/** The name under which the evaluator offers dynamic import. */
export const IMPORT = '__bifrost_import__';

/** What only we make valid in a script: V8 would complain of it, and not of what is wrong. */
const OURS = /\b(?:import|await)\b/;
const NEEDED = /\b(?:const|let|var|class|import|await)\b/;
const REMEMBERED = 200;

/**
 * @typedef {object} Rewritten
 * @property {string} code what to run
 * @property {string[]} names that it declares at the top level
 * @property {{message: string, line: number, column: number}} [problem] what is wrong with it
 */

/** @type {Map<string, Rewritten>} */
const cache = new Map();

/**
 * @param {string} source
 * @returns {Rewritten} of an async script the code's value is a promise
 */
export function rewrite(source) {
  if (!NEEDED.test(source)) return { code: source, names: [] };
  let result = cache.get(source);
  if (!result) {
    /** @type {Rewritten['problem']} */
    let problem;
    const program = tryParse(source, (error) => {
      const message = error.message.replace(/ \(\d+:\d+\)$/, '');
      if (OURS.test(source)) problem = { message, line: error.loc.line, column: error.loc.column + 1 };
    });
    result = program ? new Rewriter(source, program).result() : { code: source, names: [], problem };
    cache.set(source, result);
    if (cache.size > REMEMBERED) cache.delete(/** @type {string} */ (cache.keys().next().value));
  }
  return result;
}

/**
 * Whether a notebook shows what a cell ends with: an expression that is no assignment, and has no
 * semicolon behind it.
 * @param {string} source
 */
export function isShown(source) {
  const last = tryParse(source)?.body.at(-1);
  if (last?.type !== 'ExpressionStatement' || last.directive || source[last.end - 1] === ';') return false;
  return !['AssignmentExpression', 'UpdateExpression'].includes(last.expression.type);
}

/** Loaded when it is first needed: it would be a tenth of Node's start. @type {typeof import('acorn') | undefined} */
let acorn;

/**
 * @param {string} source
 * @param {(error: any) => void} [complain]
 * @returns {any} undefined if V8 has to say what is wrong with it
 */
function tryParse(source, complain = () => {}) {
  acorn ??= /** @type {typeof import('acorn')} */ (createRequire(import.meta.url)('acorn'));
  try {
    return acorn.parse(source, {
      ecmaVersion: 'latest',
      sourceType: 'script',
      allowAwaitOutsideFunction: true,
      allowImportExportEverywhere: true,
      allowHashBang: true,
    });
  } catch (error) {
    if (!(/** @type {any} */ (error).loc)) throw error; // the parser itself failed
    complain(error);
    return undefined;
  }
}

class Rewriter {
  /** Replacements, apart from each other: [start, end, text]. @type {Array<[number, number, string]>} */
  #edits = [];
  /** @type {Set<string>} */
  #names = new Set();
  #isAsync = false;
  /** `var` declarations outside of functions. @type {any[]} */
  #variables = [];

  /** @param {string} source @param {any} program */
  constructor(source, program) {
    this.source = source;
    this.program = program;
  }

  /** @returns {Rewritten} */
  result() {
    const { body } = this.program;
    this.#visit(this.program, false);
    this.#isAsync ||= body.some((/** @type {any} */ node) => node.type === 'ImportDeclaration');
    body.forEach((/** @type {any} */ node, /** @type {number} */ at) => this.#topLevel(node, body[at - 1]));
    for (const node of this.#variables) this.#variable(node, 'var', '');
    if (this.#isAsync) this.#wrap(body);
    let code = '';
    let at = 0;
    for (const [start, end, text] of this.#edits.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
      code += this.source.slice(at, start) + text;
      at = end;
    }
    return { code: code + this.source.slice(at), names: [...this.#names] };
  }

  /** @param {number} at @param {string} text */
  #insert(at, text) {
    this.#edits.push([at, at, text]);
  }

  /** @param {any} node @param {any} before */
  #topLevel(node, before) {
    if (node.type === 'ImportDeclaration') {
      this.#import(node);
    } else if (node.type === 'ClassDeclaration') {
      this.#names.add(node.id.name);
      const target = `${this.#isAsync ? '' : 'var '}${node.id.name} = `;
      if (this.#isApart(node, before)) this.#insert(before.end, `;${target}`);
      else this.#insert(node.start, target);
      this.#insert(node.end, ';');
    } else if (node.type === 'VariableDeclaration' && (node.kind === 'const' || node.kind === 'let')) {
      // `let x;` makes x undefined again each time; `var x;` would not.
      this.#variable(node, node.kind, ' = undefined');
    }
  }

  /**
   * Whether what belongs in front of a statement can stand on an earlier line, so that columns stay.
   * @param {any} node
   * @param {any} before the statement before it, if any
   */
  #isApart(node, before) {
    if (!before || !this.source.slice(before.end, node.start).includes('\n')) return false;
    return this.source[before.end - 1] === ';' || /^(Class|Function)/.test(before.type);
  }

  /**
   * A declaration becomes `var`, or in a function an assignment.
   * @param {any} node
   * @param {string} keyword
   * @param {string} empty initialiser of a variable without one
   */
  #variable(node, keyword, empty) {
    const word = this.#isAsync ? '' : 'var';
    this.#edits.push([node.start, node.start + keyword.length, word.padEnd(keyword.length)]);
    for (const { id, init, start, end } of node.declarations) {
      boundNames(id).forEach((name) => this.#names.add(name));
      if (!init && !node.inHead) this.#insert(id.end, empty);
      if (this.#isAsync && init && id.type === 'ObjectPattern') {
        this.#insert(start, '(');
        this.#insert(end, ')');
      }
    }
  }

  /** @param {any} node */
  #import(node) {
    const { source } = this;
    const from = JSON.stringify(node.source.value);
    const attributes = node.attributes?.length
      ? `, {with: {${node.attributes.map((/** @type {any} */ a) => source.slice(a.start, a.end)).join(', ')}}}`
      : '';
    const load = `await ${IMPORT}(${from}${attributes})`;
    /** @type {string[]} */
    const parts = [];
    let whole = '';
    for (const { type, local, imported } of node.specifiers) {
      this.#names.add(local.name);
      if (type === 'ImportNamespaceSpecifier') whole = local.name;
      else {
        const name = type === 'ImportDefaultSpecifier' ? 'default' : (imported.name ?? imported.value);
        parts.push(`${JSON.stringify(name)}: ${local.name}`);
      }
    }
    let text = `${load};`;
    if (whole) text = `${whole} = ${load};`;
    if (parts.length) text = `({${parts.join(', ')}} = ${whole || load});`.replace(/^/, whole ? text : '');
    const lines = source.slice(node.start, node.end).split('\n').length - 1;
    this.#edits.push([node.start, node.end, `;${text}${'\n'.repeat(lines)}`]);
  }

  /** Make the script the body of an async function that returns the completion value. @param {any[]} body */
  #wrap(body) {
    const directives = body.filter((node) => node.directive);
    const functions = body.filter((node) => node.type === 'FunctionDeclaration').map((node) => node.id.name);
    functions.forEach((name) => this.#names.add(name));
    const hashbang = /^#!.*/.exec(this.source)?.[0].length ?? 0;
    const start = directives.at(-1)?.end ?? hashbang;
    const hoisted = functions.map((name) => `;globalThis.${name} = ${name};`).join('');
    const last = body.at(-1);
    // In front of whatever else is inserted there.
    this.#edits.unshift([0, hashbang, '(async () => {'], [start, start, hoisted]);
    if (last?.type === 'ExpressionStatement' && !last.directive) {
      // Behind the statement before, so that columns stay where they are.
      this.#insert(body.at(-2)?.end ?? start, ';return (');
      this.#insert(last.expression.end, ')');
    }
    this.#insert(this.source.length, '\n})()');
  }

  /**
   * Find what matters anywhere: `import(...)`, and outside of functions `await` and `var`.
   * @param {any} node
   * @param {boolean} inFunction
   */
  #visit(node, inFunction) {
    if (node.type === 'ImportExpression') {
      this.#edits.push([node.start, node.start + 'import'.length, IMPORT]);
    } else if (!inFunction) {
      if (node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await)) {
        this.#isAsync = true;
      } else if (node.type === 'VariableDeclaration' && node.kind === 'var') {
        this.#variables.push(node);
      }
      for (const head of [node.left, node.init]) {
        if (/^For/.test(node.type) && head?.type === 'VariableDeclaration') head.inHead = true;
      }
    }
    const inside = inFunction || /Function|StaticBlock|PropertyDefinition/.test(node.type);
    for (const key in node) {
      const child = node[key];
      if (Array.isArray(child)) {
        for (const item of child) if (item && typeof item.type === 'string') this.#visit(item, inside);
      } else if (child && typeof child.type === 'string') {
        this.#visit(child, inside);
      }
    }
  }
}

/** The names that a declaration's target binds. @param {any} target @returns {string[]} */
function boundNames(target) {
  switch (target?.type) {
    case 'Identifier':
      return [target.name];
    case 'ObjectPattern':
      return target.properties.flatMap((/** @type {any} */ p) => boundNames(p.value ?? p.argument));
    case 'ArrayPattern':
      return target.elements.flatMap(boundNames);
    case 'AssignmentPattern':
      return boundNames(target.left);
    case 'RestElement':
      return boundNames(target.argument);
  }
  return [];
}
