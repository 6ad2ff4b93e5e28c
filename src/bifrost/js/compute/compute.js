/** `dcp/compute`: makes jobs, and finds them again. */

import { Array, Number, Object, String, Symbol, TypeError } from '../protocol/globals.js';
import { idOf } from '../runtime/python.js';
import { Inputs, kindOf } from './inputs.js';
import { Job } from './job.js';
import { RangeObject } from './ranges.js';
import { RemoteDataPattern, RemoteDataSet } from './remote.js';
import { sourceOf } from './work.js';

/**
 * @param {import('./job.js').Engine & {inputs: (set: any) => any}} engine `inputs` makes an input set of Python's
 * @param {import('./jobs.js').Jobs} jobs gets those that are made
 */
export function createCompute(engine, jobs) {
  /** @param {any} set @param {any} work @param {any} args */
  function make(set, work, args = []) {
    const isList = Array.isArray(args) || (typeof args === 'object' && args !== null && typeof args.length === 'number');
    if (!isList) throw new TypeError(`the arguments of a work function come in an Array, not as ${kindOf(args)}`);
    if ([args, ...Array.from(args)].some((one) => one instanceof RemoteDataPattern)) {
      throw new TypeError('a RemoteDataPattern cannot be an argument of a work function: give a RemoteDataSet of its addresses');
    }
    const job = new Job(engine, new Inputs(ofPython(set)), sourceOf(work), args);
    jobs.add(job);
    return job;
  }

  /** What Python has yields the same inputs as it does there: a DataFrame its rows. @param {any} set */
  const ofPython = (set) => (idOf(set) === undefined || set[Symbol.asyncIterator] ? set : engine.inputs(set));

  const compute = {
    /**
     * A job: a work function for each of a set of inputs.
     *
     * `for(set, work[, args])`, or `for(start, end[, step], work[, args])` for the numbers from
     * `start` to `end`, which is included.
     * @param {...any} given
     */
    for(...given) {
      if (typeof given[0] !== 'number') return make(given[0], given[1], given[2]);
      const numbers = given.findIndex((one) => typeof one !== 'number');
      if (numbers !== 2 && numbers !== 3) {
        throw new TypeError('compute.for takes two or three numbers, start, end and step; or a set of inputs');
      }
      const [start, end, step] = given.slice(0, numbers);
      return make(new RangeObject(start, end, step), given[numbers], given[numbers + 1]);
    },

    /** A job that calls a function `n` times, with 0, 1, 2, ...: `do([n, ]work[, args])`. @param {...any} given */
    do(...given) {
      const n = typeof given[0] === 'number' ? given.shift() : 1;
      if (!(Number.isInteger(n) && n > 0)) throw new TypeError(`compute.do works a number of times, not ${String(n)}`);
      return make(new RangeObject(0, n - 1), given[0], given[1]);
    },

    /** What DCP would pay; here a word without consequences. Legal uncalled, too. */
    marketValue: (factor = 1) => ({ marketValue: factor }),
    marketRate: (factor = 1) => ({ marketValue: factor }),

    /** @param {any} id @param {any} [_keystore] @param {string} [reason] */
    cancel: async (id, _keystore, reason) => jobs.find(id).cancel(reason),

    /** @param {any} id @param {any} [_keystore] */
    resume: async (id, _keystore) => jobs.find(id).resume(),

    /**
     * What has become of a job; of all that were executed if none is given.
     * @param {any} [job] a job, or its id
     * @param {any} [_keystore]
     */
    async status(job, _keystore) {
      const isOne = job instanceof Job || typeof job === 'string';
      return (isOne ? [jobs.find(job)] : jobs.executed).map((one) => ({ address: one.id, name: one.public.name, ...one.status }));
    },

    /** @param {any} id @param {any} [_keystore] */
    async getJobInfo(id, _keystore) {
      const job = jobs.find(id);
      const { readyState, requireModules, collateResults } = job;
      return { address: job.id, public: { ...job.public }, status: job.status, readyState, requireModules, collateResults };
    },

    /** Which slices have been computed, where results are kept. @param {any} id @param {any} [_keystore] */
    async getSliceInfo(id, _keystore) {
      const { results, status } = jobs.find(id);
      return Array.from({ length: status.total ?? 0 }, (_, sliceNumber) => ({
        sliceNumber,
        status: results.isAvailable(sliceNumber) ? 'finished' : 'scheduled',
      }));
    },

    RemoteDataSet,
    RemoteDataPattern,
  };
  // Both `require('dcp/compute')` and `const { compute } = require('dcp/compute')` are written.
  return Object.assign(compute, { compute });
}
