/** An engine for tests of the client alone: it works in this process, one slice after the other. */

import { pack, unpack } from '../../src/bifrost/js/protocol/parcels.js';

export class Runner {
  /** Parcels that were pulled before the first result. */
  window = 2;
  /** Every specification that was given. */
  specs = [];
  published = [];

  /** What is to be done when the code that runs is stopped. */
  atStop(action) {
    this.stopped.add(action);
    return () => this.stopped.delete(action);
  }

  stopped = new Set();

  start(spec, notify) {
    this.specs.push(spec);
    const work = (0, eval)(`(${spec.source}\n)`);
    const args = unpack(spec.arguments);
    const waiting = [];
    let [distributed, computed, total, cancelled, exhausted] = [0, 0, spec.total, null, false];
    let fed = () => {};
    const status = () => notify([['status', total, distributed, computed, cancelled ? 'cancelled' : 'running']]);
    const pull = async () => {
      if (waiting.length >= this.window || exhausted) return;
      await new Promise((done) => {
        fed = done;
        notify([['pull', this.window - waiting.length]]);
      });
    };
    const run = async () => {
      for (;;) {
        await pull();
        if (cancelled) return notify([['cancel', ...cancelled]]);
        const [index, parcel] = waiting.shift() ?? [];
        if (parcel === undefined && exhausted) return notify([['complete']]);
        if (parcel === undefined) continue;
        try {
          const result = await work(unpack(parcel), ...args);
          computed++;
          notify([['result', index, 1.5, Buffer.from(pack(result))]]);
          status();
        } catch ({ name, message, stack }) {
          notify([['error', index, { name, message, stack, code: 'EUNCAUGHT' }]]);
          return notify([['cancel', 'ETOOMANYERRORS', `slice ${index} failed`]]);
        }
        await new Promise(setImmediate); // for what listeners do
      }
    };
    return {
      begin: () => {
        cancelled = null;
        notify([['accepted']]);
        status();
        void run();
      },
      feed: (start, parcels, isLast) => {
        exhausted = isLast;
        for (const parcel of parcels.slice(distributed - start)) {
          waiting.push([distributed++, parcel]);
          status();
        }
        if (isLast) total = distributed;
        fed();
      },
      cancel: (reason, code = 'ECANCELLED') => {
        cancelled ??= [code, reason];
        fed();
      },
    };
  }

  publish(name, version, files) {
    this.published.push([name, version, files]);
  }
}
