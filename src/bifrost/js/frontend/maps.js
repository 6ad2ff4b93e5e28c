/**
 * Source maps: stacks name the places in what was written, not in what a compiler made of it. Node.js
 * honours those of the modules that it loads; those of scripts are ours.
 */

import { readFileSync } from 'node:fs';
import * as modules from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Buffer, JSON, Map, Number, process } from '../protocol/globals.js';

const ANNOTATION = /^\/\/[#@] sourceMappingURL=(\S+)\s*$/gm;
const PLACE = /([^\s()]+):(\d+):(\d+)(?=\)?$)/;
const REMEMBERED = 200;

/** Maps by the names of their scripts; text until it is needed. @type {Map<string, {url: string, folder: string, map?: any}>} */
const known = new Map();

/** Have Node.js honour the source maps of modules; packages seldom bring the sources. */
export function honourMaps() {
  const { setSourceMapsSupport } = /** @type {any} */ (modules);
  if (setSourceMapsSupport) setSourceMapsSupport(true, { nodeModules: false, generatedCode: false });
  else process.setSourceMapsEnabled(true);
}

/**
 * A script is about to run: note its map, if it names one.
 * @param {string} source
 * @param {string} name under which stacks know it
 * @param {string} filename a path, or not
 */
export function noteMap(source, name, filename) {
  known.delete(name);
  if (!source.includes('sourceMappingURL=')) return;
  const url = [...source.matchAll(ANNOTATION)].at(-1)?.[1];
  if (!url) return;
  known.set(name, { url, folder: path.isAbsolute(filename) ? path.dirname(filename) : process.cwd() });
  if (known.size > REMEMBERED) known.delete(/** @type {string} */ (known.keys().next().value));
}

/** A line of a stack with the place in the source. @param {string} line */
export function relocate(line) {
  if (!known.size) return line;
  return line.replace(PLACE, (text, name, at, column) => {
    const script = known.get(name);
    if (!script) return text;
    script.map ??= readMap(script.url, script.folder);
    const { originalSource, originalLine, originalColumn } = script.map.findEntry(Number(at) - 1, Number(column) - 1);
    if (!originalSource) return text;
    const file = originalSource.startsWith('file:') ? fileURLToPath(originalSource) : path.resolve(script.folder, originalSource);
    return `${file}:${originalLine + 1}:${originalColumn + 1}`;
  });
}

/** @param {string} url @param {string} folder */
function readMap(url, folder) {
  const nothing = { findEntry: () => ({}) };
  try {
    const [, encoding, data] = /^data:[^,]*?(;base64)?,(.*)$/s.exec(url) ?? [];
    const text =
      data === undefined
        ? readFileSync(path.resolve(folder, decodeURIComponent(url)), 'utf8')
        : encoding
          ? Buffer.from(data, 'base64').toString()
          : decodeURIComponent(data);
    return new modules.SourceMap(JSON.parse(text));
  } catch {
    return nothing; // it is only a help: without it the place in the script is shown
  }
}
