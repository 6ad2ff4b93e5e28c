"""Arrays that both sides see: the same memory, or kept alike where the native part is missing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest

import bifrost
from bifrost import BifrostError, Node
from support import leaks


@pytest.fixture(params=["native", "fallback"])
def node(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, leaves_nothing: None
) -> Iterator[Node]:
    if request.param == "fallback":
        monkeypatch.setenv("BIFROST_NATIVE", "0")
    with Node(node_options=["--expose-gc"]) as one:
        if request.param == "native" and not one.info["native"]:
            pytest.skip("the native part is not built")
        assert one.info["native"] is (request.param == "native")
        yield one
        leaks.check_references(one)


@pytest.mark.parametrize("make", [bifrost.zeros, np.zeros])
def test_calls_keep_arrays_alike(node: Node, make: Any) -> None:
    """Around a call of a function, as around a run, in either language."""
    array = make(3)
    seen: list[Any] = []

    def look(given: Any) -> Any:
        seen.append((given is array, float(given[0])))
        given[1] = 8
        return given

    def fail(given: Any) -> None:
        given[2] = 9
        raise ValueError

    made = node.run(
        "a.set(5, 0); const same = look(a) === a; const after = a.get(1);"
        "try { fail(a); } catch {} const failed = a.get(2);",
        {"a": array, "look": look, "fail": fail},
    )
    assert seen == [(True, 5.0)]
    assert (made["same"], made["after"], made["failed"]) == (True, 8, 9)
    assert array.tolist() == [5, 8, 9]
    change = node.eval("(x, f) => { x.set(7, 0); f(x); return x.get(1); }")
    assert change(array, look) == 8
    assert seen[1] == (True, 7.0)
    assert array.tolist() == [7, 8, 9]
    kept = node.eval("(x) => { kept = x; return () => { kept.set(1, 0); return kept; }; }")(array)
    assert kept() is array
    assert array[0] == 1
    fresh = node.eval("() => { const z = bifrost.zeros([2]); z.set(5, 0); return z; }")()
    assert fresh.tolist() == [5, 0]


def test_64_megabytes_both_ways(node: Node) -> None:
    mine = bifrost.zeros(8_000_000)
    mine[:] = np.arange(mine.size)
    node.run("last = a.typedArray[a.length - 1]; a.typedArray[0] = -1", {"a": mine})
    assert node.eval("last") == mine.size - 1
    assert mine[0] == -1
    theirs = node.run("b = bifrost.zeros(8_000_000); b.typedArray[5] = 5")["b"]
    assert (theirs.shape, theirs[5]) == ((8_000_000,), 5)
    theirs[6] = 6
    assert node.eval("b.typedArray[6]") == 6


def test_an_array_in_the_arena_is_not_copied(node: Node) -> None:
    if not node.info["native"]:
        pytest.skip("without the native part it is")
    array = bifrost.zeros(8_000_000)
    node.run("1", {"a": array})
    best = min(_seconds(lambda: node.run("a.typedArray[1] += 1", {"a": array})) for _ in range(5))
    assert best < 0.005
    assert array[1] == 5


def _seconds(action: object) -> float:
    started = time.perf_counter()
    assert callable(action)
    action()
    return time.perf_counter() - started


@pytest.mark.parametrize("born", ["numpy", "arena"])
def test_changes_are_seen_by_pythons_own_array(node: Node, born: str) -> None:
    array = np.zeros(1000) if born == "numpy" else bifrost.zeros(1000)
    other, part = array, array[10:20]
    made = node.run("a.typedArray[12] = 7; a.set(8, 13)", {"a": array})
    assert made["a"] is array
    assert (other[12], part[2], part[3]) == (7, 7, 8)
    array[0] = 5
    assert node.eval("a.typedArray[0]") == 5, "and the other way round"
    node.run("a.typedArray.fill(3)")
    assert (array == 3).all()


def test_changes_after_a_timer_or_a_promise(node: Node) -> None:
    array = bifrost.zeros(10)
    node.run("await new Promise((r) => setTimeout(r, 10)); a.typedArray[0] = 1", {"a": array})
    assert array[0] == 1
    node.run("setTimeout(() => { a.typedArray[1] = 2 }, 5)")
    time.sleep(0.1)
    if node.info["native"]:
        assert array[1] == 2


def test_the_same_array_is_one_array(node: Node) -> None:
    array = np.arange(4.0)
    given = {"a": array, "b": array, "list": [array]}
    made = node.run("same = a === b && a === list[0]; back = a", given)
    assert made["same"] is True
    assert made["back"] is array


def test_views_of_one_array_share(node: Node) -> None:
    array = bifrost.zeros((4, 6))
    node.run("v.set(9, 0, 1)", {"v": array[1:, ::2]})
    assert array[1, 2] == 9
    plain = np.zeros((4, 6))
    node.run("v.set(9, 0, 1); w.set(8, 0, 0)", {"v": plain[1:, ::2], "w": plain})
    assert (plain[1, 2], plain[0, 0]) == (9, 8)


def test_a_read_only_array_is_refused(node: Node) -> None:
    array = np.zeros(10)
    array.flags.writeable = False
    assert node.run("s = a.length", {"a": array})["s"] == 10
    with pytest.raises((BifrostError, TypeError), match=r"read.only"):
        node.run("a.typedArray[0] = 1")
    assert array[0] == 0
    node.run("a = undefined")


@pytest.mark.parametrize("direction", ["to js", "to python", "arena"])
def test_memory_goes_back(node: Node, direction: str) -> None:
    process = psutil.Process()

    def once() -> None:
        if direction == "to js":
            node.run("s = a.typedArray[0]; a = undefined; 1", {"a": np.ones(1_000_000)})
        elif direction == "arena":
            node.run("s = a.typedArray[0]; a = undefined; 1", {"a": bifrost.zeros(1_000_000)})
        else:
            made = node.run("b = new Float64Array(1e6).fill(2)")
            assert made["b"][-1] == 2
            node.run("b = undefined")

    for _ in range(20):
        once()
    node.run("gc()")
    before = process.memory_info().rss + psutil.Process(node.info["pid"]).memory_info().rss
    for i in range(200 if node.info["native"] else 50):  # the fallback copies a lot
        once()
        if i % 10 == 0:
            node.run("gc()")
            gc.collect()
    leaks.check_references(node)
    after = process.memory_info().rss + psutil.Process(node.info["pid"]).memory_info().rss
    assert after - before < 330_000_000, "50 of them are 400 MB"


def test_memory_goes_back_without_explicit_collection(node: Node) -> None:
    """Neither side is told to collect: what is lent must not grow without bound."""
    session = None
    for _ in range(100):
        node.run("a = undefined", {"a": np.ones(1_000_000)})
        session = node._session
    assert session is not None
    assert session.exchange.counts["lent"] < 80


def test_seventy_restarts_reuse_the_regions(node: Node) -> None:
    if not node.info["native"]:
        pytest.skip("it is the same there")
    kept = []
    for number in range(70):
        array = node.run("a = new Float64Array(100_000).fill(n)", {"n": number})["a"]
        if number % 20 == 0:
            kept.append((number, array))
        node.cancel(restart=False)
    for number, array in kept:
        assert (array == number).all()


def test_two_threads_change_parts_of_one_array(node: Node) -> None:
    array = np.zeros(1000)
    node.run("const put = (i, v) => { a.typedArray[i] = v }", {"a": array})
    threads = [
        threading.Thread(target=lambda k=k: [node.run(f"put({k * 100 + i}, 1)") for i in range(50)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert array.sum() == 200
