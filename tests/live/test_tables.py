"""pandas, polars and pyarrow tables as Arrow tables, with npm's real apache-arrow."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bifrost import Node, ShareError
from bifrost.runtime.binaries import find_node, npm_command

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder: Path = tmp_path_factory.mktemp("arrow")
    (folder / "package.json").write_text("{}")
    command = [*npm_command(find_node()), "install", "--no-audit", "--no-fund", "apache-arrow"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=dict(os.environ))
    with Node(cwd=folder) as node:
        node.run("0")  # it starts here, not in the first test
        yield node


FRAME = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [0.5, None, 2.5],
        "s": ["a", "ä", None],
        "t": pd.to_datetime(["2024-01-01", "2024-06-01", None]).tz_localize("Europe/Berlin"),
        "c": pd.Categorical(["u", "v", "u"]),
    },
    index=pd.Index([10, 20, 30], name="id"),
)


def test_pandas(node: Node) -> None:
    out = node.run(
        "made = [x.numRows, x.schema.fields.map((f) => f.name), x.getChild('s').get(1),"
        " Number(x.getChild('n').get(2))]; y = [x, { a: x }]; z = s.numRows",
        {"x": FRAME, "s": pd.Series([1.5, 2.5], name="q"), "u": pd.Series([1, 2])},
    )
    assert out["made"] == [3, ["n", "x", "s", "t", "c", "id"], "ä", 3]
    pd.testing.assert_frame_equal(out["y"][0], FRAME)
    assert out["y"][0] is out["y"][1]["a"]
    back = node.run("y = [s, u]", {"s": FRAME["x"], "u": pd.Series([1, 2])})["y"]
    pd.testing.assert_series_equal(back[0], FRAME["x"])
    pd.testing.assert_series_equal(back[1], pd.Series([1, 2]))


def test_polars_and_pyarrow(node: Node) -> None:
    frame = pl.DataFrame({"n": [1, 2], "s": ["a", "a text too long to lie inline"], "l": [[1], []]})
    table = pa.table({"n": [1, 2]})
    given = {"x": frame, "s": frame["s"], "t": table}
    out = node.run("made = [x.numRows, s.getChild('s').get(1), t.numCols]; y = [x, s, t]", given)
    assert out["made"] == [2, "a text too long to lie inline", 1]
    assert out["y"][0].equals(frame)
    assert out["y"][1].equals(frame["s"])
    assert out["y"][1].name == "s"
    assert out["y"][2].equals(table)


def test_made_in_javascript(node: Node) -> None:
    made = "require('apache-arrow').tableFromArrays({ n: new Float64Array([1, 2]), s: ['a', 'b'] })"
    frame = node.eval(made)
    assert frame["n"].tolist() == [1.0, 2.0]
    assert list(frame["s"]) == ["a", "b"]


def test_large_table(node: Node) -> None:
    frame = pd.DataFrame({"x": range(100_000)})
    out = node.run("made = x.numRows; y = x", {"x": frame})
    assert out["made"] == 100_000
    pd.testing.assert_frame_equal(out["y"], frame)


def test_without_the_library_a_table_is_a_reference(tmp_path: Path) -> None:
    with Node(cwd=tmp_path) as node:
        out = node.run(
            "shape = x[1].shape; total = x[1].n.sum(); columns = [...x[1]]; y = x[1];"
            "made = bifrost.python('pandas').Series([1, 2, 3]).cumsum().tolist()",
            {"x": [1, FRAME]},
        )
        assert out["shape"] == [3, 5]
        assert out["total"] == 6
        assert out["columns"] == list(FRAME)
        assert out["y"] is FRAME
        assert out["made"] == [1, 3, 6]


def test_a_frame_that_arrow_cannot_hold(node: Node) -> None:
    with pytest.raises(ShareError) as caught:
        node.run("0", {"x": [pd.DataFrame({"o": [1, "a", object()]})]})
    assert caught.value.path == "$.x[0]"
