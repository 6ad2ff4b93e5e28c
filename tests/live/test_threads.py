"""Any number of threads and tasks use one Node at once."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bifrost import Node

#: Made by each thread; 10,000 take half a minute.
CALLS = int(os.environ.get("BIFROST_CALLS", "300"))


def test_eight_threads_get_their_own_results(node: Node) -> None:
    node.run("const add = (a, b) => a + b")

    def work(thread: int) -> int:
        for i in range(500):
            assert node.eval(f"[add({thread}, {i}), '{thread}']") == [thread + i, str(thread)]
        return thread

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))


@pytest.mark.timeout(60 + CALLS // 20)
def test_eight_threads_call_back_and_forth(node: Node) -> None:
    """Python calls JavaScript, which calls Python, which calls JavaScript."""
    outer = node.eval("(f, n) => f(n) + 1")
    inner = node.eval("(n) => n * 2")

    def work(thread: int) -> int:
        mine = threading.get_ident()

        def between(n: int) -> int:
            assert threading.get_ident() == mine
            return int(inner(n)) + thread

        for n in range(CALLS):
            assert outer(between, n) == n * 2 + thread + 1
        return thread

    started = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    print(f"8 x {CALLS} nested calls in {time.perf_counter() - started:.1f} s")


def test_a_thousand_tasks_call_back_and_forth(node: Node) -> None:
    later = node.eval("async (f, n) => { await null; return await f(n) + 1; }")
    inner = node.eval("async (n) => n * 2")

    async def between(n: int) -> int:
        doubled: int = await inner(n)
        return doubled

    async def main() -> list[int]:
        return await asyncio.gather(*[later(between, n) for n in range(1000)])

    assert asyncio.run(main()) == [n * 2 + 1 for n in range(1000)]


def test_a_long_await_keeps_nobody_waiting(node: Node) -> None:
    slow: list[object] = []
    waiting = threading.Thread(
        target=lambda: slow.append(node.eval("new Promise((r) => release = r)"))
    )
    waiting.start()
    while node.eval("typeof release") != "function":
        time.sleep(0.01)
    started = time.perf_counter()
    for i in range(50):
        assert node.eval(f"{i}") == i
    assert time.perf_counter() - started < 5
    node.run("release('free')")
    waiting.join(10)
    assert slow == ["free"]
    node.run("release = undefined")


def test_threads_that_await_get_their_own_ends(node: Node) -> None:
    def work(i: int) -> bool:
        script = f"const wait{i} = {i % 7}; await new Promise((r) => setTimeout(r, wait{i})); {i}"
        return bool(node.eval(script) == i)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(200)))


def test_large_in_and_out_at_once(node: Node) -> None:
    """JavaScript prints while Python writes: neither may wait for the other for ever."""
    big = "x" * 20_000_000
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        printing = threading.Thread(
            target=node.run, args=("process.stdout.write('y'.repeat(5e6))",)
        )
        printing.start()
        made = node.run("process.stdout.write('z'.repeat(5e6)); n = big.length", {"big": big})
        printing.join(30)
    assert made["n"] == len(big)
    assert len(out.getvalue()) == 10_000_000


def test_large_both_ways_from_many_threads(node: Node) -> None:
    def work(i: int) -> bool:
        data = [float(i)] * 300_000
        made = node.run(f"back{i} = given{i}.map((v) => v + 1)", {f"given{i}": data})
        return bool(made[f"back{i}"] == [i + 1.0] * 300_000)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_asyncio(node: Node) -> None:
    async def main() -> list[int]:
        tasks = [asyncio.to_thread(node.eval, f"await 0; {i} * 2") for i in range(30)]
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [i * 2 for i in range(30)]
    assert node.eval("1") == 1


def test_many_threads_start_one_node(node: Node) -> None:
    node.close()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: node.info["pid"], range(16)))) == 1
