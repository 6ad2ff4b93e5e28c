/** Results that a job has stored elsewhere, by a real server that takes what forms bring. */

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createClient } from '../../src/bifrost/js/compute/client.js';
import { pack } from '../../src/bifrost/js/protocol/parcels.js';
import { Runner } from './runner.js';

const { compute } = createClient(() => ({ engine: new Runner(), version: '1.2.3' })).get('dcp-client').initSync();

/** What came, and what is answered: status, type, text, further headers. */
const came = [];
let answer = () => [200, 'application/json', '{}'];
const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { authorization } = request.headers;
  const form = await new Response(Buffer.concat(chunks), { headers: request.headers }).formData();
  const fields = { ...Object.fromEntries(form), ...(authorization && { authorization }) };
  came.push(fields);
  const [status, type, text, headers] = await answer(fields);
  response.writeHead(status, { 'content-type': type, ...headers }).end(text, () => headers && request.destroy());
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${server.address().port}/store`;
after(() => {
  server.closeAllConnections();
  server.close();
});

/** A job that stores its results, and its events in order. */
function make(inputs, work, params, client = compute) {
  const job = client.for(inputs, work);
  job.setResultStorage(url, params);
  came.length = 0;
  const events = [];
  for (const name of ['result', 'error', 'cancel', 'complete']) job.on(name, (event) => events.push([name, event]));
  return { job, events };
}

/** A client whose engine is done with two slices at once. */
function quick() {
  const start = (_spec, notify) => ({
    begin: () => notify([['accepted'], ['result', 0, 1, pack(1)], ['result', 1, 1, pack(2)], ['complete']]),
    cancel() {},
  });
  return createClient(() => ({ engine: { start, atStop: () => () => {} } })).get('dcp-client').initSync().compute;
}

test('the answer takes the place of a result, in the order of the slices', async () => {
  answer = async ({ element }) => {
    await setTimeout(element === '0' ? 100 : 0);
    return [200, 'application/json; charset=utf-8', JSON.stringify({ href: `/of/${element}` })];
  };
  const { job, events } = make([1, 2, 3], (x) => ({ x, all: new Float32Array([x, 0.5]), at: new Date(x), none: undefined }), { token: 't', n: 5 });
  const results = await job.exec();
  const hrefs = [0, 1, 2].map((index) => ({ href: `/of/${index}` }));
  assert.deepEqual(Array.from(results), hrefs);
  assert.deepEqual(events.map(([name, { result }]) => result ?? name), [...hrefs, 'complete']);
  came.sort((a, b) => a.element - b.element);
  assert.deepEqual(came.map(({ content }) => content), [
    '{"x":1,"all":[1,0.5],"at":"1970-01-01T00:00:00.001Z"}',
    '{"x":2,"all":[2,0.5],"at":"1970-01-01T00:00:00.002Z"}',
    '{"x":3,"all":[3,0.5],"at":"1970-01-01T00:00:00.003Z"}',
  ]);
  assert.deepEqual({ ...came[0], content: '' }, { element: '0', contentType: 'application/json', token: 't', n: '5', content: '' });
  assert.throws(() => job.setResultStorage(url), /before job\.exec/);
});

test('a name and a password in the address are sent, and not shown', async () => {
  answer = () => [401, 'text/plain', ''];
  const job = compute.for([1], (x) => x);
  job.setResultStorage(url.replace('//', '//me:se%20cret@'));
  job.on('error', ({ message }) => assert.match(message, /^http:\/\/127.* answered 401 Unauthorized$/));
  came.length = 0;
  await assert.rejects(job.exec(), { code: 'ESTORAGE' });
  assert.equal(Buffer.from(came[0].authorization.slice(6), 'base64').toString(), 'me:se cret');
});

test('text and bytes are stored as they are', async () => {
  answer = () => [201, 'text/plain', 'here'];
  const text = make([1], () => 'words & more', { contentType: 'text/csv', element: 'e' });
  assert.deepEqual(Array.from(await text.job.exec()), ['here']);
  assert.deepEqual(came, [{ element: 'e', contentType: 'text/csv', content: 'words & more' }]);
  const bytes = make([1], () => new Uint16Array([1, 513]), { contentType: 'application/octet-stream' });
  await bytes.job.exec();
  assert.deepEqual(Buffer.from(await came[0].content.arrayBuffer()), Buffer.from([1, 0, 1, 2]));
});

test('what has no such form is an error that says where it is', async () => {
  answer = () => [200, 'application/json', '{}'];
  for (const [result, params, error] of [
    ['({ a: [1, NaN] })', {}, /\$\.a\[1\]: JSON has no such value as NaN/],
    ['new Map()', {}, /\$: JSON has no such value as a Map/],
    ['({ a: { b: 2n ** 70n } })', {}, /\$\.a\.b: JSON has no such value as a bigint/],
    ['undefined', {}, /\$: JSON has no such value as undefined/],
    ['5', { contentType: 'text/plain' }, /text, not a number/],
    ['"text"', { contentType: 'image/png' }, /bytes, such as a Uint8Array, not a string/],
  ]) {
    const { job, events } = make([1], `() => ${result}`, params);
    await assert.rejects(job.exec(), { code: 'ESTORAGE' });
    assert.match(events[0][1].message, error);
    assert.deepEqual(came, []);
  }
});

test('a server that fails is asked again; one that refuses ends the job, and resume stores what it has', async () => {
  let failures = 1;
  answer = () => (failures-- > 0 ? [503, 'text/plain', 'busy'] : [200, 'application/json', '1']);
  const patient = make([1, 2], (x) => x);
  assert.deepEqual(Array.from(await patient.job.exec()), [1, 1]);

  let isOpen = false;
  let calls = 0;
  answer = ({ content }) => (isOpen || content === '1' ? [200, 'application/json', `"${content}"`] : [403, 'text/plain', 'no token']);
  const { job, events } = make([1, 2, 3], (x) => x);
  job.on('result', () => calls++);
  await assert.rejects(job.exec(), (error) => error.code === 'ESTORAGE' && /403 Forbidden: no token/.test(error.message));
  assert.deepEqual(events.map(([name, { code }]) => [name, code]), [['result', undefined], ['error', 'ESTORAGE'], ['cancel', 'ESTORAGE']]);
  assert.deepEqual(Array.from(job.results), ['1']);
  await assert.rejects(job.resume(), { code: 'ESTORAGE' });
  isOpen = true;
  assert.deepEqual(Array.from(await job.resume()), ['1', '2', '3']);
  assert.equal(calls, 3);
});

test('an answer that cannot be read is final: the result has been stored; an empty one is undefined', async () => {
  for (const [status, type] of [[200, 'application/json'], [201, 'text/plain'], [200, 'image/png'], [204, 'application/json']]) {
    answer = () => [status, type, ''];
    const { job } = make([1], (x) => x);
    assert.deepEqual(Array.from(await job.exec()), [undefined]);
    assert.equal(came.length, 1);
  }
  const torn = { 'content-length': 9 };
  for (const [told, error] of [
    [[200, 'application/json', '{'], /answered what is no JSON: /],
    [[200, 'text/plain', 'half', torn], /answered what cannot be read: /],
  ]) {
    answer = () => told;
    const { job, events } = make([1], (x) => x);
    await assert.rejects(job.exec(), { code: 'ESTORAGE' });
    assert.match(events[0][1].message, error);
    assert.equal(came.length, 1);
  }
});

test('the last result counts as the others do', async () => {
  let isOpen = false;
  answer = () => (isOpen ? [200, 'application/json', '7'] : [404, 'text/plain', '']);
  const { job } = make([1], (x) => x);
  await assert.rejects(job.exec(), { code: 'ESTORAGE' });
  isOpen = true;
  assert.deepEqual(Array.from(await job.resume()), [7]);
});

test('a server that does not answer holds up no cancel, and loses nothing', async () => {
  let isOpen = false;
  answer = () => (isOpen ? [200, 'application/json', '7'] : new Promise(() => {}));
  const { job, events } = make([1, 2], (x) => x);
  const ended = job.exec();
  while (came.length === 0) await setTimeout(5);
  await job.cancel('enough');
  await assert.rejects(ended, { code: 'ECANCELLED' });
  assert.deepEqual(events.map(([name]) => name), ['cancel']);
  isOpen = true;
  assert.deepEqual(Array.from(await job.resume()), [7, 7]);
});

test('the first failure is told, not what ends because of it', async () => {
  let isOpen = false;
  const never = new Promise(() => {});
  for (const first of [() => [503, 'text/plain', 'busy'], () => never]) {
    isOpen = false;
    answer = ({ element }) => {
      if (isOpen) return [200, 'application/json', element];
      return element === '0' ? first() : setTimeout(20, [403, 'text/plain', 'no token']);
    };
    const { job, events } = make([1, 2], (x) => x, {}, quick());
    await assert.rejects(job.exec(), (error) => error.code === 'ESTORAGE' && /^slice 1: .*: no token$/.test(error.reason));
    assert.deepEqual(events.map(([name, { sliceNumber }]) => [name, sliceNumber]), [['error', 1], ['cancel', undefined]]);
    isOpen = true;
    assert.deepEqual(Array.from(await job.resume()), [0, 1]);
  }
});

test('a job that is cancelled or closed while its last results are posted is cancelled', async (context) => {
  const print = context.mock.method(console, 'error', () => {});
  answer = () => new Promise(() => {});
  for (const [end, reason] of [[(job) => job.cancel('enough'), 'enough'], [(job) => job.close(), 'the job was closed']]) {
    const { job, events } = make([1, 2], (x) => x, {}, quick());
    const ended = job.exec();
    while (came.length < 2) await setTimeout(5);
    await end(job);
    await assert.rejects(ended, (error) => error.code === 'ECANCELLED' && error.reason === reason);
    assert.deepEqual(events.map(([name, { code }]) => [name, code]), [['cancel', 'ECANCELLED']]);
  }
  assert.equal(print.mock.callCount(), 0);
});

test('a server that is not there is named', async () => {
  const job = compute.for([1], (x) => x);
  job.setResultStorage('http://me:secret@127.0.0.1:1/');
  job.on('error', () => {});
  await assert.rejects(job.exec(), (error) => /cannot reach http:\/\/127\.0\.0\.1:1\//.test(error.message) && !/secret/.test(error.message));
  for (const [given, error] of [
    [['nowhere'], /is no address/],
    [['data:text/plain,x'], /no address that results can be sent to/],
    [[url, 5], /are an object, not a number/],
  ]) {
    assert.throws(() => compute.for([1], (x) => x).setResultStorage(...given), error);
  }
});
