"""What it costs to ask Node.js for something small.

Where the two processes run matters more than all else: on one core they wake each other at once,
on two they are woken late, or stay awake and wait busily, as Bifrost does for a short while.
"""

from __future__ import annotations

from common import Table, add_peers, main, median, node_echo, one_core, python_echo

from bifrost import Node

MESSAGE = b"x" * 64
VARIABLES = {"count": 3, "name": "text", "items": [1, 2, 3]}


def measure() -> list[Table]:
    floor = "floor: 64 bytes to bare Node and back, busily"
    table = Table("Calls", floor)
    with node_echo() as echo:
        table.add(floor, median(lambda: echo.ask_busily(MESSAGE), rounds=5000))
    with python_echo() as echo:
        table.add("bare Python, busily", median(lambda: echo.ask_busily(MESSAGE), rounds=5000))
    with Node() as node:
        table.add("node.run('')", median(lambda: node.run("")))
        table.add("node.eval('1 + 1')", median(lambda: node.eval("1 + 1")))
        table.add("node.run('', 3 small variables)", median(lambda: node.run("", VARIABLES)))
        script = "total = items.length + count"
        table.add(
            "node.run('total = ...', 3 variables)", median(lambda: node.run(script, VARIABLES))
        )
    add_peers({"calls": table})

    floor = "floor: bare Node"
    pinned = Table("Calls, both processes on one core", floor)
    with one_core() as possible:
        if not possible:
            return [table]
        with node_echo() as echo:
            pinned.add(floor, median(lambda: echo.ask(MESSAGE), rounds=5000))
        with python_echo() as echo:
            pinned.add("bare Python", median(lambda: echo.ask(MESSAGE), rounds=5000))
        with Node() as node:
            pinned.add("node.run('')", median(lambda: node.run("")))
            pinned.add("node.eval('1 + 1')", median(lambda: node.eval("1 + 1")))
    return [table, pinned]


if __name__ == "__main__":
    main(measure)
