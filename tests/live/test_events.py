"""Events of JavaScript with listeners in Python."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from bifrost import Node, on, once


class Listener:
    """Has a method that listens."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def listen(self, value: Any) -> None:
        self.seen.append(value)


def test_decorators(node: Node) -> None:
    emitter = node.require("events").new()
    seen: list[Any] = []

    @on(emitter, "data")
    def each(value: Any) -> None:
        seen.append(value)

    @once(emitter, "data")
    def first(value: Any) -> None:
        seen.append(["first", value])

    emitter.emit("data", 1)
    emitter.emit("data", 2)
    assert seen == [1, ["first", 1], 2]
    emitter.off("data", each)
    emitter.emit("data", 3)
    assert seen == [1, ["first", 1], 2]
    assert emitter.listenerCount("data") == 0


def test_event_targets(node: Node) -> None:
    target = node.eval("new EventTarget()")
    fire = node.eval("(target, name) => target.dispatchEvent(new Event(name))")
    seen: list[str] = []

    @on(target, "tick")
    def each(event: Any) -> None:
        seen.append(event.type)

    @once(target, "tick")
    def first(event: Any) -> None:
        seen.append("first")

    fire(target, "tick")
    fire(target, "tick")
    assert seen == ["tick", "first", "tick"]
    target.removeEventListener("tick", each)
    fire(target, "tick")
    assert len(seen) == 3


def test_a_method_can_be_removed(node: Node) -> None:
    emitter = node.require("events").new()
    listener = Listener()
    emitter.on("data", listener.listen)
    emitter.on("data", listener.seen.append)
    emitter.emit("data", 1)
    emitter.off("data", listener.listen)
    emitter.off("data", listener.seen.append)
    emitter.emit("data", 2)
    assert listener.seen == [1, 1]


def test_what_has_no_events_says_so(node: Node) -> None:
    with pytest.raises(TypeError, match="neither"):
        on(node.eval("new URL('http://x/')"), "data")
    with pytest.raises(TypeError, match="JavaScript object"):
        on(5, "data")  # type: ignore[arg-type]


def test_ten_thousand_events_whose_handlers_call_back(node: Node) -> None:
    emitter = node.require("events").new()
    total = node.eval("new (class Total { n = 0; add(k) { this.n += k; return this.n; } })()")
    sums: list[int] = []

    @on(emitter, "data")
    def add(value: int) -> None:
        sums.append(total.add(value))

    node.run("for (let i = 1; i <= 10000; i++) emitter.emit('data', i);", {"emitter": emitter})
    assert total.n == 50_005_000
    assert sums[:4] == [1, 3, 6, 10]
    assert len(sums) == 10_000


def test_events_while_nobody_waits(node: Node) -> None:
    emitter = node.require("events").new()
    seen: list[int] = []
    done = threading.Event()

    @on(emitter, "data")
    def listen(n: int) -> None:
        seen.append(n)
        if n == 999:
            done.set()

    node.run(
        "let n = 0; const timer = setInterval(() => { for (let i = 0; i < 100; i++)"
        " emitter.emit('data', n++); if (n === 1000) clearInterval(timer); }, 1);",
        {"emitter": emitter},
    )
    assert done.wait(10)
    assert seen == list(range(1000))


def test_what_a_listener_raises_goes_to_who_emits(node: Node) -> None:
    emitter = node.require("events").new()
    mine = ValueError("mine")

    @on(emitter, "data")
    def fail(value: Any) -> None:
        raise mine

    with pytest.raises(ValueError) as caught:
        emitter.emit("data", 1)
    assert caught.value is mine
    emitter.off("data", fail)


def test_what_nobody_can_catch_is_reported_and_kills_nothing(
    node: Node, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = node.info["pid"]

    def fail() -> None:
        raise ValueError("in a timer")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("in a coroutine")

    node.run(
        "setTimeout(() => fail(), 1); later();await new Promise(r => setTimeout(r, 50));",
        {"fail": fail, "later": fail_later},
    )
    node.run("await new Promise(r => setTimeout(r, 20));")
    printed = capfd.readouterr().err
    assert "ValueError: in a timer" in printed
    assert "ValueError: in a coroutine" in printed
    assert node.info["pid"] == pid
    assert node.eval("1 + 1") == 2


def test_an_async_function_listens(node: Node) -> None:
    emitter = node.require("events").new()
    seen = []
    done = threading.Event()

    @on(emitter, "data")
    async def listen(value: int) -> None:
        await asyncio.sleep(0)
        seen.append(value)
        done.set()

    emitter.emit("data", 7)
    assert done.wait(10)
    assert seen == [7]


def test_live_handlers_do_not_keep_python_from_exiting() -> None:
    script = """
from bifrost import node, on
emitter = node.require("events").new()
@on(emitter, "data")
def listen(n):
    pass
node.run('''
    setInterval(() => emitter.emit("data", 1), 1);
    require("http").createServer(() => listen()).listen(0);
    process.stdin.on("data", () => {});
    new Promise(() => {});
    undefined
''', {"emitter": emitter, "listen": listen})
print("ready")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.returncode, done.stderr) == ("ready\n", 0, "")
