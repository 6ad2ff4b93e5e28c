/** Before each attack from the inner realm: notes what is of another one. */

const found = [];
globalThis.verdict = () => (found.length ? 'breach: ' + found[0] : 'nothing found');
const isForeign = (x) => {
  if ((typeof x !== 'object' && typeof x !== 'function') || x === null) return false;
  let root = x;
  for (let next; (next = Reflect.getPrototypeOf(root)) !== null; ) root = next;
  return root !== Object.prototype && Object.hasOwn(root, 'hasOwnProperty');
};
const look = (...things) => {
  for (const x of things) {
    if (isForeign(x)) found.push('a foreign ' + typeof x);
    try {
      const kind = x.constructor.constructor('return typeof process')();
      if (typeof kind === 'string' && kind !== 'undefined') found.push('a realm with process');
    } catch {}
  }
  return things[0];
};
const thrown = (action) => { try { return look(action()); } catch (error) { return look(error); } };
// Calls an action with less and less of the stack left.
const deep = (action) => {
  let left = 60;
  (function dive() {
    try { dive(); } catch (error) { look(error); }
    if (left-- > 0) thrown(action);
  })();
};
const pause = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));
