"""What is made and dropped in a loop, or by a program that goes on, leaves both heaps flat."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

import psutil
import pytest

from bifrost import Node
from support import leaks

N = int(os.environ.get("BIFROST_TEMPORARIES", "50000"))
#: Proxies, and callbacks, that one turn of the loop makes.
TURN = 500


def settled(node: Node, most: int = 0) -> dict[str, int]:
    """What is held once both collectors have run, and the releases that follow have been made."""
    deadline = time.monotonic() + 10
    while True:
        gc.collect()
        node.run("gc(); await new Promise((resolve) => setTimeout(resolve, 5)); gc();")
        held = {name: count for name, count in leaks.counts(node).items() if count > most}
        if not held or time.monotonic() > deadline:
            return held
        time.sleep(0.02)


def megabytes(node: Node) -> tuple[float, float]:
    kernel = psutil.Process(node.info["pid"])
    return psutil.Process().memory_info().rss / 2**20, kernel.memory_info().rss / 2**20


@pytest.mark.timeout(60 + N // 1000)
def test_temporary_proxies_and_callbacks(node: Node) -> None:
    make = node.eval("(n) => Array.from({ length: n }, (_, i) => () => i)")
    use = node.eval("(fs) => { let sum = 0; for (const f of fs) sum += f(1); return sum; }")

    def turn() -> None:
        proxies = make(TURN)
        assert proxies[TURN - 1]() == TURN - 1
        assert use([lambda x, k=k: x + k for k in range(TURN)]) == TURN * (TURN + 1) // 2

    for _ in range(20):
        turn()
    held, before = settled(node, most=2), megabytes(node)
    started = time.perf_counter()
    for _ in range(N // (2 * TURN)):
        turn()
    seconds = time.perf_counter() - started
    after_held, after = settled(node, most=2), megabytes(node)
    print(
        f"{N} in {seconds:.1f} s; RSS in MB, of Python {before[0]:.0f} -> {after[0]:.0f},"
        f" of Node {before[1]:.0f} -> {after[1]:.0f}; held {after_held}"
    )
    assert held == after_held == {}  # but for `make` and `use`
    assert after[0] - before[0] < 32
    assert after[1] - before[1] < 160  # V8 collects when it likes: the bound matters with a large N


def test_what_a_call_started_does_not_keep_its_arguments(node: Node) -> None:
    """Node remembers for each timer and each server which call it belongs to."""

    def use(x: int) -> int:
        return x

    start = node.eval(
        "async (f) => { globalThis.timer = setInterval(() => {}, 1000); return f(await 1); }"
    )
    assert start(use).result() == 1
    node.eval("(f) => { globalThis.other = setInterval(() => {}, 1000); return f(1); }")(use)
    node.run("var third = setInterval(() => {}, 1000); await g(1); g = undefined", {"g": use})
    del start
    held = settled(node)
    assert "js objects" not in held, held
    node.run("for (const one of [timer, other, third]) clearInterval(one)")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_failure_that_is_kept_with_what_it_is_about(node: Node, kind: str) -> None:
    """As a request is that a handler has failed to answer: each holds the other."""

    def handle(request: Any, *_: Any) -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError(f"cannot answer {request.n}") from None

    async def handle_later(request: Any, *_: Any) -> None:
        handle(request)

    messages: list[str] = []
    over = threading.Event()
    serve = node.eval(
        """(handle, count, note, over) => {
            class Request { n = 7; }
            const one = async () => {
                const request = new Request();
                try { await handle(request); } catch (error) { request.error = error; }
                note(request.error.message);
                if (--count === 0) over();
            };
            for (let i = 0; i < count; i++) setTimeout(one);
        }"""
    )
    serve(handle if kind == "sync" else handle_later, 20, messages.append, over.set)
    assert over.wait(30)  # no call of Python's waits for it
    assert messages == ["cannot answer 7"] * 20
    del serve
    held = settled(node)
    assert not held, held
