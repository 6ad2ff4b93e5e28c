"""Plain data: a long list of floats, many records, many short strings; there and back."""

from __future__ import annotations

import json
from typing import Any

from common import Table, add_peers, main, median, size
from samples import JsonPipe, Sample, samples

from bifrost import Node
from bifrost.runtime.binaries import find_node

ROUNDS = 9


def measure() -> list[Table]:
    tables: list[Table] = []
    for kind, sample in samples(size(1_000_000), size(20_000), size(100_000)).items():
        there = Table(f"{sample.title}, to JS", "floor: json to bare Node")
        # What it takes JavaScript to make the value is part of every figure here.
        back = Table(f"{sample.title}, made in JS, to Python", "floor: json from bare Node")
        value = sample.make()
        _floor(there, back, sample, value)
        with Node() as node:
            _bifrost(there, back, sample, value, node)
        add_peers({f"{kind}-there": there, f"{kind}-back": back})
        tables += [there, back]
    return tables


def _floor(there: Table, back: Table, sample: Sample, value: Any) -> None:
    """JSON over a pipe: what one would write by hand for data that JSON can hold."""

    def dumps(value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False).encode()

    with JsonPipe(str(find_node().path), dumps, json.loads, sample.script) as pipe:
        there.add(there.floor, median(lambda: pipe.send(value), rounds=ROUNDS))
        back.add(back.floor, median(pipe.receive, rounds=ROUNDS))


def _bifrost(there: Table, back: Table, sample: Sample, value: Any, node: Node) -> None:
    given = {"value": value}
    script = f"({sample.script})()"
    there.add("node.run", median(lambda: node.run("", given), rounds=ROUNDS))
    back.add("node.eval", median(lambda: node.eval(script), rounds=ROUNDS))


if __name__ == "__main__":
    main(measure)
