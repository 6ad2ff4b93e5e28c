/** DCP's client, with an engine that works in this process. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import util from 'node:util';
import vm from 'node:vm';
import { createClient } from '../../src/bifrost/js/compute/client.js';
import { Inputs } from '../../src/bifrost/js/compute/inputs.js';
import { MODULES } from '../../src/bifrost/js/compute/names.js';
import { NDArray } from '../../src/bifrost/js/protocol/arrays.js';
import { unpack } from '../../src/bifrost/js/protocol/parcels.js';
import { Runner } from './runner.js';

const engine = new Runner();
const { get } = createClient(() => ({ engine, version: '1.2.3' }));
test('modules are there after init only', () => {
  const { get: early } = createClient(() => assert.fail('nothing is started'));
  assert.throws(() => early('dcp/compute'), /dcp\/compute is there after require\('dcp-client'\)\.init\(\)/);
});
const dcp = get('dcp-client').initSync();
const { compute } = dcp;

/** Everything a job emits, in order. */
function record(job, names = ['readystatechange', 'accepted', 'status', 'result', 'resultsUpdated', 'error', 'cancel', 'complete']) {
  const events = [];
  for (const name of names) job.on(name, (event) => events.push([name, event]));
  return events;
}

/** Wait until something holds. */
async function until(condition) {
  for (const end = Date.now() + 20_000; !condition(); await new Promise(setImmediate)) assert.ok(Date.now() < end, 'it did not happen');
}

test('init in all its forms gives the modules', async () => {
  assert.equal(get('dcp-client').engine, 'bifrost');
  assert.equal(get('dcp-client').version, '1.2.3');
  assert.equal((await get('dcp-client').init()).compute, compute);
  assert.equal(await new Promise((done) => get('dcp-client').initcb(({ compute }) => done(compute))), compute);
  for (const name of MODULES) assert.ok(get(name), name);
  assert.equal(get('dcp/compute').compute, compute);
  assert.throws(() => get('dcp-client').initSync('https://scheduler.distributed.computer'), /DCP_SCHEDULER_LOCATION/);
  assert.throws(() => get('dcp-client').initSync({ scheduler: { location: new URL('http://a') } }), /DCP_SCHEDULER_LOCATION/);
});

test('a job: the order of its events, and its results', async () => {
  const job = compute.for([10, 20, 30], (x, y) => x + y, [1]);
  job.public.name = 'adds';
  job.requires('a/b');
  job.requires(['a/b', 'c/d']);
  assert.equal(job.id, null);
  const events = record(job);
  job.on('complete', () => events.push(['then', job.status.runStatus]));
  const results = await job.exec(compute.marketValue);
  assert.match(job.id, /^[A-Za-z0-9]{22}$/);
  assert.deepEqual(job.requireModules, ['a/b', 'c/d']);
  assert.deepEqual(
    events.filter(([name]) => name === 'readystatechange').map(([, state]) => state),
    ['exec', 'init', 'preauth', 'deploying', 'listeners', 'compute-groups', 'uploading', 'deployed'],
  );
  const others = events.filter(([name]) => name !== 'readystatechange');
  assert.equal(others[0][0], 'accepted');
  assert.equal(others[0][1].job, job);
  assert.deepEqual(others[1], ['status', { runStatus: 'running', total: 3, distributed: 0, computed: 0 }]);
  assert.deepEqual(others.splice(-2), [['complete', results], ['then', 'finished']]);
  const first = others.findIndex(([name]) => name === 'result');
  assert.deepEqual(others[first][1], { job: job.id, sliceNumber: 0, taskId: job.id, result: 11, time: 1.5 });
  assert.deepEqual([others[first + 1][0], others[first + 2][0]], ['resultsUpdated', 'status']);
  assert.deepEqual(job.status, { runStatus: 'finished', total: 3, distributed: 3, computed: 3 });
  assert.deepEqual(Array.from(results), [11, 21, 31]);
  assert.equal(results, job.results);
  await assert.rejects(job.exec(), /called before/);
  assert.throws(() => job.requires('x'), /before job\.exec/);
});

test('compute.for in all its forms', async () => {
  const source = 'async (...all) => all';
  const of = async (...given) => Array.from(await compute.for(...given).exec());
  assert.deepEqual(await of(1, 3, source), [[1], [2], [3]]);
  assert.deepEqual(await of(1, 6, 2, source, ['y']), [[1, 'y'], [3, 'y'], [5, 'y']]);
  assert.deepEqual(await of({ start: 0, end: 3, group: 2 }, source), [[[0, 1]], [[2, 3]]]);
  assert.deepEqual(await of({ ranges: [{ start: 0, end: 1 }, ['a', 'b']] }, source), [
    [[0, 'a']], [[0, 'b']], [[1, 'a']], [[1, 'b']],
  ]);
  assert.deepEqual(await of({ sparse: [{ start: 0, end: 1 }, { start: 7, end: 7 }] }, source), [[0], [1], [7]]);
  assert.deepEqual(await of(new (get('dcp/range-object').RangeObject)(3, 1), source), [[3], [2], [1]]);
  assert.deepEqual(await of(get('dcp/stats-ranges').set.identity(2), source), [[0], [1]]);
  assert.deepEqual(await of(new Float32Array([1, 2]), source), [[1], [2]]);
  assert.deepEqual(await of(NDArray.from([[1, 2], [3, 4]]), '(row) => [...row.typedArray]'), [[1, 2], [3, 4]]);
  assert.deepEqual(await of(new Set(['p', 'q']), source), [['p'], ['q']]);
  assert.deepEqual(await of([Promise.resolve(5), 6], source), [[5], [6]]);
  assert.deepEqual(await of([], source), []);
  const asynchronous = async function* () {
    yield 1;
    yield* [2, 3];
  };
  assert.deepEqual(await of(asynchronous(), source), [[1], [2], [3]]);
  const remote = new compute.RemoteDataSet('data:application/json,{"a":1}', 'data:text/plain,words');
  assert.deepEqual(await of(remote, source), [[{ a: 1 }], ['words']]);
  assert.deepEqual(await of([7], source, remote), [[7, { a: 1 }, 'words']]);
  assert.deepEqual(await of([7], source, [8, remote, 9]), [[7, 8, { a: 1 }, 'words', 9]]);
  assert.deepEqual(Array.from(await compute.do(3, source, [9]).exec()), [[0, 9], [1, 9], [2, 9]]);
  assert.deepEqual(Array.from(await compute.do(source).exec()), [[0]]);
});

test('what is no job', () => {
  const work = () => 1;
  for (const [given, error] of [
    [['text', work], /a string is no set of inputs/],
    [[5, work], /two or three numbers/],
    [[{ a: 1 }, work], /^an Object is no set of inputs/],
    [[undefined, work], /^undefined is no set of inputs/],
    [[Buffer.alloc(3), work], /no set of inputs/],
    [[[1], 5], /a work function is a function/],
    [[[1]], /a work function is a function/],
    [[[1], work, 'args'], /come in an Array, not as a string/],
    [[[1], work, new compute.RemoteDataPattern('http://a/{slice}', 3)], /RemoteDataPattern cannot be an argument/],
    [[[1], work, [new compute.RemoteDataPattern('http://a/{slice}', 3)]], /RemoteDataPattern cannot be an argument/],
    [[[1], Math.max], /max is native or bound/],
    [[[1], work.bind(null)], /bound work is native or bound/],
    [[[1], class A {}], /A is a class/],
    [[[1], Object.getOwnPropertyDescriptor({ get a() { return 1; } }, 'a').get], /does not stand for itself/],
    [[0, 10, -1, work], /does not lead from 0 to 10/],
  ]) {
    assert.throws(() => compute.for(...given), (thrown) => error.test(thrown.message), String(error));
  }
  assert.throws(() => compute.for([1], 'function ('), /the work function: /);
  assert.throws(() => compute.for([1], work).requires(5), /by its name, not by a number/);
});

test('a semicolon behind the text of a function is none of it', async () => {
  assert.deepEqual(Array.from(await compute.for([1], '(x) => x + 1;\n').exec()), [2]);
  assert.deepEqual(Array.from(await compute.for([1], 'async function (x) { return x; } ; ;').exec()), [1]);
});

test('methods are sent as functions', async () => {
  const home = {
    async double(x) {
      return 2 * x;
    },
    *steps(x) {
      yield x;
    },
    async 'with space'(x) {
      return -x;
    },
  };
  class Work {
    static triple(x) {
      return 3 * x;
    }
  }
  assert.deepEqual(Array.from(await compute.for([1, 2], home.double).exec()), [2, 4]);
  assert.deepEqual(Array.from(await compute.for([1], home['with space']).exec()), [-1]);
  assert.deepEqual(Array.from(await compute.for([1], Work.triple).exec()), [3]);
});

test('inputs are pulled as there is room, and an iterator is ended', async () => {
  const seen = [];
  const numbers = function* () {
    for (let i = 0; i < 5; i++) {
      seen.push(i);
      yield i;
    }
  };
  const job = compute.for(numbers(), (x) => x);
  let most = 0;
  job.on('result', ({ sliceNumber }) => (most = Math.max(most, seen.length - sliceNumber)));
  assert.equal(job.status.total, null);
  const results = await job.exec();
  assert.ok(most <= engine.window + 1);
  assert.deepEqual(results.keys(), [0, 1, 2, 3, 4]);
});

test('an input may wait for the result of the one before it', async () => {
  let settle;
  const chain = async function* () {
    for (let value = 1; value < 100; value = await new Promise((resolve) => (settle = resolve))) yield value;
  };
  const job = compute.for(chain(), (x) => 3 * x);
  job.on('result', ({ result }) => settle(result));
  assert.deepEqual(Array.from(await job.exec()), [3, 9, 27, 81, 243]);
});

test('an input that fails, or cannot cross, ends the job with that very error', async () => {
  const failing = function* () {
    yield 1;
    throw new RangeError('no more');
  };
  const job = compute.for(failing(), (x) => x);
  await assert.rejects(job.exec(), (error) => error instanceof RangeError && error.message === 'no more');
  await assert.rejects(job.resume(), { message: 'no more' });
  await assert.rejects(compute.for([1, { f() {} }], (x) => x).exec(), /inputs\[1\]\.f: a function/);
});

test('an argument that cannot be sent, or fetched, ends the job with its address', async () => {
  const nowhere = new compute.RemoteDataSet('http://127.0.0.1:1/a.json');
  const broken = new compute.RemoteDataSet('data:application/json,{');
  for (const [given, message, cause] of [
    [[Symbol('s')], /^arguments\[0\]: a symbol/, 'ShareError'],
    [[new compute.RemoteDataSet('data:text/plain,x'), Promise.resolve(1)], /^arguments\[1\]: a Promise/, 'ShareError'],
    [[nowhere], /^cannot fetch http:\/\/127\.0\.0\.1:1\/a\.json: /, 'Error'],
    [[broken], /^cannot fetch data:application\/json,\{: no JSON: /, 'Error'],
  ]) {
    const job = compute.for([1], (x) => x, given);
    const events = record(job, ['error', 'cancel', 'EARGUMENT']);
    await assert.rejects(job.exec(), (error) => error.code === 'EARGUMENT' && message.test(error.message) && error.cause.name === cause);
    assert.deepEqual(events.map(([name, { code }]) => [name, code]), [['cancel', 'EARGUMENT'], ['EARGUMENT', 'EARGUMENT']]);
    assert.equal(engine.stopped.size, 0);
  }
});

test('a job that ends while its arguments are fetched does not start, and waits for nothing', async (context) => {
  let isOpen = false;
  let asked = 0;
  const server = http.createServer((_request, response) => {
    asked++;
    if (isOpen) response.writeHead(200, { 'content-type': 'application/json' }).end('7');
  });
  context.after(() => server.close() && server.closeAllConnections());
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const remote = new compute.RemoteDataSet(`http://127.0.0.1:${server.address().port}/`);
  const before = engine.specs.length;
  let job;
  for (const [end, reason] of [
    [() => job.close(), /was closed/],
    [() => job.cancel('enough'), /enough/],
    [() => engine.stopped.forEach((stop) => stop()), /was stopped/],
  ]) {
    asked = 0;
    job = compute.for([1], (x, y) => x + y, [remote]);
    const ended = job.exec();
    await until(() => asked === 1);
    end();
    await assert.rejects(ended, { code: 'ECANCELLED', reason });
  }
  assert.equal(engine.stopped.size, 0);
  const early = compute.for([1], (x, y) => x + y, [remote]);
  early.cancel();
  await assert.rejects(early.exec(), { code: 'ECANCELLED' });
  assert.deepEqual([asked, engine.specs.length], [1, before]);
  isOpen = true;
  assert.deepEqual([...(await job.resume()), ...(await early.resume())], [8, 8]);
});

test('a job that cannot start says so, whoever catches it', async (context) => {
  const refusing = createClient(() => ({
    engine: {
      start() {
        throw Object.assign(new Error('no module a/b'), { code: 'ENOMODULE' });
      },
      atStop: () => () => {},
    },
  }));
  const job = refusing.get('dcp-client').initSync().compute.for([1], (x) => x);
  const print = context.mock.method(console, 'error', () => {});
  await assert.rejects(job.exec(), { message: 'no module a/b', code: 'ENOMODULE' });
  assert.match(print.mock.calls[0].arguments[0], /was cancelled: no module a\/b/);
  assert.equal(job.status.runStatus, 'cancelled');
});

test('what a worker forges ends the job, and nothing else', async () => {
  for (const forged of [['result', 0, 1, Buffer.from('garbage')], ['work', 0, 'name', Buffer.from([9, 0, 0, 0, 1])]]) {
    const start = (_spec, notify) => ({
      begin: () => notify([['accepted'], forged, ['console', 0, 'log', 'after']]),
      cancel: (reason, code) => notify([['cancel', code, reason]]),
    });
    const { compute } = createClient(() => ({ engine: { start, atStop: () => () => {} } })).get('dcp-client').initSync();
    const job = compute.for([1], (x) => x);
    const events = record(job, ['error', 'console', 'cancel']);
    await assert.rejects(job.exec(), { name: 'ProtocolError' });
    assert.deepEqual(events.map(([name, { code }]) => [name, code]), [
      ['error', 'EPROTOCOL'],
      ['console', undefined],
      ['cancel', 'EPROTOCOL'],
    ]);
  }
});

test('cancel rejects and leaves what came; resume goes on', async () => {
  const job = compute.for(0, 9, (x) => x);
  const events = record(job, ['cancel', 'ECANCELLED', 'complete']);
  job.on('result', ({ sliceNumber }) => sliceNumber === 3 && job.cancel('enough'));
  await assert.rejects(job.exec(), (error) => error.code === 'ECANCELLED' && error.reason === 'enough');
  assert.deepEqual(events.map(([name]) => name), ['cancel']);
  assert.deepEqual(events[0][1], { job: job.id, runStatus: 'cancelled', reason: 'enough', code: 'ECANCELLED' });
  assert.deepEqual(Array.from(job.results), [0, 1, 2, 3]);
  assert.equal(job.status.runStatus, 'cancelled');
  assert.throws(() => job.results[7], /Result 7 is not available/);
  assert.equal((await job.resume()).length, 10);
  await job.cancel(); // of no consequence now
  const early = compute.for([1], (x) => x);
  await early.cancel();
  await assert.rejects(early.exec(), /cancelled/);
  const closed = compute.for([1], (x) => x);
  await closed.close();
  await assert.rejects(closed.exec(), /was closed/);
});

test('resume waits for a cancel that is on its way, and not past another one', async () => {
  const job = compute.for(0, 9, (x) => x);
  let resumed;
  job.on('result', ({ sliceNumber }) => {
    if (sliceNumber !== 3) return;
    job.cancel('enough');
    resumed = job.resume();
  });
  await assert.rejects(job.exec(), { reason: 'enough' });
  assert.equal((await resumed).length, 10);
  const again = compute.for(0, 9, (x) => x);
  again.on('result', ({ sliceNumber }) => {
    if (sliceNumber !== 3) return;
    again.cancel('first');
    resumed = again.resume();
    setImmediate(() => engine.stopped.forEach((stop) => stop()));
  });
  await assert.rejects(again.exec(), { reason: 'first' });
  await assert.rejects(resumed, { code: 'ECANCELLED' });
  assert.deepEqual([again.status.runStatus, engine.stopped.size], ['cancelled', 0]);
  assert.equal((await again.resume()).length, 10);
});

test('a job ends with the code that runs it, and not after that', async () => {
  const job = compute.for(0, 9, (x) => x);
  job.on('result', ({ sliceNumber }) => sliceNumber === 3 && engine.stopped.forEach((stop) => stop()));
  await assert.rejects(job.exec(), (error) => error.code === 'ECANCELLED' && /was stopped/.test(error.reason));
  assert.equal(engine.stopped.size, 0);
  const rest = job.resume();
  assert.equal(engine.stopped.size, 1);
  assert.equal((await rest).length, 10);
  assert.equal(engine.stopped.size, 0);
});

/** An engine that says what it is told, and does as the test says. */
function fake() {
  const one = { fed: [], cancelled: [], atStop: () => () => {} };
  one.start = (_spec, notify) => {
    one.notify = (...event) => notify([event]);
    return {
      begin: () => one.notify('accepted'),
      feed: (start, parcels, isLast) => one.fed.push([start, ...parcels.map(unpack), ...(isLast ? ['end'] : [])]),
      cancel: (reason, code = 'ECANCELLED') => one.notify('cancel', code, reason),
    };
  };
  one.compute = createClient(() => ({ engine: one })).get('dcp-client').initSync().compute;
  return one;
}

test('a pull that never comes back loses no input, and gives none twice', async () => {
  const asked = [];
  const inputs = { [Symbol.asyncIterator]: () => ({ next: () => new Promise((answer) => asked.push(answer)) }) };
  const engine = fake();
  const job = engine.compute.for(inputs, (x) => x);
  job.exec().catch(() => {});
  engine.notify('pull', 2);
  await until(() => asked.length === 1);
  engine.notify('pull', 2); // the one before waits still
  asked[0]({ value: 'a' });
  await until(() => asked.length === 2);
  engine.notify('pull', 3);
  await until(() => engine.fed.length === 1);
  asked[1]({ value: 'b' });
  engine.notify('pull', 1);
  await until(() => engine.fed.length === 2);
  engine.notify('pull', 1);
  await until(() => asked.length === 3);
  asked[2]({ done: true });
  await until(() => engine.fed.length === 3);
  assert.deepEqual(engine.fed, [[0, 'a'], [1, 'b'], [2, 'end']]);
  assert.deepEqual(job.results.key(1), 'b');
});

/** Stops JavaScript as Python does: it just ends. */
function tear(action) {
  assert.throws(() => vm.runInNewContext('action()', { action }, { timeout: 20 }), { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' });
}

test('an input at which a pull is torn comes with the next one', async () => {
  let isStuck = true;
  const inputs = new Inputs(new Set(['a', { get b() { while (isStuck); return 1; } }, 'c']));
  const given = [];
  const give = (start, parcels, isEnded) => given.push([start, parcels.map(unpack), isEnded]);
  tear(() => inputs.pull(2, give));
  isStuck = false;
  await inputs.pull(1, give);
  tear(() => inputs.pull(1, (...all) => {
    give(...all);
    for (;;);
  }));
  await inputs.pull(2, give);
  await inputs.pull(1, give);
  const b = { b: 1 };
  assert.deepEqual(given, [[0, ['a'], false], [1, [b], false], [1, [b, 'c'], false], [3, [], true]]);
});

test('a generator that was torn ends its job', async () => {
  const numbers = (function* () {
    yield 1;
    for (;;);
  })();
  const engine = fake();
  const job = engine.compute.for(numbers, (x) => x);
  const events = record(job, ['cancel']);
  const ended = assert.rejects(job.exec(), /already running/);
  engine.notify('pull', 1);
  await until(() => engine.fed.length === 1);
  tear(() => numbers.next());
  engine.notify('pull', 1);
  await ended;
  assert.deepEqual(events.map(([, { code }]) => code), ['EINPUT']);
});

test('an error of a work function: event, or print; then the job ends', async (context) => {
  const job = compute.for([1], () => {
    throw new RangeError('too much');
  });
  const events = record(job, ['error', 'ETOOMANYERRORS', 'cancel']);
  await assert.rejects(job.exec(), (error) => error.code === 'ETOOMANYERRORS');
  assert.deepEqual(events.map(([name]) => name), ['error', 'cancel', 'ETOOMANYERRORS']);
  const { sliceNumber, name, message } = events[0][1];
  assert.deepEqual({ sliceNumber, name, message }, { sliceNumber: 0, name: 'RangeError', message: 'too much' });
  const print = context.mock.method(console, 'error', () => {});
  await assert.rejects(compute.for([1], 'function () { throw new TypeError("alone"); }').exec());
  const [first, second] = print.mock.calls.map((call) => call.arguments[0]);
  assert.match(first, /slice 0: TypeError: alone/);
  assert.match(second, /^Job \w{22} was cancelled: slice 0 failed$/);
});

test('results are like an Array that cannot be changed', async () => {
  const results = await compute.for(['a', 'b'], (x) => x + x).exec();
  assert.ok(Array.isArray(results));
  assert.equal(results.length, 2);
  assert.equal(results[1], 'bb');
  assert.deepEqual(results.map((x) => x.length), [2, 2]);
  assert.deepEqual([...results], ['aa', 'bb']);
  assert.deepEqual([results.keys(), results.values()], [['a', 'b'], ['aa', 'bb']]);
  assert.deepEqual([results.entries(), results.fromEntries()], [[['a', 'aa'], ['b', 'bb']], { a: 'aa', b: 'bb' }]);
  assert.deepEqual([results.key(1), results.lookupValue('b'), results.isAvailable(2)], ['b', 'bb', false]);
  assert.equal(JSON.stringify(results), '["aa","bb"]');
  assert.equal(util.inspect(results), "[ 'aa', 'bb' ]");
  assert.deepEqual(Object.keys(results), ['0', '1']);
  assert.equal(1 in results, true);
  for (const change of [(r) => (r[0] = 1), (r) => r.push(1), (r) => delete r[0], (r) => r.sort()]) {
    assert.throws(() => change(results), /cannot be changed/);
  }
  results.reset();
  assert.equal(results.length, 0);
});

test('fetch emits results once more; without collateResults none is kept', async () => {
  const job = compute.for(0, 4, (x) => x);
  await job.exec();
  const events = record(job, ['result']);
  await job.results.fetch({ start: 1, end: 2 }, true);
  assert.deepEqual(events.map(([, { sliceNumber }]) => sliceNumber), [1, 2]);
  const other = compute.for(0, 4, (x) => x);
  other.collateResults = false;
  const seen = record(other, ['result']);
  assert.equal((await other.exec()).length, 0);
  assert.equal(seen.length, 5);
});

test('jobs are found again', async () => {
  const job = compute.for(1, 2, (x) => x);
  job.public.name = 'found';
  await job.localExec(1);
  assert.deepEqual(engine.specs.at(-1).policy, { concurrency: 1 });
  const [one] = await compute.status(job.id, null);
  assert.deepEqual([one.address, one.name, one.computed], [job.id, 'found', 2]);
  assert.ok((await compute.status()).length > 1);
  assert.equal((await compute.getJobInfo(job)).public.name, 'found');
  assert.deepEqual(await compute.getSliceInfo(job.id), [
    { sliceNumber: 0, status: 'finished' },
    { sliceNumber: 1, status: 'finished' },
  ]);
  await assert.rejects(compute.cancel('nothing'), /no job nothing/);
});

test('compute groups list jobs', async () => {
  const groups = get('dcp/compute-groups');
  const { payload: id } = await groups.createGroup({ joinKey: 'mine', joinSecret: 'secret' }, 'Mine', undefined, { deployFee: 1 });
  assert.equal((await groups.createGroup({ id: 'other', joinAddress: 'a' })).payload, 'other');
  const job = compute.for(1, 2, (x) => x);
  job.computeGroups = [{ joinKey: 'mine', joinSecret: 'secret' }, { joinKey: 'unknown' }];
  await job.exec();
  assert.deepEqual(await groups.listJobs({ id }), { success: true, payload: [job.id] });
  await groups.addJobToGroups(job.id, [{ id: 'other' }]);
  assert.deepEqual((await groups.listJobs({ id: 'other' })).payload, [job.id]);
  await groups.removeJob(job, { joinKey: 'mine' });
  await groups.removeAllJobs({ id: 'other' });
  for (const one of ['mine', 'other']) assert.deepEqual((await groups.listJobs(one === 'mine' ? { joinKey: one } : { id: one })).payload, []);
  assert.deepEqual(job.computeGroups, [{ joinKey: 'unknown' }]);
  assert.deepEqual(await groups.changeGroup({ id }, { name: 'Ours' }), { success: true, payload: id });
  await groups.deleteGroup({ joinKey: 'mine' });
  await assert.rejects(groups.listJobs({ id }), /there is no compute group/);
  await assert.rejects(groups.createGroup({ id: 'other' }), /there is a compute group other/);
  await assert.rejects(groups.createGroup({ joinKey: 'k', id: 'other' }), /there is a compute group other/);
  for (const given of [null, undefined, { id: 'other' }]) {
    job.computeGroups = given;
    assert.deepEqual((await groups.listJobs({ id: 'other' })).payload, given ? [job.id] : []);
    await groups.removeAllJobs({ id: 'other' });
    await groups.addJobToGroups(job, [{ id: 'other' }]);
    assert.deepEqual(job.computeGroups, [{ id: 'other' }]);
  }
  await assert.rejects(groups.createGroup({ joinKey: 'x' }, 'X', 'x', { maxConcurrentJobs: 3 }), /maxConcurrentJobs .* is not kept here/);
  await assert.rejects(groups.addJobToGroups('nothing', [{ id: 'other' }]), /no job nothing/);
  await assert.rejects(groups.listJobs('text'), /named by \{joinKey\} or \{id\}, not by a string/);
});

test('emitters take any case and any alias; a listener that throws disturbs nobody', (context) => {
  const { EventEmitter } = get('dcp/dcp-events');
  const emitter = new EventEmitter('label');
  const heard = [];
  const listener = (value) => heard.push(value);
  for (const add of ['on', 'addListener', 'addEventListener']) emitter[add]('NoProgress', listener);
  emitter.once('noprogress', listener);
  assert.equal(emitter.listenerCount('NOPROGRESS'), 4);
  emitter.emit('noProgress', 1);
  assert.deepEqual(heard, [1, 1, 1, 1]);
  for (const remove of ['off', 'removeListener', 'removeEventListener']) emitter[remove]('NOprogress', listener);
  assert.equal(emitter.emit('noProgress', 2), false);
  assert.throws(() => emitter.on('x', 5), TypeError);
  emitter.on('x', () => {
    throw new Error('mine');
  });
  emitter.on('x', listener);
  const later = context.mock.method(process, 'nextTick', () => {});
  emitter.emit('x', 3);
  later.mock.restore();
  assert.equal(heard.at(-1), 3);
  assert.throws(later.mock.calls[0].arguments[0], { message: 'mine' });
});

const KEYSTORE = {
  version: 3,
  label: 'mine',
  address: '0E70f230f7a62ccf2bfd0368f07d3493d066a100',
  crypto: { ciphertext: 'b12146c0SECRET', cipher: 'aes-128-ctr', kdf: 'scrypt', mac: 'SECRET' },
};

test('keystores: the files of the guide, and nothing of their contents', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'keys-'));
  context.after(() => fs.rmSync(home, { recursive: true }));
  context.mock.method(os, 'homedir', () => home);
  const cli = get('dcp/dcp-cli');
  const wallet = get('dcp/wallet');
  const folder = path.join(home, '.dcp');
  await assert.rejects(
    cli.getAccountKeystore(),
    ({ code, message }) =>
      code === 'ENOENT' &&
      message === `Could not locate keystore named 'default' in these locations: ["${folder}/default.keystore"]`,
  );
  await assert.rejects(cli.getIdentityKeystore(), /named 'id'/);
  fs.mkdirSync(folder);
  for (const name of ['default', 'id', 'other']) {
    fs.writeFileSync(path.join(folder, `${name}.keystore`), JSON.stringify(KEYSTORE), { mode: 0o644 });
  }
  for (const keystore of [await cli.getAccountKeystore(), await cli.getIdentityKeystore(true), await wallet.get('other')]) {
    assert.equal(String(keystore.address), '0x0e70f230f7a62ccf2bfd0368f07d3493d066a100');
    assert.ok(keystore.address.eq('0x0E70F230F7A62CCF2BFD0368F07D3493D066A100'));
    for (const text of [util.inspect(keystore, { depth: 9, showHidden: true }), JSON.stringify(keystore), String(keystore)]) {
      assert.doesNotMatch(text, /SECRET|scrypt/);
    }
    assert.match(util.inspect(keystore), /^\w+Keystore\(0x0e70f2.* "mine"\)$/);
  }
  assert.deepEqual((await wallet.load('~/.dcp/id.keystore')).safe, false);
  const work = compute.for([1], (x) => x);
  await work.exec(compute.marketValue, await wallet.get());
  assert.doesNotMatch(util.inspect(engine.specs.at(-1), { depth: 9 }), /0e70f2/);
  fs.writeFileSync(path.join(folder, 'bad.keystore'), '{"crypto": "SECRET"');
  await assert.rejects(wallet.get('bad'), ({ message }) => /bad\.keystore is no keystore/.test(message) && !/SECRET/.test(message));
  await assert.rejects(wallet.load('/nowhere/x.keystore'), /Could not locate keystore '\/nowhere\/x\.keystore'/);
  await assert.rejects(compute.for([1], (x) => x).exec(1, Promise.resolve(1)), /this is no keystore/);
});

test('command lines', (context) => {
  const before = process.argv;
  context.after(() => (process.argv = before));
  process.argv = ['node', '/a/prog.js', 'word', '--count=3', '--name', 'x', '-v', '--no-colour', '--', '--rest'];
  const { argv } = get('dcp/cli').base('A program').options({ verbose: { alias: 'v', type: 'boolean' }, depth: { default: 2 } });
  assert.deepEqual(argv._, ['word', '--rest']);
  assert.deepEqual([argv.count, argv.name, argv.v, argv.verbose, argv.colour, argv.depth, argv.$0], [3, 'x', true, true, false, 2, 'prog.js']);
});

test('publish goes to the module store', async () => {
  await get('dcp/publish').publish({ name: 'mine', version: '1.0.0', files: { './a.js': 'a.js' } });
  assert.deepEqual(engine.published, [['mine', '1.0.0', { [path.resolve('a.js')]: 'a.js' }]]);
});
