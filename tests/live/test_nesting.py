"""Python calls JavaScript calls Python: to any depth, and no deeper than the stacks allow."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bifrost import JSError, Node, ShareError

DOWN = "down = (f, n) => n === 0 ? 0 : 1 + f(n - 1)"


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    """Recursion limit and stack size are as they were."""
    limit, size = sys.getrecursionlimit(), threading.stack_size()
    yield
    sys.setrecursionlimit(limit)
    threading.stack_size(size)


def descend(down: Any, depth: int) -> int:
    """So many calls of JavaScript from Python from JavaScript ..."""

    def up(n: int) -> Any:
        return down(up, n)

    return int(down(up, depth))


def too_deep(node: Node, call: Callable[[], Any]) -> BaseException:
    """The error of a call that nests too deep; the session has to work afterwards."""
    with pytest.raises((RecursionError, JSError)) as caught:
        call()
    if isinstance(caught.value, JSError):
        assert caught.value.name == "RangeError"
        assert "call stack" in caught.value.message
    assert node.eval("[1, 2].map(f)", {"f": lambda x, *_: x + 1}) == [2, 3]
    return caught.value


@pytest.mark.parametrize("limit", [400, 1000, 4000, 20_000])
def test_a_thousand_deep(node: Node, limit: int) -> None:
    down = node.eval(DOWN)
    sys.setrecursionlimit(limit)
    too_deep(node, lambda: descend(down, 1000))
    assert descend(down, 8) == 8


@pytest.mark.parametrize("kilobytes", [32, 64, 128, 512, 1024])
def test_a_thousand_deep_in_a_thread_with_a_small_stack(node: Node, kilobytes: int) -> None:
    down = node.eval(DOWN)
    sys.setrecursionlimit(10_000)
    caught: list[BaseException] = []
    reached: list[int] = []

    def work() -> None:
        caught.append(too_deep(node, lambda: descend(down, 1000)))
        reached.append(descend(down, 3))

    threading.stack_size(kilobytes << 10)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert reached == [3]
    if kilobytes < 1024:
        assert isinstance(caught[0], RecursionError)
        assert "threading.stack_size" in str(caught[0])


@pytest.mark.parametrize(
    "script",
    {
        "attribute": "go = () => thing.next",
        "item": "go = () => thing['some key']",
        "generator": "go = () => [...iterable]",
        "text": "go = () => `${thing}`",
        "constructor": "go = () => new thing.next.make()",
    }.values(),
)
def test_any_way_of_calling_can_be_too_deep(node: Node, script: str) -> None:
    class Thing:
        def __getattr__(self, name: str) -> Any:
            return go() if name in ("next", "some key") else super().__getattribute__(name)

        def __str__(self) -> str:
            return str(go())

    def endless() -> Iterator[Any]:
        yield go()

    class Endless:
        def __iter__(self) -> Iterator[Any]:
            return endless()

    node.run(script, {"thing": Thing(), "iterable": Endless()})
    go = node.eval("go")
    too_deep(node, go)


def test_a_result_that_needs_the_stack_is_an_error_too(node: Node) -> None:
    """The depth of a value, not of calls, is what does not fit."""

    def nest(depth: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(depth):
            value = [value]
        return value

    with pytest.raises(ShareError, match="nested too deep"):
        node.eval("f()", {"f": lambda: nest(100_000)})
    assert node.eval("f().flat(Infinity).length", {"f": lambda: nest(50)}) == 0


def test_threads_nest_at_once(node: Node) -> None:
    down = node.eval(DOWN)
    reached: list[int] = []
    threads = [threading.Thread(target=lambda: reached.append(descend(down, 15))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert reached == [15] * 6
