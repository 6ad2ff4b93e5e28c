/**
 * Attacks from the inner realm, where work functions run. `look` notes what is of another realm.
 *
 * Each begins with its name and the layer that is the first to stop it; "proven": without that layer
 * it gets through, which the suite shows.
 *
 * @file bodies of async functions, not a module
 */

// ## constructor chain of globalThis
// realm
look(globalThis, this)

// ## constructor chain of console.log
// realm, proven
look(console, console.log)

// ## constructor chain of what a timer is
// realm, proven
look(setTimeout, setTimeout(() => {}))

// ## `this` and arguments of a timer's callback
// realm, proven
setTimeout(function (...args) { look(this, ...args, arguments) }, 1, {}); await pause(20)

// ## `this` and arguments of a microtask
// realm
queueMicrotask(function (...args) { look(this, ...args, arguments) })

// ## constructor chain of progress, work, require, module
// realm
look(progress, work, work.emit, work.job, work.job.public, require, module, module.exports)

// ## require.main, module.parent, module.constructor._load
// realm
look(require.main, require.cache, module.parent, module.constructor._load, module.paths)

// ## require of Node.js's modules
// realm
for (const name of ['fs', 'node:fs', 'child_process', 'process', 'module', '../../main.js', '/etc/passwd'])
  if (!(thrown(() => require(name)) instanceof Error)) found.push(name)

// ## require of names that objects have
// realm
for (const name of ['__proto__', 'constructor', 'toString', 'exports']) thrown(() => require(name))

// ## names of Node.js and of browsers
// realm
for (const name of ['process', 'Buffer', 'global', 'fetch', 'WebSocket', 'XMLHttpRequest', 'Worker',
  'SharedWorker', 'importScripts', 'BroadcastChannel', 'MessageChannel', 'EventSource', 'navigator',
  'localStorage', 'Storage', 'CompressionStream', 'ShadowRealm', '__filename', '__dirname'])
  if (eval('typeof ' + name) !== 'undefined') found.push(name)

// ## everything that can be reached from the globals
// realm
const seen = new Set();
(function walk(x, depth) {
  if ((typeof x !== 'object' && typeof x !== 'function') || x === null || seen.has(x) || depth > 12) return;
  seen.add(x); look(x); walk(Reflect.getPrototypeOf(x), depth + 1);
  for (const key of Reflect.ownKeys(x)) {
    const d = Reflect.getOwnPropertyDescriptor(x, key); look(d);
    for (const part of [d.value, d.get, d.set]) walk(part, depth + 1);
    if (d.get) { let value; try { value = x[key] } catch (e) { walk(e, depth + 1) } walk(value, depth + 1) }
  }
})(globalThis, 0);

// ## properties that the global object inherits
// realm
for (const name of ['hasOwnProperty', 'constructor', 'toString', '__proto__', '__defineGetter__', 'valueOf'])
  look(globalThis[name], Object.getOwnPropertyDescriptor(globalThis, name))

// ## descriptors of the global object
// realm
for (const d of Object.values(Object.getOwnPropertyDescriptors(globalThis))) look(d)

// ## errors of strict mode for the global object
// realm
'use strict'; thrown(() => { 'use strict'; notDeclared = 1 });
thrown(() => { 'use strict'; undefined = 1 });
thrown(() => Object.defineProperty(globalThis, 'NaN', {value: 1})); thrown(() => notThere)

// ## errors of what the host answers
// realm
thrown(() => new URL('http://')); thrown(() => new TextDecoder('klingon')); thrown(() => atob('%'));
thrown(() => new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([255])));
thrown(() => crypto.getRandomValues(new Uint8Array(1e6))); thrown(() => crypto.getRandomValues(5));
thrown(() => structuredClone(() => {})); thrown(() => setTimeout('1')); thrown(() => new AbortSignal())

// ## rejections of what the host answers
// realm
await crypto.subtle.digest('MD5', new Uint8Array(1)).catch(look);
look(crypto.subtle.digest('SHA-1', new Uint8Array(1)))

// ## stack overflow in console.log
// realm, proven
deep(() => console.log('x'))

// ## stack overflow in progress
// realm
deep(() => progress(0.5))

// ## stack overflow in work.emit
// realm
deep(() => work.emit('x', [1]))

// ## stack overflow in URL
// realm, proven
deep(() => new URL('http://a/b'))

// ## stack overflow in TextEncoder and TextDecoder
// realm, proven
deep(() => new TextDecoder().decode(new TextEncoder().encode('ü')))

// ## stack overflow in timers
// realm
deep(() => clearTimeout(setTimeout(() => {}, 50)))

// ## stack overflow in crypto
// realm, proven
deep(() => crypto.getRandomValues(new Uint8Array(8)))

// ## stack overflow in performance.now
// realm
deep(() => performance.now())

// ## stack overflow in require
// realm
deep(() => require('nothing'))

// ## stack overflow where a stack is written
// realm, proven
deep(() => new Error('x').stack)

// ## stack overflow in import()
// realm
deep(() => import('fs').catch(look))

// ## stack overflow in WebAssembly
// realm
deep(() => new WebAssembly.Module(new Uint8Array([0])));
deep(() => new WebAssembly.Memory({initial: 1}).buffer)

// ## import(): its promise, and why it fails
// realm, proven
const p = import('fs'); look(p, p.constructor); look(await p.catch((e) => look(e)))

// ## import() from code made of strings
// realm, proven
for (const make of [(s) => eval(s), (s) => Function('return ' + s)(), (s) => (0, eval)(s)]) {
  const p = make("import('child_process')"); look(p); look(await p.catch(look)); }

// ## import() of what cannot be a name
// realm
for (const name of [Symbol('s'), {toString() { throw this }}, null, {get [Symbol.toPrimitive]() { look(this); return () => 'fs' }}])
  await import(name).catch(look); await import('data:text/javascript,1').catch(look)

// ## import() with attributes and getters
// realm
await eval("import('x', {get with() { return {get type() { return 'json' }} }})").catch(look);
await eval("import('x', {with: {type: 'json'}})").catch(look)

// ## Error.prepareStackTrace and its call sites
// realm
Error.prepareStackTrace = (error, sites) => { look(error, sites, ...sites, sites[0].getThis(), sites[0].getFunction()); return 'x' };
look(new Error('x').stack); thrown(() => null.x).stack; deep(() => new Error('x').stack)

// ## another Error with prepareStackTrace in its place
// realm
const Old = Error;
globalThis.Error = { prepareStackTrace: (error, sites) => { look(error, sites, ...sites); return 'x' } };
new Old('x').stack; try { null.x } catch (e) { e.stack }; Promise.reject(new Old('y')); await pause();
globalThis.Error = Old

// ## call sites of an error that nobody catches
// realm
Error.prepareStackTrace = (error, sites) => { look(sites, ...sites); return '' };
setTimeout(() => { throw new Error('later') }, 1); await pause(20)

// ## stacks of errors with hostile names
// realm
for (const name of [{toString() { throw [] }}, Symbol('s'), new Proxy({}, {get(...a) { look(...a); return undefined }})])
  thrown(() => { const e = new Error('x'); e.name = name; e.message = name; return e.stack })

// ## Error.captureStackTrace on a proxy
// realm
thrown(() => { const o = new Proxy({}, {defineProperty(...a) { look(...a); return Reflect.defineProperty(...a) }, set(...a) { look(...a); return true }}); Error.captureStackTrace(o); return o.stack })

// ## paths in stacks
// realm
const stacks = [new Error('x').stack, thrown(() => new URL('?')).stack, thrown(() => require('x')).stack, (await import('x').catch((e) => e)).stack];
if (/file:|node:|sandbox/.test(stacks.join())) found.push(stacks.join())

// ## arguments.callee.caller in what is called back
// realm
const f = Function('look', 'try { for (let at = arguments.callee; (at = at.caller); ) look(at, at.arguments) } catch {}');
setTimeout(() => f(look), 1); Promise.resolve().then(() => f(look));
thrown(() => console.log({get a() { f(look); return 1 }}));
thrown(() => work.emit({toString() { f(look); return 'x' }}, {get a() { f(look); return 1 }}));
await pause(20)

// ## a proxy as an argument of console.log
// realm
const handler = new Proxy({}, {get: (t, trap) => (...args) => { look(...args); return Reflect[trap](...args) }});
console.log(new Proxy({}, handler), new Proxy([], handler), new Proxy(() => {}, handler))

// ## util.inspect.custom of console.log
// realm, proven
console.log({[Symbol.for('nodejs.util.inspect.custom')](...args) { look(...args, this); return args[1] ?? 'x' }});
console.log('%o', {[Symbol.for('nodejs.util.inspect.custom')](...args) { look(...args); return {} }})

// ## toString, valueOf and Symbol.toPrimitive as arguments
// realm
const evil = () => ({toString(...a) { look(this, ...a); return 'x' }, valueOf(...a) { look(this, ...a); return 1 }, [Symbol.toPrimitive](...a) { look(this, ...a); return 1 }});
console.log('%s %d', evil(), evil()); progress(evil()); thrown(() => require(evil()));
thrown(() => new URL(evil(), evil()));
thrown(() => btoa(evil())); thrown(() => new TextDecoder(evil()));
thrown(() => setTimeout(() => {}, evil())); thrown(() => work.emit(evil(), 1))

// ## what a thenable is resolved with
// realm
await {then(...args) { look(this, ...args); args[0](1) }};
await {get then() { look(this); return undefined }}

// ## a patched Promise.prototype.then
// realm
const { then } = Promise.prototype;
Promise.prototype.then = function (...args) { look(this, ...args); return then.apply(this, args) };
queueMicrotask(() => {}); await pause(); await import('x').catch(look); Promise.prototype.then = then

// ## a promise of a class of its own
// realm
class P extends Promise { constructor(f) { super((...args) => { look(...args); f(...args) }) } static get [Symbol.species]() { return P } }
await new P((r) => r(1)).then((x) => look(x)); P.reject(1); await pause()

// ## patched methods of Arrays
// realm
for (const key of ['push', 'map', 'forEach', 'slice', 'filter', 'join', 'includes', 'splice', 'reduce']) {
  const old = Array.prototype[key];
Array.prototype[key] = function (...args) { if (this !== found) look(this, ...args, ...(this ?? [])); return old.apply(this, args) };
}
console.log([1], {a: 1}); work.emit('x', {a: [1]}); setTimeout(() => {}, 1); thrown(() => require('x'));
new URL('http://a?b=c').searchParams.get('b')

// ## patched iteration of Arrays
// realm
const old = Array.prototype[Symbol.iterator]; let busy = false;
Array.prototype[Symbol.iterator] = function () {
  if (!busy) { busy = true; for (let i = 0; i < this.length; i++) look(this[i]); look(this); busy = false; }
  return old.call(this) };
console.log([1], {a: 1}); work.emit('x', {a: [1]}); setTimeout(() => {}, 1);
Array.prototype[Symbol.iterator] = old

// ## patched methods of Maps, Sets and WeakMaps
// realm
for (const kind of [Map, Set, WeakMap]) for (const key of ['get', 'set', 'has', 'add', 'delete']) {
const old = kind.prototype[key];
if (old) kind.prototype[key] = function (...args) { look(this, ...args); return old.apply(this, args) }; }
console.count(); console.time(); work.emit('x', new Map([[1, {}]])); clearTimeout(setTimeout(() => {}, 1));
thrown(() => require('x'))

// ## patched call, apply and bind
// realm
for (const key of ['call', 'apply', 'bind']) { const old = Function.prototype[key];
Function.prototype[key] = function (...args) { look(this, ...args); return Reflect.apply(old, this, args) };
}
console.log({a: 1}); work.emit('x', [new Map()]); progress(0.9); new URL('http://a').hash; performance.now()

// ## patched typed arrays and DataViews
// realm
const T = Object.getPrototypeOf(Uint8Array.prototype), before = Object.getOwnPropertyDescriptors(T);
for (const key of ['set', 'subarray', 'slice', 'fill']) { const old = T[key]; T[key] = function (...args) { look(this, ...args); return old.apply(this, args) }; }
for (const key of ['byteLength', 'byteOffset', 'buffer', 'length']) Object.defineProperty(T, key, { get() { look(this); return {valueOf() { look(this); return 1 }} }, configurable: true });
thrown(() => crypto.getRandomValues(new Uint8Array(2))); thrown(() => new TextEncoder().encode('x'));
Object.defineProperties(T, before)

// ## species of typed arrays
// realm
const T = Object.getPrototypeOf(Uint8Array), before = Object.getOwnPropertyDescriptor(T, Symbol.species);
Object.defineProperty(T, Symbol.species, { configurable: true, get() { look(this); return function (...args) { look(...args); return new Uint8Array(...args) } } });
thrown(() => new TextEncoder().encode('x')); thrown(() => new TextDecoder().decode(new Uint8Array(9)));
Object.defineProperty(T, Symbol.species, before)

// ## setters on Object.prototype
// realm
for (const key of ['type', 'ident', 'body', 'then', 'id', 'action', 'code', 'name', 'stack', 'source', '0', '1'])
Object.defineProperty(Object.prototype, key, { __proto__: null, set(v) { look(this, v) }, get() { look(this); return undefined }, configurable: true });
thrown(() => console.log({a: 1})); thrown(() => setTimeout(() => {}, 1)); thrown(() => work.emit('x', [1]));
thrown(() => new URL('http://a')); await pause();
for (const key of ['type', 'ident', 'body', 'then', 'id', 'action', 'code', 'name', 'stack', 'source', '0', '1']) delete Object.prototype[key]

// ## a rejection nobody looks at, of a proxy
// realm
Promise.reject(new Proxy({}, {get(...a) { look(...a); return undefined }, getPrototypeOf(t) { look(t); return null }}));
await pause(20)

// ## a throw, in a timer, of what has getters
// realm
setTimeout(() => { throw {get message() { look(this); return {} }, get stack() { throw {} }, get name() { return Symbol() }} }, 1);
await pause(20)

// ## callbacks of FinalizationRegistry and WeakRef
// realm
const r = new FinalizationRegistry(function (...args) { look(this, ...args) });
for (let i = 0; i < 1e5; i++) r.register({}, i); look(new WeakRef(found).deref()); await pause(20)

// ## functions made of strings, of every kind
// realm
for (const kind of [Function, (async () => {}).constructor, (function* () {}).constructor, (async function* () {}).constructor]) {
const f = kind('return this'); look(f, kind.prototype); const made = f(); look(made);
if (typeof made?.process === 'object') found.push('process'); }

// ## natives syntax of V8
// realm
for (const s of ['%DebugPrint(1)', '%GetOptimizationStatus(look)']) if (!(thrown(() => eval(s)) instanceof SyntaxError)) found.push(s)

// ## WebAssembly: exports, imports, traps
// realm
const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,2,7,1,1,109,1,102,0,0,3,2,1,0,7,5,1,1,103,0,1,10,6,1,4,0,16,0,11]);
const { instance, module } = await WebAssembly.instantiate(bytes, {m: {f(...args) { look(this, ...args, f.caller); throw new Error('x') }}}).catch(look) ?? {};
function f() {} if (instance) { look(instance, module, instance.exports, instance.exports.g); thrown(() => instance.exports.g()) }
look(WebAssembly.compileStreaming, await WebAssembly.compile(new Uint8Array(3)).catch(look), new WebAssembly.Memory({initial: 1}).buffer)

// ## Atomics.waitAsync and SharedArrayBuffer
// realm
const s = new SharedArrayBuffer(8); look(s); const w = Atomics.waitAsync?.(new Int32Array(s), 0, 0, 1);
look(w, w?.value)

// ## proxies that were revoked
// realm
const { proxy, revoke } = Proxy.revocable({}, {}); revoke();
for (const f of [() => console.log(proxy), () => work.emit('x', proxy), () => structuredClone(proxy), () => progress(proxy)]) thrown(f)

// ## host functions by their text
// realm
const text = Function.prototype.toString;
for (const f of [console.log, setTimeout, progress, require, performance.now, URL, crypto.getRandomValues])
  if (/hostSend|process\.|internalBinding/.test(text.call(f))) found.push(text.call(f))

// ## other objects by way of Symbol.for
// realm
for (const name of ['nodejs.util.inspect.custom', 'nodejs.util.promisify.custom', 'undici.globalDispatcher.1']) look(globalThis[Symbol.for(name)], console.log[Symbol.for(name)], setTimeout[Symbol.for(name)])

// ## async generators and their rejections
// realm
async function* g() { try { yield 1; } finally { look(this); throw new Error('x') } }
try { for await (const x of g()) { look(x); break } } catch (e) { look(e) }

// ## events: `this`, targets and errors
// realm
const t = new EventTarget(); t.addEventListener('x', function (e) { look(this, e, e.target) });
t.dispatchEvent(new Event('x'));
AbortSignal.timeout(1).addEventListener('abort', function (e) { look(this, e, this.reason) });
await pause(20)
