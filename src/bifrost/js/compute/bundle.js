/**
 * Bundles one npm package, and what it needs, into one CommonJS source for a sandbox.
 *
 * `node bundle.js ESBUILD REQUEST HOME`: esbuild's folder, what is required (`lodash/fp`), and the
 * folder whose `node_modules` has it. Writes `{source, problems}` as JSON.
 */

import { builtinModules, createRequire } from 'node:module';
import process from 'node:process';

const [place, request, home] = process.argv.slice(2);
const esbuild = createRequire(import.meta.url)(place);

/**
 * @typedef {{text: string, location: {file: string} | null}} Message
 * @typedef {{text: string, file: string, builtin: string | null}} Problem
 */

/** @param {string[]} conditions of package.json's `exports`, beyond the usual ones */
async function build(conditions) {
  try {
    const { outputFiles } = await esbuild.build({
      absWorkingDir: home,
      bundle: true,
      charset: 'utf8',
      conditions,
      define: { global: 'globalThis', 'process.env.NODE_ENV': '"production"' },
      format: 'cjs',
      legalComments: 'eof',
      logLevel: 'silent',
      platform: 'browser',
      stdin: { contents: `module.exports = require(${JSON.stringify(request)});`, resolveDir: home },
      target: 'es2022',
      write: false,
    });
    return { source: outputFiles[0].text, problems: [] };
  } catch (error) {
    const { errors } = /** @type {{errors?: Message[]}} */ (error);
    if (errors === undefined) throw error;
    return { source: '', problems: errors.map(problem) };
  }
}

/** @param {Message} message @returns {Problem} */
function problem({ text, location }) {
  const name = /^Could not resolve "(?:node:)?([^"]+)"/.exec(text)?.[1];
  const builtin = name !== undefined && builtinModules.includes(name) ? name : null;
  return { text, file: location?.file ?? request, builtin };
}

let result = await build([]);
// A package of ES modules only exports nothing to `require`, but esbuild can require it.
if (result.problems.some(({ builtin }) => builtin === null)) {
  const again = await build(['import']);
  if (again.problems.length === 0) result = again;
}
process.stdout.write(JSON.stringify(result));
