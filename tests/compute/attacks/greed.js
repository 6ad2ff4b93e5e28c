/**
 * Attacks that need to break nothing. Each is the source of a work function.
 *
 * Each begins with its name, the layer that ends it, and the codes with which it may end.
 */

// ## an endless loop
// deadline: ESLICETOOSLOW
() => { for (;;); }

// ## an endless loop of microtasks
// deadline: ESLICETOOSLOW
async () => { for (;;) await null; }

// ## an endless loop of timers
// deadline: ESLICETOOSLOW
() => new Promise(() => { (function again() { setTimeout(again) })() })

// ## an endless loop that reports progress
// deadline: ESLICETOOSLOW
() => { for (;;) progress(0.5); }

// ## a regular expression that takes for ever
// deadline: ESLICETOOSLOW
() => /^(a+)+$/.test('a'.repeat(40) + 'b')

// ## Atomics.wait for ever
// deadline: ESLICETOOSLOW
() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)

// ## a sort that never ends
// deadline: ESLICETOOSLOW, EMEMORY
() => { const a = new Array(3e7).fill(0); for (;;) a.sort(() => Math.random() - 0.5) }

// ## an endless getter of the result
// deadline: ESLICETOOSLOW
() => ({ get a() { for (;;); } })

// ## an endless iterator of console.log
// deadline: ESLICETOOSLOW
() => { console.log({ get [Symbol.toStringTag]() { for (;;); } }) }

// ## an endless WebAssembly function
// deadline: ESLICETOOSLOW
async () => (await WebAssembly.instantiate(new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,103,0,0,10,9,1,7,0,3,64,12,0,11,11]))).instance.exports.g()

// ## silence, where progress is asked for
// deadline: ENOPROGRESS, ESLICETOOSLOW
() => new Promise((done) => setTimeout(done, 60000))

// ## a promise that nobody settles
// deadline: ESTALLED
() => new Promise(() => {})

// ## a heap bomb
// memory: EMEMORY, EDIED
() => { const a = []; for (;;) a.push(new Array(1000).fill(a.length)) }

// ## a bomb of ArrayBuffers
// memory: EUNCAUGHT, EMEMORY, EDIED
() => { const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1)) }

// ## a bomb of WebAssembly memory
// memory: EUNCAUGHT, EMEMORY, EDIED
() => { const m = []; for (;;) { const one = new WebAssembly.Memory({ initial: 100 }); new Uint8Array(one.buffer).fill(1); m.push(one) } }

// ## a bomb of strings
// memory: EMEMORY, EDIED
() => { const a = []; for (;;) a.push(JSON.stringify('x'.repeat(1e7) + a.length)) }

// ## a bomb of BigInts
// memory: EMEMORY, EDIED, ESLICETOOSLOW
() => { const a = []; for (let n = 1n << 3000000n; ; n += 1n) a.push(n) }

// ## a bomb of Maps
// memory: EUNCAUGHT, EMEMORY, EDIED
() => { const m = new Map(); for (let i = 0; ; i++) m.set(i, {}) }

// ## a bomb of promises
// memory: EMEMORY, EDIED
async () => { const a = []; for (;;) a.push(new Promise(() => {})) }

// ## a bomb of timers
// memory: EMEMORY, EDIED, ESLICETOOSLOW
() => { for (;;) setTimeout(() => {}, 1e6) }

// ## endless recursion
// realm: EUNCAUGHT
function f() { return f() + 1 }

// ## a flood of console messages
// messages: EPROTOCOL, ESLICETOOSLOW
() => { for (let i = 0; ; i++) console.log('x'.repeat(1000) + i) }

// ## a flood of events
// messages: EPROTOCOL, ESLICETOOSLOW
() => { for (;;) work.emit('x', new Uint8Array(100000)) }

// ## a result that is too long
// memory: EUNCAUGHT, EMEMORY, EDIED
() => new Uint8Array(1.1 * 2 ** 30)
