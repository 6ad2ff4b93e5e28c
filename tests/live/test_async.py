"""Promises and coroutines, both ways: waiting, cancelling, loops and threads."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bifrost import JSError, KernelDied, Node, RunTimeout

DOUBLE = "(async (n) => { await null; return n * 2; })"
NEVER = "() => new Promise(() => {})"


@pytest.fixture
def silent() -> Iterator[tuple[str, socket.socket]]:
    """A server that accepts connections and never answers; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", server


def hangs_up(server: socket.socket) -> bool:
    """Whether the client of the first connection closes it."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(10)
        while connection.recv(4096):
            pass
    return True


def idle(node: Node) -> bool:
    """Whether no call of Python's is under way any more, on either side."""
    session = node._session
    assert session is not None
    deadline = time.monotonic() + 20
    while session._later or session.call("counts")["calls"]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# -- waiting for JavaScript


def test_one_line_either_way(node: Node) -> None:
    double = node.eval(DOUBLE)
    assert double(21).result() == 42

    async def main() -> Any:
        return await double(21)

    assert asyncio.run(main()) == 42


def test_a_thousand_promises_at_once(node: Node) -> None:
    double = node.eval(DOUBLE)

    async def main() -> list[Any]:
        return await asyncio.gather(*(double(n) for n in range(1000)))

    assert asyncio.run(main()) == [2 * n for n in range(1000)]
    assert idle(node)


def test_a_promise_can_be_awaited_again_and_by_many(node: Node) -> None:
    promise = node.eval("(f) => f(4)")(node.eval(DOUBLE))

    async def main() -> None:
        assert await asyncio.gather(promise, promise) == [8, 8]
        assert await promise == 8

    asyncio.run(main())
    assert promise.result() == 8


def test_awaiting_does_not_hold_the_loop_while_node_is_busy(node: Node) -> None:
    promise = node.eval("(f) => f(1)")(node.eval(DOUBLE))
    spin = node.eval("(ms) => { const end = Date.now() + ms; while (Date.now() < end); }")
    thread = threading.Thread(target=spin, args=(400,))

    async def main() -> int:
        thread.start()
        waiting = asyncio.ensure_future(promise)
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.005)
            turns += 1
        return turns

    assert asyncio.run(main()) > 3
    thread.join()


def test_event_loops_in_several_threads(node: Node) -> None:
    double = node.eval(DOUBLE)
    results: dict[int, Any] = {}

    async def main(base: int) -> Any:
        return await asyncio.gather(*(double(base + n) for n in range(50)))

    threads = [
        threading.Thread(target=lambda k=k: results.update({k: asyncio.run(main(k))}))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {k: [2 * (k + n) for n in range(50)] for k in range(4)}


def test_what_a_promise_was_rejected_with(node: Node) -> None:
    fail = node.eval("(async (e) => { throw e; })")
    mine = ValueError("mine")

    async def main(error: Any) -> None:
        await fail(error)

    with pytest.raises(ValueError) as caught:
        asyncio.run(main(mine))
    assert caught.value is mine
    with pytest.raises(JSError, match="text"):
        asyncio.run(main("text"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(main(StopIteration()))


def test_the_death_of_node_ends_waiting(node: Node) -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(node.eval(NEVER)())
        await asyncio.sleep(0)
        node.cancel(restart=False)
        with pytest.raises(KernelDied):
            await asyncio.wait_for(waiting, 10)

    asyncio.run(main())


# -- giving up


def test_a_time_out_leaves_nothing_waiting(node: Node) -> None:
    never = node.eval(NEVER)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(never(), 0.05)
        waiting = [asyncio.ensure_future(never()) for _ in range(100)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(main())
    assert idle(node)


def test_a_loop_that_ends_first(node: Node) -> None:
    later = node.eval("() => new Promise(r => setTimeout(r, 50))")

    async def main() -> None:
        asyncio.ensure_future(later())  # noqa: RUF006 - it is to be left behind
        await asyncio.sleep(0)

    asyncio.run(main())
    later().result()
    assert idle(node)


def test_a_cancelled_task_aborts_a_fetch(node: Node, silent: tuple[str, socket.socket]) -> None:
    url, server = silent
    fetch = node.eval("fetch")

    async def load() -> Any:
        with node.abort_signal() as signal:
            response = await fetch(url, signal=signal)
            return await response.text()

    async def main() -> None:
        task = asyncio.ensure_future(load())
        closed = asyncio.get_running_loop().run_in_executor(None, hangs_up, server)
        await asyncio.sleep(0.1)
        assert not closed.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await closed

    asyncio.run(main())
    assert idle(node)


def test_a_time_out_aborts_a_fetch(node: Node, silent: tuple[str, socket.socket]) -> None:
    url, server = silent
    fetch = node.eval("fetch")

    async def load() -> Any:
        with node.abort_signal() as signal:
            return await fetch(url, {"signal": signal})

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(load(), 0.1)

    asyncio.run(main())
    assert hangs_up(server)


def test_a_signal_without_asyncio(node: Node, silent: tuple[str, socket.socket]) -> None:
    url, server = silent
    fetch = node.eval("fetch")
    with pytest.raises(RunTimeout), node.abort_signal() as signal:
        fetch(url, signal=signal).result(timeout=0.1)
    assert hangs_up(server)


def test_a_signal_is_aborted_only_by_an_exception(node: Node) -> None:
    with node.abort_signal() as signal:
        assert signal.aborted is False
    assert signal.aborted is False
    with pytest.raises(KeyError), node.abort_signal() as signal:
        raise KeyError
    assert signal.aborted is True
    assert signal.reason.name == "AbortError"


# -- coroutines that JavaScript starts


async def where() -> list[Any]:
    await asyncio.sleep(0)
    return [threading.current_thread().name, id(asyncio.get_running_loop())]


def test_coroutines_run_on_a_loop_of_their_own(node: Node) -> None:
    assert node.eval("where()", {"where": where})[0] == "bifrost-asyncio"


def test_coroutines_run_on_the_named_loop(node: Node) -> None:
    async def main() -> None:
        node.loop = asyncio.get_running_loop()
        call = node.eval("(async (f) => await f())")
        assert await call(where) == ["MainThread", id(node.loop)]

    asyncio.run(main())
    # That loop has ended: they run where they would without it.
    assert node.eval("where()", {"where": where})[0] == "bifrost-asyncio"
    node.loop = None


def test_callbacks_that_nobody_waits_for_run_on_the_named_loop(node: Node) -> None:
    async def main() -> None:
        node.loop = asyncio.get_running_loop()
        seen: asyncio.Queue[Any] = asyncio.Queue()
        node.run(
            "setTimeout(() => tick(1), 5);",
            {"tick": lambda n: seen.put_nowait([n, threading.current_thread().name])},
        )
        assert await asyncio.wait_for(seen.get(), 10) == [1, "MainThread"]

    asyncio.run(main())


def test_a_blocking_call_on_the_named_loop_serves_what_it_keeps_waiting(node: Node) -> None:
    async def main() -> list[int]:
        node.loop = asyncio.get_running_loop()
        seen: list[int] = []
        node.run("setTimeout(() => { tick(1); done = true; }, 5);", {"tick": seen.append})
        while not node.eval("globalThis.done"):  # never gives the loop a turn
            pass
        return seen

    assert asyncio.run(main()) == [1]


def test_a_task_of_asyncio_is_a_promise(node: Node) -> None:
    call = node.eval("(async (p) => (await p) + 1)")

    async def work() -> int:
        await asyncio.sleep(0.01)
        return 41

    async def main() -> Any:
        task = asyncio.ensure_future(work())
        return await call(task)

    assert asyncio.run(main()) == 42


def test_a_future_whose_loop_has_ended_is_a_rejected_promise(node: Node) -> None:
    async def main() -> Any:
        return asyncio.get_running_loop().create_future()

    future = asyncio.run(main())
    script = "let message; try { await p; } catch (error) { message = error.message; }"
    assert "closed" in node.run(script, {"p": future})["message"]


def test_a_promise_that_python_hands_back(node: Node) -> None:
    made = node.run(
        "const promise = Promise.resolve(1); const same = f(promise) === promise;",
        {"f": lambda promise: promise},
    )
    assert made["same"] is True


def test_many_coroutines_at_once(node: Node) -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0.02)
        return n

    assert node.eval(
        "Promise.all(Array.from({ length: 500 }, (_, n) => slow(n)))", {"slow": slow}
    ) == list(range(500))


def test_what_does_not_cross_ends_the_wait(node: Node) -> None:
    """A promise whose value Python cannot have is rejected with the reason."""

    async def main(promise: Any) -> None:
        await asyncio.wait_for(promise, 10)

    make = node.eval("() => Promise.resolve(new Map([[1, 1], [1n, 2]]))")
    with pytest.raises(Exception, match="equal in Python"):
        asyncio.run(main(make()))

    async def huge() -> Any:
        return range(10**12)

    with pytest.raises(Exception, match="range"):
        node.run("await f()", {"f": huge})
