/**
 * `dcp/compute-groups`: which workers may do a job. Here all workers are the user's own and work for
 * every job, whatever `job.computeGroups` has: groups are names that jobs are listed by.
 */

import { randomUUID } from 'node:crypto';
import { Array, Error, Map, Object, TypeError } from '../protocol/globals.js';
import { kindOf } from './inputs.js';

/** What DCP charges for a group. Nothing is paid here. */
const FEES = ['commissionRate', 'deployFee', 'deployAccess', 'addJobFee', 'maxTotalPayment', 'maxConcurrentEscrow'];

/**
 * A group is named by one of these; what else a descriptor has says who may join, which is all here.
 * @typedef {{joinKey?: string, id?: string}} Descriptor
 * @typedef {{id: string, joinKey: string | undefined, name: string | undefined, description: string | undefined}} Group
 */

/** @param {import('./jobs.js').Jobs} jobs */
export function createGroups(jobs) {
  /** @type {Map<string, Group>} */
  const groups = new Map();

  /** @param {Descriptor} descriptor */
  function find(descriptor) {
    const { id, joinKey } = Object(descriptor);
    return Array.from(groups.values()).find((one) => (joinKey === undefined ? one.id === id : one.joinKey === joinKey));
  }

  /** @param {any} descriptor @returns {Group} */
  function get(descriptor) {
    const key = keyOf(descriptor);
    const group = find(descriptor);
    if (group) return group;
    throw new Error(`there is no compute group ${key}: createGroup makes one. No job needs one: here all workers work for it`);
  }

  /** @param {Group} group */
  const jobsOf = (group) => jobs.executed.filter((job) => groupsOf(job).some((one) => find(one) === group));

  /** @param {import('./job.js').Job} job @param {Group} group */
  const remove = (job, group) => void (job.computeGroups = groupsOf(job).filter((one) => find(one) !== group));

  return {
    /**
     * @param {Descriptor} descriptor
     * @param {string} [name]
     * @param {string} [description]
     * @param {Record<string, any>} [properties]
     */
    async createGroup(descriptor, name, description, properties = {}) {
      const key = keyOf(descriptor);
      const { id = randomUUID(), joinKey } = descriptor;
      if (find(descriptor) || groups.has(id)) throw new Error(`there is a compute group ${groups.has(id) ? id : key}`);
      checkProperties(properties);
      groups.set(id, { id, joinKey, name, description });
      return done(id);
    },

    /** @param {Descriptor} descriptor @param {Record<string, any>} changes `name`, `description` */
    async changeGroup(descriptor, changes) {
      const group = get(descriptor);
      const { name = group.name, description = group.description, ...properties } = changes;
      checkProperties(properties);
      Object.assign(group, { name, description });
      return done(group.id);
    },

    /** @param {Descriptor} descriptor */
    async deleteGroup(descriptor) {
      const { id } = get(descriptor);
      groups.delete(id);
      return done(id);
    },

    /** @param {any} job or its id @param {Descriptor[]} descriptors */
    async addJobToGroups(job, descriptors) {
      const found = Array.from(descriptors, get);
      const one = jobs.find(job);
      one.computeGroups = [...groupsOf(one), ...descriptors];
      return done(found.map((group) => group.id));
    },

    /** Ids of the jobs that were executed and are in use. @param {Descriptor} descriptor */
    async listJobs(descriptor) {
      return done(jobsOf(get(descriptor)).map((job) => job.id));
    },

    /** @param {any} job or its id @param {Descriptor} descriptor */
    async removeJob(job, descriptor) {
      const group = get(descriptor);
      remove(jobs.find(job), group);
      return done(group.id);
    },

    /** @param {Descriptor} descriptor */
    async removeAllJobs(descriptor) {
      const group = get(descriptor);
      for (const job of jobsOf(group)) remove(job, group);
      return done(group.id);
    },
  };
}

/** What a user has set, which may be null, or one group. @param {import('./job.js').Job} job */
const groupsOf = ({ computeGroups }) => [computeGroups ?? []].flat();

/** @param {any} payload */
const done = (payload) => ({ success: true, payload });

/** @param {any} descriptor @returns {string} */
function keyOf(descriptor) {
  const key = descriptor?.joinKey ?? descriptor?.id;
  if (typeof key === 'string') return key;
  throw new TypeError(`a compute group is named by {joinKey} or {id}, not by ${kindOf(descriptor)}`);
}

/** @param {Record<string, any>} properties */
function checkProperties(properties) {
  const unknown = Object.keys(properties).find((name) => !FEES.includes(name));
  if (unknown === undefined) return;
  throw new Error(`${unknown} of a compute group is not kept here; job.policy = { concurrency: 2 } limits a job`);
}
