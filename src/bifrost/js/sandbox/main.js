/**
 * A sandboxed Node.js: Python starts `node main.js <requests>,<replies>` for each worker.
 *
 * The work function and all it can touch live in a V8 context of their own, the *inner realm*. Only
 * text, numbers and bytes cross between it and this *host realm*; the host's functions are known
 * to Bifrost's own code in there, and to nobody else. Whoever gets hold of one all the same finds a
 * realm that is frozen and empty.
 */

import { disarm } from './disarm.js';
import { Channel, Type } from './channel.js';
import { makeHost } from './host.js';
import { openRealm } from './realm.js';

const [requests, replies] = (process.argv[2] ?? '').split(',').map(Number);
process.argv.length = 1;
const { pid, version } = process;
const channel = new Channel(requests, replies);
const realm = await openRealm();
const immediately = setImmediate;
const worker = realm.start(...makeHost(channel, { wake: () => worker.wake(), finished: () => immediately(turn) }));

process.setUncaughtExceptionCaptureCallback((error) => worker.stray(error));
process.on('unhandledRejection', (reason) => worker.stray(reason));
// Nothing is left that could settle the promise of the slice that is running.
process.on('beforeExit', () => worker.stalled());
channel.send(Type.READY, 0, new TextEncoder().encode(JSON.stringify({ version, pid })), true);
disarm();

/** Take what Python sends, until a slice begins to run: the next is read when it is over. */
function turn() {
  for (;;) {
    const frame = channel.read(realm.newBytes);
    if (frame.type === Type.JOB) worker.job(frame.body);
    else {
      worker.slice(frame.ident, frame.body);
      return;
    }
  }
}

immediately(turn);
