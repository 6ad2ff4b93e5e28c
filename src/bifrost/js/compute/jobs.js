/** The jobs of a client, for what finds them by their ids. */

import { Error, FinalizationRegistry, Set, String, WeakRef } from '../protocol/globals.js';
import { Job } from './job.js';

/** Those that were made and are still in use. */
export class Jobs {
  /** @type {Set<WeakRef<Job>>} */
  #made = new Set();
  #registry = new FinalizationRegistry((/** @type {WeakRef<Job>} */ one) => this.#made.delete(one));

  /** @param {Job} job */
  add(job) {
    const one = new WeakRef(job);
    this.#made.add(one);
    this.#registry.register(job, one);
  }

  /** Those that have an id. @returns {Job[]} */
  get executed() {
    return [...this.#made].flatMap((one) => one.deref() ?? []).filter((job) => job.id !== null);
  }

  /** @param {any} id a job, or its id @returns {Job} */
  find(id) {
    if (id instanceof Job) return id;
    const job = this.executed.find((one) => one.id === id);
    if (job) return job;
    throw new Error(`no job ${String(id)} was executed in this Node.js, or nobody has it any more`);
  }
}
