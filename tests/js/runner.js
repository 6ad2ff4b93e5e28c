/** An engine for tests of the client alone: it works in this process, one slice after the other. */

import { pack, unpack } from '../../src/bifrost/js/protocol/parcels.js';

export class Runner {
  /** Parcels that were pulled before the first result. */
  window = 2;
  /** Every specification that was given. */
  specs = [];
  published = [];

  start(spec, pull, notify) {
    this.specs.push(spec);
    const work = (0, eval)(`(${spec.source}\n)`);
    const args = unpack(spec.arguments);
    const waiting = [];
    let [distributed, computed, total, isCancelled, isRunning] = [0, 0, spec.total, null, false];
    const status = (state) => notify([['status', total, distributed, computed, state]]);
    const fill = async () => {
      if (waiting.length >= this.window || fill.isDone) return;
      const parcels = await pull(this.window - waiting.length);
      if (parcels.length < this.window - waiting.length) fill.isDone = true;
      for (const parcel of parcels) {
        waiting.push([distributed++, parcel]);
        status('running');
      }
    };
    const run = async () => {
      isRunning = true;
      try {
        for (;;) {
          await fill();
          if (isCancelled !== null) {
            notify([['cancel', 'ECANCELLED', isCancelled]]);
            return;
          }
          const [index, parcel] = waiting.shift() ?? [];
          if (parcel === undefined) break;
          try {
            const result = await work(unpack(parcel), ...args);
            computed++;
            notify([
              ['result', index, 1.5, Buffer.from(pack(result))],
              ['status', total, distributed, computed, 'running'],
            ]);
          } catch ({ name, message, stack }) {
            notify([['error', index, { name, message, stack, code: 'EUNCAUGHT' }]]);
            notify([['cancel', 'ETOOMANYERRORS', `slice ${index} failed`]]);
            return;
          }
        }
        total = distributed;
        notify([['complete']]);
      } catch (error) {
        notify([['cancel', 'EINPUT', error.message]]);
      } finally {
        isRunning = false;
      }
    };
    setImmediate(() => {
      notify([['accepted']]);
      status('running');
      void run();
    });
    return {
      cancel: (reason) => {
        isCancelled ??= reason;
      },
      resume: () => {
        isCancelled = null;
        if (!isRunning) setImmediate(run);
      },
      close: () => {},
    };
  }

  publish(name, version, files) {
    this.published.push([name, version, files]);
  }
}
