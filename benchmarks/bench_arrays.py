"""NumPy arrays: 64 MB there and back, and a thousand small ones."""

from __future__ import annotations

import os
from itertools import count

import numpy as np
from common import Table, add_peers, main, median, size

import bifrost
from bifrost import Node

ROUNDS = 15


def measure() -> list[Table]:
    items = size(8_000_000, 10_000)
    megabytes = f"{items * 8 / 1e6:.3g} MB of float64"
    there = Table(f"{megabytes}, to JS", "floor: memcpy, warm")
    back = Table(f"{megabytes}, made in JS, to Python", "floor: memcpy, warm")
    small = Table("1,000 arrays of 100 float64", "floor: np.copy of each")

    source, target = np.ones(items), np.ones(items)
    copy = median(lambda: np.copyto(target, source), rounds=ROUNDS)
    there.add(there.floor, copy)
    back.add(back.floor, copy)
    with Node() as node:
        _to_javascript(there, items, source, node)
        _to_python(back, items, node)
    with Node() as node:
        _small(small, node)
    add_peers({"arrays-mirrored": there, "arrays-back": back})
    return [there, back, small]


def _to_javascript(table: Table, items: int, source: np.ndarray, node: Node) -> None:
    script = "array.typedArray[0]"
    table.add("node.run('')", median(lambda: node.run("")), "nothing is sent")

    born = bifrost.empty(items)
    born[:] = 1
    table.add(
        "in the arena, to its first element in JS",
        median(lambda: node.run(script, {"array": born}), rounds=200),
        "no copy",
    )
    pool = [bifrost.asarray(source) for _ in range(2 if items > 1e6 else 20)]
    numbers = count()
    table.add(
        "the same, another array each time",
        median(
            lambda array: node.run(script, {"array": array}),
            rounds=200,
            prepare=lambda: pool[next(numbers) % len(pool)],
        ),
    )
    pool.clear()
    table.add("the same, without the native part", _without_native(script, born), "one copy")
    table.add(
        "an ordinary array, sent for the first time",
        median(
            lambda array: node.run(script, {"array": array}),
            rounds=ROUNDS,
            prepare=lambda: np.ones(items),
        ),
        "copied in, and compared after the run",
    )
    table.add(
        "an ordinary array, sent again",
        median(lambda: node.run(script, {"array": source}), rounds=ROUNDS),
        "the same",
    )


def _without_native(script: str, array: np.ndarray) -> float:
    before = os.environ.get("BIFROST_NATIVE")
    os.environ["BIFROST_NATIVE"] = "0"
    try:
        with Node() as node:
            return median(lambda: node.run(script, {"array": array}), rounds=ROUNDS)
    finally:
        del os.environ["BIFROST_NATIVE"]
        if before is not None:
            os.environ["BIFROST_NATIVE"] = before


def _to_python(table: Table, items: int, node: Node) -> None:
    make = f"new Float64Array({items}).fill(1)"
    table.add(
        "only made",
        median(lambda: node.eval(f"{make}.length"), rounds=ROUNDS),
        "nothing is returned",
    )
    table.add("made and returned", median(lambda: node.eval(make), rounds=ROUNDS), "with making it")
    born = bifrost.zeros(items)
    node.run("", {"born": born})
    table.add(
        "filled in Python's array",
        median(lambda: node.run("born.typedArray.fill(1); 0"), rounds=ROUNDS),
        "no copy; with filling it",
    )


def _small(table: Table, node: Node) -> None:
    arrays = [np.full(100, float(number)) for number in range(size(1000, 10))]
    table.add(table.floor, median(lambda: [array.copy() for array in arrays]))
    table.add(
        "to JS",
        median(
            lambda arrays: node.run("", {"arrays": arrays}),
            rounds=30,
            prepare=lambda: [array.copy() for array in arrays],
        ),
        "new ones each time",
    )
    node.run("", {"arrays": []})
    make = f"Array.from({{ length: {len(arrays)} }}, (_, i) => new Float64Array(100).fill(i))"
    table.add("to Python", median(lambda: node.eval(make), rounds=30), "with making them")


if __name__ == "__main__":
    main(measure)
