// Whether two values are alike in everything that crosses; NDArrays by dtype, shape and items.
'use strict';

const { isDeepStrictEqual } = require('node:util');

const isArray = (value) => value?.constructor?.name === 'NDArray';
const plain = (value) => ({ dtype: value.dtype, shape: [...value.shape], items: value.toArray() });

/** Of regular expressions only what they match counts, not where the search stands. */
module.exports = function same(a, b) {
  if (isArray(a) || isArray(b)) return isArray(a) && isArray(b) && isDeepStrictEqual(plain(a), plain(b));
  return isDeepStrictEqual(a, b);
};
