/** The worker thread that listens to the control pipe while the main thread may be busy. */

import inspector from 'node:inspector';
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { control, name, pid } = workerData;
/** How long the main thread may take to end once Python is gone, in milliseconds. */
const FAREWELL = 700;

const session = new inspector.Session();
session.connectToMainThread();

const socket = new net.Socket({ fd: control, readable: true, writable: false });
let held = Buffer.alloc(0);
socket.on('data', (data) => {
  held = Buffer.concat([held, data]);
  for (; held.length >= 4; held = held.subarray(4)) {
    session.post('Runtime.evaluate', { expression: `${name}(${held.readUInt32LE()})`, silent: true });
  }
});

/** Python is gone: the main thread ends by itself, unless it is busy. */
socket.on('close', () => {
  session.disconnect(); // or Node would say that it waits for a debugger
  parentPort?.postMessage('end');
  setTimeout(() => process.kill(-pid, 'SIGKILL'), FAREWELL);
});
socket.on('error', () => {});
