"""Measures one peer at one thing, inside the virtual environment that common.py makes.

Called as `peers.py PEER KIND`; each line that it prints is [what, seconds, note] in JSON.
A peer is given what suits it best: the call its documentation shows first.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from samples import JsonPipe, node_on_path, samples

Answer = tuple[str, float, str]

FLOATS, RECORDS, STRINGS = 1_000_000, 20_000, 100_000
ARRAY_ITEMS = 8_000_000


def median(action: Callable[[], Any], rounds: int = 1000, budget: float = 1.0) -> float:
    """The median time; as in common.py, which needs Bifrost."""
    times = []
    end = time.perf_counter() + budget
    for number in range(-1, rounds):
        began = time.perf_counter()
        action()
        took = time.perf_counter() - began
        if number >= 0:
            times.append(took)
        if times and time.perf_counter() > end:
            break
    return statistics.median(times)


class Peer:
    """How a peer is spoken to.

    Attributes:
        eval: runs JavaScript and returns its value.
        call: makes a Python function of a JavaScript one.
        plain: makes plain Python data of what `call` returned.
    """

    eval: Callable[[str], Any]
    call: Callable[[str], Callable[..., Any]]
    plain: Callable[[Any], Any]


def jspybridge() -> Peer:
    from javascript import globalThis

    peer = Peer()
    peer.eval = globalThis.eval
    peer.call = globalThis.eval
    peer.plain = lambda value: value.valueOf()
    return peer


def pythonmonkey() -> Peer:
    import pythonmonkey

    peer = Peer()
    peer.eval = pythonmonkey.eval
    peer.call = pythonmonkey.eval

    def plain(value: list[Any]) -> list[Any]:
        # Its lists and dicts are proxies: only reading them brings the data.
        return [dict(item) if isinstance(item, dict) else item for item in value]

    peer.plain = plain
    return peer


def mini_racer() -> Peer:
    from py_mini_racer import MiniRacer

    context = MiniRacer()
    names = iter(f"f{number}" for number in range(1000))

    def call(script: str) -> Callable[..., Any]:
        name = next(names)
        context.eval(f"var {name} = {script}; 0")
        return lambda *arguments: context.call(name, *arguments)

    peer = Peer()
    peer.eval = context.eval
    peer.call = call  # it sends JSON there and back
    peer.plain = lambda value: value
    return peer


def calls(peer: Peer, _: str) -> Iterator[Answer]:
    yield "eval of 1 + 1", median(lambda: peer.eval("1 + 1")), ""
    function = peer.call("(count, name, items) => items.length + count")
    items = [1, 2, 3]
    yield "a function of 3 small values", median(lambda: function(3, "text", items)), ""


def objects(peer: Peer, _: str) -> Iterator[Answer]:
    if sys.argv[1] != "mini-racer":  # it has no live objects
        point = peer.eval("new (class Point { constructor() { this.x = 1; } })()")
        yield "point.x", median(lambda: point.x), ""
    add = peer.call("(a, b) => a + b")
    yield "add(1, 2)", median(lambda: add(1, 2)), ""
    if sys.argv[1] == "mini-racer":
        return
    loop = peer.call("(f, n) => { for (let i = 0; i < n; i++) f(i); }")
    if sys.argv[1] == "JSPyBridge":  # there a Python function returns a promise
        loop = peer.call("async (f, n) => { for (let i = 0; i < n; i++) await f(i); }")
    seconds = median(lambda: loop(lambda i: None, 500), 9) / 500
    yield "a Python function, from JavaScript", seconds, ""


def values(peer: Peer, kind: str) -> Iterator[Answer]:
    which, _, direction = kind.partition("-")
    sample = samples(FLOATS, RECORDS, STRINGS)[which]
    if direction == "there":
        value = sample.make()
        touch = "(list) => { let n = 0; for (const x of list) if (x !== null) n++; return n; }"
        function = peer.call(touch)
        assert function(value) == len(value)
        yield "to a function that looks at each item", median(lambda: function(value), 9), ""
    else:
        function = peer.call(sample.script)
        yield "data from a function", median(lambda: peer.plain(function()), 9), ""


def start(_: Peer, __: str) -> Iterator[Answer]:
    yield "import, and 1 + 1", STARTED, ""


def arrays_mirrored(peer: Peer, _: str) -> Iterator[Answer]:
    import numpy

    array = numpy.ones(ARRAY_ITEMS)
    first = peer.call("(array) => array[0]")
    if sys.argv[1] == "mini-racer":
        # It takes no buffers, but gives out JavaScript's own memory.
        inside = numpy.frombuffer(peer.eval("var big = new Float64Array(8e6); big"))

        def copy() -> None:
            inside[:] = array
            peer.eval("big[0]")

        yield "copied into an array of JS's", median(copy, 9), ""
        return
    note = "a proxy: each element is a call" if sys.argv[1] == "JSPyBridge" else "no copy"
    assert first(array) == 1
    yield "to a function that reads one element", median(lambda: first(array), 9), note


def arrays_back(peer: Peer, _: str) -> Iterator[Answer]:
    import numpy

    items = ARRAY_ITEMS if sys.argv[1] != "JSPyBridge" else ARRAY_ITEMS // 10
    script = f"new Float64Array({items}).fill(1)"
    if sys.argv[1] == "JSPyBridge":
        make = peer.eval
        seconds = median(lambda: peer.plain(make(script)), 1)
        yield "a typed array, as a dict", seconds * 10, "ten times that of a tenth"
        return
    seconds = median(lambda: numpy.frombuffer(peer.eval(script)), 9)
    yield "a typed array, as a memoryview", seconds, "with making it; no copy"


def orjson_floor(kind: str) -> Iterator[Answer]:
    import orjson

    which, _, direction = kind.partition("-")
    sample = samples(FLOATS, RECORDS, STRINGS)[which]
    with JsonPipe(node_on_path(), orjson.dumps, orjson.loads, sample.script) as pipe:
        if direction == "there":
            value = sample.make()
            yield "to bare Node over a pipe", median(lambda: pipe.send(value), 9), ""
        else:
            yield "from bare Node over a pipe", median(pipe.receive, 9), ""


PEERS = {"JSPyBridge": jspybridge, "PythonMonkey": pythonmonkey, "mini-racer": mini_racer}
KINDS: dict[str, Callable[[Peer, str], Iterator[Answer]]] = {
    "calls": calls,
    "objects": objects,
    "start": start,
    "arrays-mirrored": arrays_mirrored,
    "arrays-back": arrays_back,
}


if __name__ == "__main__":
    name, kind = sys.argv[1:]
    if name == "orjson":
        answers = orjson_floor(kind)
    else:
        began = time.perf_counter()
        peer = PEERS[name]()
        peer.eval("1 + 1")
        STARTED = time.perf_counter() - began
        answers = KINDS.get(kind, values)(peer, kind)
    for answer in answers:
        print(json.dumps(answer), flush=True)
    os._exit(0)  # some of them do not always find their own end
