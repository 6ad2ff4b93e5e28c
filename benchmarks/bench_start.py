"""How long it takes until the first result is there."""

from __future__ import annotations

import subprocess

from common import Table, add_peers, in_new_python, main, median

from bifrost import Node
from bifrost.runtime.binaries import find_node

ROUNDS = 15


def measure() -> list[Table]:
    node = str(find_node().path)
    table = Table("Start", "floor: node -e 0")
    table.add(table.floor, median(lambda: subprocess.run([node, "-e", "0"]), rounds=ROUNDS))
    table.add("floor: import numpy", in_new_python("import numpy"), "Python itself not counted")
    table.add("import bifrost", in_new_python("import bifrost"))
    table.add(
        "from bifrost import node", in_new_python("from bifrost import node"), "starts nothing"
    )
    table.add(
        "import, start and first result",
        in_new_python("from bifrost import node; node.eval('1 + 1')"),
    )
    code = "import numpy, bifrost; bifrost.node.run('', {'a': numpy.zeros(3)})"
    table.add("import, start and first array", in_new_python(code))
    table.add("another Node: start, result and end", median(_whole_life, rounds=ROUNDS))
    table.add("ending it", _ending())
    add_peers({"start": table})
    return [table]


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
