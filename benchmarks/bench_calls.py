"""What it costs to ask Node.js for something small.

Where the two processes run matters more than all else: on one core they hand over to each other,
on two they are woken late, or stay awake and wait busily, as Bifrost does for a short while. So
there is a table for each, besides the one in which the system may place them as it likes.
"""

from __future__ import annotations

import os

from common import Echo, Table, add_peers, main, median, node_echo, python_echo

from bifrost import Node

MESSAGE = b"x" * 64
VARIABLES = {"count": 3, "name": "text", "items": [1, 2, 3]}


def measure() -> list[Table]:
    free = Table("Calls", "floor: 64 bytes to bare Node and back")
    _calls(free)
    add_peers({"calls": free})
    tables = [free]
    if not hasattr(os, "sched_setaffinity"):
        return tables
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    try:
        os.sched_setaffinity(0, cores[:1])
        tables.append(Table("Calls, both on one core", free.floor))
        _calls(tables[-1], cores[0])
        if len(cores) > 1:
            tables.append(Table("Calls, on two cores", free.floor))
            _calls(tables[-1], cores[1])
    finally:
        os.sched_setaffinity(0, before)
    return tables


def _calls(table: Table, core: int | None = None) -> None:
    """Fill a table, with the other process on a given core."""
    with node_echo() as echo:
        table.add(table.floor, _echo(echo, core))
    with python_echo() as echo:
        table.add("the same to bare Python", _echo(echo, core))
    with Node() as node:
        _place(node.info["pid"], core)
        table.add("node.run('')", median(lambda: node.run("")))
        table.add("node.eval('1 + 1')", median(lambda: node.eval("1 + 1")))
        table.add("node.run('', 3 small variables)", median(lambda: node.run("", VARIABLES)))
        script = "total = items.length + count"
        sums = median(lambda: node.run(script, VARIABLES))
        table.add("node.run('total = ...', 3 variables)", sums)


def _echo(echo: Echo, core: int | None) -> float:
    _place(echo.process.pid, core)
    # On one core, to wait busily is to keep the other from answering.
    alone = core is not None and core in os.sched_getaffinity(0)
    ask = echo.ask if alone else echo.ask_busily
    return median(lambda: ask(MESSAGE), rounds=5000)


def _place(pid: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(pid, {core})


if __name__ == "__main__":
    main(measure)
