/**
 * Attacks by what a work function is, or returns: each is the whole source of one.
 *
 * Each begins with its name and the layer that is the first to stop it; "proven": without that layer
 * it gets through, which the suite shows.
 */

// ## source that closes its parenthesis
// realm
0); globalThis.kind = typeof process; (() => kind === 'undefined' ? 'nothing' : 'breach'

// ## source that is no expression
// realm
var a = 1; process.exit()

// ## a proxy as work function
// realm
new Proxy(() => {}, { apply: (t, self, args) => (args.constructor.constructor('return typeof process')() === 'undefined' ? 'nothing' : 'breach') })

// ## a result whose getters look around
// realm
() => ({ get a() { return arguments.callee.caller ? 'breach' : 'nothing' } })

// ## a result that is a proxy
// realm
() => new Proxy({}, { ownKeys: () => ['a'], getOwnPropertyDescriptor: (...args) => ({ value: args.length, enumerable: true, configurable: true }), get: (...args) => args.length })

// ## a result with __proto__ as a key
// protocol
() => JSON.parse('{"__proto__": {"polluted": true}}')

// ## a result that is nested too deep
// protocol
() => { let x = []; for (let i = 0; i < 1e5; i++) x = [x]; return x }

// ## a result whose keys never end
// protocol
() => new Proxy([], { get: (t, k) => (k === 'length' ? 2 ** 32 - 1 : t) })

// ## an error whose parts are no text
// protocol
() => { throw Object.assign(new Error('x'), { name: Symbol('s'), message: {}, stack: [] }) }

// ## an array that is detached while it is sent
// protocol
() => { const a = new Uint8Array(1e5); return [a, { get x() { structuredClone(a.buffer, { transfer: [a.buffer] }); return 1 } }, a] }

// ## an event whose name is not one
// protocol
() => { work.emit({ toString: () => 'x'.repeat(1e7) }, 1) }
