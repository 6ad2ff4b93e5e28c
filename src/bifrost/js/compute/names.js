/** Modules that Bifrost answers for DCP's client. */

export const CLIENT = 'dcp-client';

/** There once the client is initialised. */
export const MODULES = [
  'compute', 'dcp-cli', 'cli', 'wallet', 'job', 'range-object', 'stats-ranges', 'dcp-events', 'dcp-config', 'publish',
  'compute-groups',
].map((name) => `dcp/${name}`);
