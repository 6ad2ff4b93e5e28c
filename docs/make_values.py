"""Write docs/values.md from the shared test vectors: `make docs`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VECTORS = HERE.parent / "tests" / "vectors" / "values.json"
PAGE = HERE / "values.md"

HEAD = """# Values

<!-- Written by docs/make_values.py from tests/vectors/values.json: change those. -->

## The law

1. **Plain data converts.** None, truth, numbers, text, bytes, lists, dicts, sets, dates and a few
   types more are copied, and become what each language writes for them.
2. **Arrays are shared.** A NumPy array and its `NDArray` in JavaScript are the same memory, or are
   kept alike before and after each run: what one side writes the other side sees, in the same
   object and under every name it has.
3. **Everything else is a reference.** A function, class instance, iterator, promise or module
   stays where it is; the other side holds something that behaves as its own kind does. What comes
   home is the original object.
4. **Data that cannot cross is a `ShareError`** that names the path to the culprit, such as
   `$.data.rows[3]`. Nothing has been sent then, and nothing is kept.

5. **You can say otherwise**, in both languages: `bifrost.proxy(x)` passes plain data by reference,
   `bifrost.copy(x)` makes plain data of an object, `bifrost.transfer(array)` hands an array over.

**Round trips.** Data that crosses and comes back is equal to what it was; where it is not, the
table says so. An array or a reference that comes back is the same object (`is`, `===`), however
often it has crossed.

What this means in practice:

* A tuple becomes an Array, and comes back as a list. As a key of a Map an Array is a tuple again.
* A float without a fraction comes back as an int: JavaScript has one kind of number.
* Keys like `"0"` come first in JavaScript's objects, whatever their order was.
* A Date holds milliseconds and no zone. A Date that comes home unchanged brings the zone, the
  microseconds and the `fold` that it left with; a copied or changed one is in UTC.
* `bytes` are a `Buffer`, and come back as bytes; a `Uint8Array` is an ndarray.
* Shared references and cycles inside one message keep their identity. Two messages make two copies.
* Typed arrays made in JavaScript are copied into shared memory when they are sent: two of one
  `ArrayBuffer` are two arrays in Python. `bifrost.zeros(shape, dtype)` makes one that is shared
  from the start.
* An array in the arena (`bifrost.empty`, `zeros`, `asarray`, or one that came from JavaScript) is
  shared as it lies. Any other one is copied before a run and, where JavaScript changed it, after
  it; likewise around a call of a function in either language, if it is among what that is given or
  gives. Changes at other times, by timers or by a callback that has the array from elsewhere, may
  be lost. One that Python marked read-only is `readOnly` in JavaScript.
* In a regular expression `\\w`, `\\d` and `\\s` mean more beyond ASCII in Python than in
  JavaScript.
* Values nest up to 150 levels on the way to JavaScript (plain data a little further), 900 on the
  way back.

## The table

Left is what you have in Python, in the middle what it is in JavaScript (an expression that makes
it), right what comes back to Python if it differs. Each line is a test, in both languages.
Names such as `Point` are those of `tests/support/vectors.py`.
"""


def code(text: str) -> str:
    """Inline code that may hold bars and backticks."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def row(entry: dict[str, Any]) -> str:
    """One vector as a row; those that came from JavaScript alone have an empty first cell."""
    python, js = entry.get("python"), entry.get("js")
    if "lent" in entry:
        back = "the same object"
    elif "refused" in entry:
        back = "`ShareError`"
    elif "reference" in entry:
        back = f"`JSObject` ({entry['reference']})"
    elif python is None:
        back = code(entry["home"])
    else:
        back = code(entry["back"]) if "back" in entry else "the same"
    if python is not None and js is not None and "home" in entry and "back" not in entry:
        back += f"; made in JavaScript: {code(entry['home'])}"
    middle = code(js) if js else ("" if "refused" in entry else code(entry.get("check", "")) or "")
    cells = [code(python) if python else "", middle if middle != "``" else "", back]
    return "| " + " | ".join([*cells, entry.get("note", "")]) + " |"


def page() -> str:
    """The text of docs/values.md."""
    parts = [HEAD]
    for section in json.loads(VECTORS.read_text(encoding="utf-8"))["sections"]:
        parts.append(f"\n### {section['title']}\n")
        if section["text"]:
            parts.append(section["text"] + "\n")
        parts.append("| Python | JavaScript | back in Python | |\n| --- | --- | --- | --- |")
        parts += [row(entry) for entry in section["entries"]]
    return "\n".join(parts) + TAIL


TAIL = """

### Tables

Where `pyarrow` is installed in Python and `apache-arrow` in JavaScript, a pandas or polars
DataFrame or Series, or a pyarrow Table, is an Arrow `Table` in JavaScript: whole columns move, no
row is looped over. It comes back as what it was; a Table made in JavaScript is a pandas DataFrame
(without pandas: a pyarrow Table). Where one of the two libraries is missing, a table is a live
reference like any other object: `npm.install("apache-arrow")` and `pip install pyarrow` bring them.

### References

In Python a `JSObject` has its properties as attributes and items (a Map its entries as items, an
Array also slices), and its methods, iteration, `len`, `in`, `del`, `dir` with completion, `with`
and `async with` (what has `Symbol.dispose`, `Symbol.asyncDispose`, `close` or `end`). Two are
equal if they are the same object; each is true, as in JavaScript. Pickling one is an error.

A `JSFunction` is called (keyword arguments become a last argument, an object); a `JSClass` called
makes an instance, and `isinstance` tells one; `.new(...)` does the same for a function of the old
style. A `JSPromise` is awaited in a coroutine, or asked for its `.result(timeout)`. `to_py()`
copies plain data out of any of them. `node.require(name)` and `node.import_(name)` give modules.

In JavaScript a Python function is called and returns its value at once; an `async def` gives a
promise. As in JavaScript, arguments that a function does not take are dropped: `names.map(len)`
works. `bifrost.kwargs({name: value})` as the last argument passes keyword arguments. Objects have
their attributes, items and methods (`length` is `len`, where there is no such attribute); their own
keys are their public fields, so `{...object}` and `JSON.stringify` take those; `x instanceof Class`
asks Python. What Python can iterate over, `for ... of` and `for await` can.
`bifrost.python('module.name')` imports a module. While JavaScript waits for a Python function its
event loop stands still: a promise cannot settle then, and waiting for one is an error. Between two
calls of Python's it goes on: what is to hear an event has to be there in the call that causes it.

Callbacks run in the thread that waits for the JavaScript that calls them. With no such thread
(timers, servers, `await`) they run one after the other in a thread of Bifrost's, and coroutines on
an event loop of its own; or all of them on `node.loop`, an asyncio loop that you name, while it
runs. What a callback raises goes to the JavaScript that called it; where nobody catches it, it is
reported on standard error, and Node.js goes on. `with node.abort_signal() as signal:` gives an
AbortSignal that is aborted if the block is left by an exception, asyncio's cancellation included.

A reference lives as long as somebody on either side holds it. No collector sees both sides: a cycle
through both, such as a Python callback that holds the emitter it listens to, lives until
one of the two lets go (`emitter.off`), or Node.js ends.

### Iteration and streams

In Python `for` and `async for` go over whatever JavaScript can iterate: arrays, Map and Set,
generators, Node's readable streams, web streams. A plain `for` waits for what is asynchronous.
Each item is asked for when it is wanted, so a stream is never read ahead of its reader. Leaving the
loop early ends the iterator, which closes a stream. `send` and `throw` reach a generator.

In JavaScript a Python generator is iterated in the same way, and closed when its loop is left; an
async generator by `for await`. Both are sources for `stream.Readable.from` and `pipeline`,
and an async generator function that takes an async iterable is a step of a `pipeline`.
`bifrost.stream(x)` is a Node stream over a file object that Python has open (readable, writable or
both; it stays open) or over anything that can be iterated. (Iterated itself, a file gives its
lines.) To write to a stream of JavaScript's and wait for it, hand the source over:
`pipeline(generator, stream)`, awaited or with `.result()`.

JavaScript waits where Python would: `bifrost.with(manager, (value) => ...)` runs a function, which
may be asynchronous, within a context manager (`async with`, where that is what it has); `using`
leaves a manager that has been entered. A Python object is no thenable: its `then`, if it
has one, is not to be seen, so that `await` gives the object.

Errors keep their identity: a Python exception that passes through JavaScript is the same exception
when it is back, and a JavaScript error the same error. There is one JavaScript stack: while a
callback of one thread blocks, calls of other threads that were begun before it cannot return, so it
must not wait for those threads. Plain attributes of an exception are properties of the Error.

Stopping a call (`timeout=`, Ctrl-C) ends the code it runs, and no other. Where that is a promise
callback, V8 also forgets the promise callbacks that were due at that moment: an `async` function of
another call may then never go on.

### By reference, by value, for good

`proxy(x)` of a list is an Array in JavaScript, with all that Arrays do (and Python's methods whose
names are not taken: `append`, `extend`); of a dict an object, whose properties are the items with
text or whole numbers as keys; of anything else an object as under *References*. The lists and
dicts inside are live as well. What JavaScript puts into one is a copy, as always. In Python the
`proxy` of an Array or object is a `JSObject`, and so is what is inside it. `delete` in an Array,
and assignment beyond its end, leave `undefined` in the list.

`copy(x)` is plain data: a class instance's public fields (in JavaScript: its own enumerable
properties) as a dict or object, functions among them left out; an iterator's items as a list or
Array; likewise for what is inside, cycles included. Data stays what it is. It works on what the
other side holds, too: `copy(js_object)` is `js_object.to_py()`. What has neither fields nor
items (a promise, a lock) is a `ShareError`.

`transfer(array)` returns the array's contents in shared memory that crosses as it lies, to be kept
by the receiver alone. The array itself is detached in JavaScript; in Python, where that cannot be,
it becomes read-only. An array that JavaScript has in shared memory already is returned as it is.

### Types of your own

`node.register_custom_serializer(function, type)` says what to send for a type, and
`node.register_custom_deserializer(function, type)` how to make one of it again; with the name of a
JavaScript class, the latter brings its instances to Python by value.

### An NDArray in JavaScript

`typedArray` (its memory in C order), `shape`, `strides`, `dtype`, `length`, `ndim`, `size`,
`get(...index)`, `set(value, ...index)`, iteration over the first axis, `toArray()`, `readOnly`.
Items are numbers; BigInts for `int64`, `uint64`, `datetime64` and `timedelta64`; `Complex`; text;
Buffers for byte strings; plain objects for structured items. `bifrost.zeros(shape, dtype)` makes a
shared one, `bifrost.NDArray.zeros`, `.from(values, dtype)` and `new bifrost.NDArray(typedArray,
shape)` make others.
"""


def main() -> None:
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text else 1)
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
