/** The formulas of DCP's distributions, the same as in Python's `ranges.py`. */

import { BigInt, Math, Number, TypeError } from '../protocol/globals.js';

const WORD = (1n << 64n) - 1n;

/** @typedef {{index: number, length: number, seed: bigint | number}} Place */

/** @typedef {{of: (place: Place, ...params: number[]) => number, defaults: number[], needed: number}} Curve */

/**
 * A random number in [0, 1) of a seed and an index: SplitMix64, its 53 highest bits.
 * @param {bigint | number} seed
 * @param {number} index
 */
export function uniform(seed, index) {
  let state = (BigInt(seed) + BigInt(index + 1) * 0x9e3779b97f4a7c15n) & WORD;
  state = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & WORD;
  state = ((state ^ (state >> 27n)) * 0x94d049bb133111ebn) & WORD;
  return Number((state ^ (state >> 31n)) >> 11n) / 2 ** 53;
}

export const newSeed = () => Math.floor(Math.random() * 2 ** 53);

/** @param {any} seed @returns {number | bigint} */
export function seedOf(seed) {
  if (typeof seed === 'bigint' || Number.isSafeInteger(seed)) return seed;
  throw new TypeError('a seed is an integer');
}

/** The logarithm of n!, for all n below, as a sum. @param {number} n */
function logFactorial(n) {
  let sum = 0;
  for (let i = 2; i <= n; i++) sum += Math.log(i);
  return sum;
}

/** @type {Curve['of']} */
const random = ({ seed, index }, low, high) => uniform(seed, index) * (high - low) + low;

/** @type {Record<string, Curve>} */
export const CURVES = {
  random: { of: random, defaults: [], needed: 2 },
  randomInt: { of: (place, low, high) => Math.floor(random(place, low, high)), defaults: [], needed: 2 },
  identity: { of: ({ index }) => index, defaults: [], needed: 0 },
  poisson: {
    of: ({ index }, mean) =>
      mean < 0 ? NaN : Math.exp(index * Math.log(mean) - mean - logFactorial(index)),
    defaults: [1],
    needed: 0,
  },
  // The deviation is a factor in DCP, and no divisor.
  normal: {
    of: ({ index }, mean, deviation) => Math.exp((-((index - mean) ** 2) / 2) * deviation ** 2),
    defaults: [0, 1],
    needed: 0,
  },
  binomial: {
    of: ({ index, length }, p) => {
      const ways = logFactorial(length) - logFactorial(index) - logFactorial(length - index);
      return Math.exp(ways + index * Math.log(p) + (length - index) * Math.log(1 - p));
    },
    defaults: [0.5],
    needed: 0,
  },
  normalRNG: {
    of: ({ seed, index }, mean, deviation) => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform(seed, 2 * index)));
      return radius * Math.cos(2 * Math.PI * uniform(seed, 2 * index + 1)) * deviation + mean;
    },
    defaults: [0, 1],
    needed: 0,
  },
};
