"""How long it takes until the first result is there."""

from __future__ import annotations

import os
import subprocess
import sys

from common import Table, add_peers, main, median

from bifrost import Node
from bifrost.runtime.binaries import find_node

ROUNDS = 15


def measure() -> list[Table]:
    node = str(find_node().path)
    table = Table("Start", "floor: node -e 0")
    table.add(table.floor, median(lambda: subprocess.run([node, "-e", "0"]), rounds=ROUNDS))
    table.add("floor: import numpy", _inside("import numpy"), "Python itself not counted")
    table.add("import bifrost", _inside("import bifrost"))
    table.add("from bifrost import node", _inside("from bifrost import node"), "starts nothing")
    table.add(
        "import, start and first result",
        _inside("from bifrost import node; node.eval('1 + 1')"),
    )
    code = "import numpy, bifrost; bifrost.node.run('', {'a': numpy.zeros(3)})"
    table.add("import, start and first array", _inside(code))
    table.add("another Node: start, result and end", median(_whole_life, rounds=ROUNDS))
    table.add("ending it", _ending())
    add_peers({"start": table})
    return [table]


def _inside(code: str) -> float:
    """What some Python takes in a new interpreter, without the interpreter's own start."""
    program = (
        "import time; began = time.perf_counter()\n"
        f"{code}\nprint(time.perf_counter() - began, flush=True)"
    )
    # Installed packages have their bytecode beside them.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times: list[float] = []

    def once() -> None:
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout))

    median(once, rounds=ROUNDS, budget=3)
    return sorted(times[2:])[len(times[2:]) // 2]


def _whole_life() -> None:
    with Node() as node:
        node.eval("1 + 1")


def _ending() -> float:
    def started() -> Node:
        node = Node()
        node.eval("1 + 1")
        return node

    return median(lambda node: node.close(), rounds=ROUNDS, prepare=started)


if __name__ == "__main__":
    main(measure)
