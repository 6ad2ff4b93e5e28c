/** `require('dcp-client')`, answered by Bifrost's own engine, and the modules that it makes known. */

import path from 'node:path';
import { URL } from 'node:url';
import { Error, Object, String } from '../protocol/globals.js';
import cli from './cli.js';
import { createCompute } from './compute.js';
import { CURVES } from './distributions.js';
import { EventEmitter } from './emitter.js';
import { createGroups } from './groups.js';
import { Job } from './job.js';
import { Jobs } from './jobs.js';
import { CLIENT } from './names.js';
import { DistributionRange, MultiRangeObject, RangeObject, SparseRangeObject, SuperRangeObject, rehydrateRange } from './ranges.js';
import { ResultHandle } from './results.js';
import * as wallet from './wallet.js';

/**
 * What there is to be known of Python.
 * @typedef {object} Host
 * @property {import('./job.js').Engine & {inputs: (set: any) => any, publish: (name: string, version: string | undefined, files: Record<string, string>) => any}} engine
 * @property {string} version Bifrost's
 */

/** @param {() => Host} host asked once, when the client is initialised */
export function createClient(host) {
  /** @type {Record<string, any> | undefined} */
  let modules;

  /** @param {any[]} options */
  function initialise(options) {
    refuseScheduler(options);
    modules ??= createModules(host());
    return bundle(modules);
  }

  const client = {
    /** Whose engine this is: with DCP_SCHEDULER_LOCATION set it would be npm's dcp-client. */
    engine: 'bifrost',
    get version() {
      return host().version;
    },
    /** @param {...any} options none is needed */
    init: async (...options) => initialise(options),
    /** @param {...any} options */
    initSync: (...options) => initialise(options),
    /** @param {(dcp: any) => any} done @param {any} [failed] called with an error; may be left out @param {...any} options */
    initcb(done, failed, ...options) {
      const isHandler = typeof failed === 'function';
      const given = isHandler || failed === undefined ? options : [failed, ...options];
      client.init(...given).then(done, isHandler ? failed : undefined);
    },
  };

  return {
    /** The client, or a module of it. @param {string} name such as dcp/compute */
    get(name) {
      if (name === CLIENT) return client;
      if (!modules) throw new Error(`${name} is there after require('dcp-client').init() or initSync()`);
      return modules[name];
    },
  };
}

/** @param {Host} host @returns {Record<string, any>} */
function createModules({ engine, version }) {
  const ranges = { SuperRangeObject, RangeObject, MultiRangeObject, SparseRangeObject, DistributionRange, rehydrateRange };
  const jobs = new Jobs();
  const compute = createCompute(engine, jobs);
  return {
    'dcp/compute': compute,
    'dcp/dcp-cli': cli,
    'dcp/cli': cli,
    'dcp/wallet': { ...wallet },
    'dcp/job': { Job, ResultHandle },
    'dcp/range-object': ranges,
    'dcp/stats-ranges': { set: distributions() },
    'dcp/dcp-events': { EventEmitter },
    'dcp/dcp-config': Object.freeze({ engine: 'bifrost', version, scheduler: Object.freeze({ location: null }) }),
    'dcp/publish': { publish: publisher(engine) },
    'dcp/compute-groups': createGroups(jobs),
  };
}

/** `set.random(length, low, high[, seed])` and so on. */
function distributions() {
  return Object.fromEntries(
    Object.entries(CURVES).map(([name, { needed, defaults }]) => {
      const count = needed + defaults.length;
      const make = (/** @type {number} */ length, /** @type {any[]} */ ...given) =>
        new DistributionRange(length, name, given.slice(0, count), given[count]);
      return [name, make];
    }),
  );
}

/** @param {Host['engine']} engine */
function publisher(engine) {
  /**
   * Publish a version of a package of modules.
   * @param {{name: string, version?: string, files: Record<string, string>}} description `files`: local -> in the package
   * @param {any} [_keystore]
   */
  return async ({ name, version, files }, _keystore) => {
    // Files are named as seen from here, wherever Python is.
    const places = Object.entries(files).map(([local, inside]) => [path.resolve(local), inside]);
    return engine.publish(name, version, Object.fromEntries(places));
  };
}

/** What `init` gives: the modules by their last names. @param {Record<string, any>} modules */
const bundle = (modules) =>
  Object.fromEntries(Object.entries(modules).map(([name, module]) => [name.slice('dcp/'.length), module]));

/** A scheduler that is named must not be passed over in silence. @param {any[]} options */
function refuseScheduler(options) {
  const given = options.find((one) => one instanceof URL || typeof one === 'string' || one?.scheduler);
  if (given === undefined) return;
  const where = given?.scheduler?.location ?? given?.scheduler ?? given;
  throw new Error(
    `this dcp-client is the engine of Bifrost, which has no scheduler (${String(where)}): to use that, set the environment` +
      " variable DCP_SCHEDULER_LOCATION before Node.js starts, and `npm.install('dcp-client')`",
  );
}
