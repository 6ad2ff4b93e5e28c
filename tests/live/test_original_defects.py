"""The defects of the original Bifrost, each a test."""

from __future__ import annotations

import datetime
import io
import math
import os
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bifrost
from bifrost import JSError, Node, RunTimeout, ShareError


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf])
def test_nan_and_infinity_killed_node(node: Node, value: float) -> None:
    made = node.run("same = Object.is(v, w.v); back = [v]", {"v": value, "w": {"v": value}})
    assert made["same"] is True
    assert made["back"] == [value] or math.isnan(made["back"][0])


@pytest.mark.parametrize("value", [2**53 + 1, -(2**63), 2**64, 10**40])
def test_ints_over_2_to_53_were_rounded(node: Node, value: int) -> None:
    assert node.run("back = v; text = String(v)", {"v": value}) == {
        "v": value, "back": value, "text": str(value),
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        None,
        (1, "a"),
        {1, 2},
        b"\x00\xff",
        datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        np.float64(1.5),
        np.int32(7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_were_dropped_or_wrong(node: Node, value: object) -> None:
    back = node.run("back = v", {"v": value})["back"]
    assert back == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    "dtype",
    [
        *("int8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"),
        *("<U3", "S3", ">f8", "datetime64[D]"),
    ],
)
def test_dtypes_that_were_dropped_wrong_or_fatal(node: Node, dtype: str) -> None:
    array = np.arange(6).astype(dtype)
    back = node.run("back = v", {"v": array})["back"]
    assert (back == array).all()
    assert back.dtype == array.dtype or back.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(2),
        np.array(5.0),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(10.0)[::3],
        np.arange(5.0)[::-1],
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
    ids=["small", "0-d", "empty", "fortran", "strided", "reversed", "structured"],
)
def test_arrays_that_were_dropped_wrong_or_fatal(node: Node, array: np.ndarray) -> None:  # type: ignore[type-arg]
    made = node.run("back = v; shape = v.shape", {"v": array})
    assert made["shape"] == list(array.shape)
    np.testing.assert_array_equal(made["back"], array)


def test_one_unsendable_variable_broke_every_later_call(node: Node) -> None:
    with pytest.raises(ShareError, match=r"\$\.bad"):
        node.run("1", {"bad": np.array([print], object)})
    assert node.run("x = 1") == {"x": 1}


def test_undefined_killed_node(node: Node) -> None:
    assert node.run("u = undefined; list = [undefined, null]; n = 1")["n"] == 1
    assert node.eval("u === undefined && list[1] === null") is True


def test_bigint_date_map_set_and_typed_arrays_were_dropped_in_silence(node: Node) -> None:
    made = node.run(
        "big = 2n ** 70n; date = new Date(0); map = new Map([[1, 'a']]); set = new Set([1]);"
        "typed = new Uint8Array([1, 2])"
    )
    assert (made["big"], made["map"], made["set"]) == (2**70, {1: "a"}, {1})
    assert made["date"].timestamp() == 0
    assert list(made["typed"]) == [1, 2]


def test_a_js_exception_was_printed_and_run_returned(node: Node) -> None:
    with pytest.raises(JSError, match="not swallowed"):
        node.run("throw new Error('not swallowed')")


def test_printing_done_ended_the_run_early(node: Node) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        made = node.run(
            'console.log(\'{"type":"done"}\'); await new Promise((r) => setTimeout(r, 20)); x = 1'
        )
    assert made["x"] == 1
    assert out.getvalue() == '{"type":"done"}\n'


def test_printing_without_a_newline_hung_it(node: Node) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        assert node.run("process.stdout.write('no end'); x = 1", timeout=5)["x"] == 1
    assert out.getvalue() == "no end"


def test_indentation_and_blank_lines_were_lost(node: Node) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        node.run("console.log('  a\\n\\n\\tb'); console.log()")
    assert out.getvalue() == "  a\n\n\tb\n\n"


def test_a_timeout_killed_node_with_all_its_state(node: Node) -> None:
    node.run("kept = 1")
    with pytest.raises(RunTimeout):
        node.run("while (true) {}", timeout=0.1)
    assert node.eval("kept") == 1


def test_top_level_await_import_and_redeclared_const(node: Node) -> None:
    for _ in range(2):
        node.run("import { sep } from 'path'\nconst x = await Promise.resolve(sep)")
    assert node.eval("x") == "/"


def test_the_callers_dict_was_mutated(node: Node) -> None:
    given = {"a": 1}
    node.run("a = 2; b = 3", given)
    assert given == {"a": 1}


def test_import_started_processes_and_wrote_files(tmp_path: Path) -> None:
    script = (
        "import os, threading, bifrost\n"
        "from bifrost import node, npm\n"
        "children = open(f'/proc/self/task/{os.getpid()}/children').read().split()\n"
        "print(children, threading.active_count(), os.listdir('.'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(bifrost.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] 1 []\n"


def test_8_mb_took_seconds_and_an_empty_run_milliseconds(node: Node) -> None:
    def fastest(source: str, values: dict[str, Any]) -> float:
        times = []
        for _ in range(50):  # one of them, the machine has nothing else to do
            started = time.perf_counter()
            node.run(source, values)
            times.append(time.perf_counter() - started)
        return min(times)

    assert fastest("n = a.length", {"a": np.ones(1_000_000)}) < 0.5
    assert fastest("", {}) < 0.01
