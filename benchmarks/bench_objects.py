"""What live objects cost: a property, a call, a call back, an event, an item of an iterator.

Each is one message there and one back, so the floor is the same as that of calls.
"""

from __future__ import annotations

from common import Table, add_peers, main, median, node_echo, size

from bifrost import Node
from bifrost.runtime.proxy import JSObject

MESSAGE = b"x" * 64


def measure() -> list[Table]:
    count = size(2000, 20)
    table = Table("Live objects", "floor: 64 bytes to bare Node and back")
    with node_echo() as echo:
        table.add(table.floor, median(lambda: echo.ask_busily(MESSAGE), rounds=5000))
    with Node() as node:
        point = node.eval("new (class Point { x = 1; add(a, b) { return a + b; } })()")
        table.add("point.x", median(lambda: point.x))
        add = node.eval("(a, b) => a + b")
        table.add("add(1, 2)", median(lambda: add(1, 2)))
        table.add("point.add(1, 2)", median(lambda: point.add(1, 2)))
        loop = node.eval("(f, n) => { for (let i = 0; i < n; i++) f(i); }")

        def call_back() -> None:
            loop(lambda i: None, count)

        table.add("a Python function, from JavaScript", median(call_back, rounds=9) / count)
        emitter: JSObject = node.require("events").new()
        emitter.on("data", lambda i: None)
        emit = node.eval("(emitter, n) => { for (let i = 0; i < n; i++) emitter.emit('data', i); }")
        table.add("an event with a Python listener", median(lambda: emit(emitter, count)) / count)
        numbers = node.eval("(n) => (function* () { for (let i = 0; i < n; i++) yield i; })()")
        table.add("an item of a generator", median(lambda: sum(numbers(count)), rounds=9) / count)
    add_peers({"objects": table})
    return [table]


if __name__ == "__main__":
    main(measure)
