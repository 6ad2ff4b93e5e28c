/** The worker thread that listens to the control pipe while the main thread may be busy. */

import inspector from 'node:inspector';
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { control, name, pid } = workerData;
/** How long the main thread may take to end once Python is gone, in milliseconds. */
const FAREWELL = 700;
/** The longest pause before a call that is not over is interrupted again, in milliseconds. */
const PAUSE = 50;

/** A call that is not over after so many attempts may be at a breakpoint. */
const PATIENCE = 3;

/** Whether a debugger may have come. */
let mayPause = false;
parentPort?.on('message', () => (mayPause = true));
parentPort?.unref();

const session = new inspector.Session();
session.connectToMainThread();

/** The calls that are being interrupted. @type {Set<number>} */
const stopping = new Set();
const socket = new net.Socket({ fd: control, readable: true, writable: false });
let held = Buffer.alloc(0);
socket.on('data', (data) => {
  held = Buffer.concat([held, data]);
  for (; held.length >= 4; held = held.subarray(4)) {
    const id = held.readUInt32LE();
    if (!stopping.has(id)) stop(id, 0);
  }
});

/** @param {number} id @param {number} attempt */
function stop(id, attempt) {
  if (socket.destroyed) return;
  stopping.add(id);
  const expression = `${name}(${id}, ${attempt})`;
  if (mayPause && attempt === PATIENCE) resume();
  session.post('Runtime.evaluate', { expression, silent: true }, (_, reply) => {
    // A termination ends this evaluation as well: then there is no value.
    if (reply?.result.value === true) stopping.delete(id);
    else setTimeout(() => stop(id, attempt + 1), Math.min(2 ** attempt, PAUSE));
  });
}

/** A debugger holds the main thread at a breakpoint: nothing ends there, so let it go on. */
function resume() {
  for (const method of ['Debugger.enable', 'Debugger.resume', 'Debugger.disable']) session.post(method, () => {});
}

/** Python is gone: the main thread ends by itself, unless it is busy. */
socket.on('close', () => {
  session.disconnect(); // or Node would say that it waits for a debugger
  parentPort?.postMessage('end');
  setTimeout(() => process.kill(-pid, 'SIGKILL'), FAREWELL);
});
socket.on('error', () => {});
