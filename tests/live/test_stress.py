"""Random operations from several threads, and random deaths of Node.js: nothing hangs or stays.

BIFROST_STRESS_SECONDS has it run longer, BIFROST_STRESS_SEED chooses another sequence.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import bifrost
from bifrost import BifrostError, JSError, KernelDied, Node, RunTimeout
from support import leaks

SECONDS = float(os.environ.get("BIFROST_STRESS_SECONDS", "3"))
SEED = int(os.environ.get("BIFROST_STRESS_SEED", "1"))
THREADS = 6
#: No operation may take longer, in seconds: each has a time-out of its own, or Node is killed.
PATIENCE = 60.0

#: What may come of an operation; anything else is a defect. A call may time out that has done
#: nothing wrong: where another one is stopped, V8 forgets the promise callbacks that are due.
EXPECTED = (KernelDied, RunTimeout, TimeoutError, JSError.AbortError, asyncio.CancelledError)


class Thing:
    def __init__(self, value: int) -> None:
        self.value = value

    def add(self, n: int) -> int:
        self.value += n
        return self.value


class Mine(Exception):
    pass


class Operations:
    """What a thread may do with the Node that all share."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node = node
        self.rng = rng

    def evaluates(self) -> None:
        n = self.rng.randrange(1000)
        assert self.node.eval("n + 1", {"n": n}, timeout=20) in range(1001)

    def runs(self) -> None:
        n = self.rng.randrange(10**9)
        name = f"v{n}"
        made = self.node.run(f"{name} = [given{n}, {{a: given{n}}}]", {f"given{n}": n}, timeout=20)
        assert made[name] == [n, {"a": n}]
        self.node.run(f"{name} = given{n} = undefined", timeout=20)

    def awaits(self) -> None:
        n = self.rng.randrange(5)
        script = f"new Promise((r) => setTimeout(() => r({n}), {n}))"
        assert self.node.eval(script, timeout=5) == n

    def calls_back(self) -> None:
        depth = self.rng.randrange(1, 6)
        f = self.node.eval("(f, n) => n === 0 ? 0 : 1 + f(n - 1)", timeout=20)

        def up(n: int) -> Any:
            return f(up, n)

        assert up(depth) == depth

    def throws(self) -> None:
        error = Mine(self.rng.random())

        def fail() -> None:
            raise error

        relay = self.node.eval("(f) => { try { f(); } catch (e) { throw e; } }", timeout=20)
        with pytest.raises(Mine) as caught:
            relay(fail)
        assert caught.value is error

    def proxies(self) -> None:
        make = self.node.eval("(n) => new (class Thing { n = n; get() { return this; } })()")
        things = [make(n) for n in range(self.rng.randrange(1, 20))]
        assert [thing.n for thing in things] == list(range(len(things)))
        assert all(thing.get() is thing for thing in things)

    def objects(self) -> None:
        thing = Thing(self.rng.randrange(100))
        before = thing.value
        back = self.node.eval("(t) => { t.add(2); t.value += 1; return t; }", timeout=20)(thing)
        assert back is thing
        assert thing.value == before + 3

    def arrays(self) -> None:
        size = self.rng.choice([10, 1000, 50_000])
        array = bifrost.zeros(size) if self.rng.random() < 0.5 else np.zeros(size)
        fill = self.node.eval("(a, n) => { a.typedArray.fill(n); return a; }", timeout=20)
        if self.rng.random() < 0.5:
            name = f"a{self.rng.randrange(10**9)}"
            self.node.run(
                f"{name}.typedArray[1] = 7; {name} = undefined", {name: array}, timeout=20
            )
            assert array[1] == 7
        else:
            assert fill(array, 3) is array
        made = self.node.eval(f"new Float64Array({size}).fill(2)", timeout=20)
        assert made.sum() == 2 * size

    def texts(self) -> None:
        text = "x" * self.rng.choice([1000, 200_000, 3_000_000])
        assert self.node.eval("(t) => t + t", timeout=20)(text) == text + text

    def iterates(self) -> None:
        n = self.rng.randrange(1, 10)
        steps = self.node.eval("(function* (n) { while (true) yield n; })", timeout=20)(n)
        for number, got in enumerate(steps):
            assert got == n
            if number == n:
                break
        sum_of = self.node.eval("(xs) => { let s = 0; for (const x of xs) s += x; return s; }")
        assert sum_of(iter(range(n))) == sum(range(n))

    def tasks(self) -> None:
        async def main() -> None:
            later = self.node.eval("async (n) => { await null; return n; }", timeout=20)
            got = await asyncio.gather(*[asyncio.ensure_future(wrap(later, n)) for n in range(10)])
            assert got == list(range(10))
            if self.rng.random() < 0.5:
                never = asyncio.ensure_future(wrap(self.node.eval("() => new Promise(() => {})")))
                await asyncio.sleep(0.001)
                never.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await never

        async def wrap(f: Any, *args: Any) -> Any:
            return await asyncio.wait_for(f(*args), 5)

        asyncio.run(main())

    def coroutines(self) -> None:
        async def slow(n: int) -> int:
            await asyncio.sleep(0.001 * n)
            return n + 1

        n = self.rng.randrange(4)
        assert self.node.eval("async (f, n) => await f(n)")(slow, n).result(timeout=5) == n + 1

    def times_out(self) -> None:
        script = self.rng.choice(
            [
                "for (;;);",
                "await new Promise(() => {})",
                "await 0; for (;;);",
                "f7(); for (;;);",
                "for (;;) f7();",
            ]
        )
        with contextlib.suppress(RunTimeout):
            self.node.run(script, {"f7": lambda: 1}, timeout=self.rng.uniform(0, 0.05))

    def timers(self) -> None:
        called = threading.Event()
        self.node.run("(() => { const f = f8; setTimeout(() => f(), 1); })()", {"f8": called.set})
        called.wait(0.05)

    def prints(self) -> None:
        self.node.run("console.log('x'.repeat(1000)); console.error('y')", timeout=20)

    def collects(self) -> None:
        gc.collect()
        self.node.run("gc()", timeout=20)

    def ends(self) -> None:
        """One of the ways in which Node.js ends; rarely."""
        if self.rng.random() < 0.8:
            return
        end = self.rng.randrange(4)
        if end == 0:
            session = self.node._session
            if session is not None and session.dead is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(session.facts["pid"], signal.SIGKILL)
        elif end == 1:
            self.node.cancel()
        elif end == 2:
            self.node.restart()
        else:
            self.node.close()


class Watch:
    """Every thread says when an operation begins; one that does not end is shown and fails."""

    def __init__(self) -> None:
        self.begun: dict[int, tuple[float, str]] = {}
        self.failures: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.over = threading.Event()

    def work(self, node: Node, rng: random.Random) -> None:
        operations = Operations(node, rng)
        names = [name for name in vars(Operations) if not name.startswith("_")]
        ident = threading.get_ident()
        while not self.over.is_set():
            name = rng.choice(names)
            self.begun[ident] = (time.monotonic(), name)
            try:
                getattr(operations, name)()
                self.counts[name] += 1
            except EXPECTED as error:
                self.counts[type(error).__name__] += 1
            except BifrostError as error:
                if any(word in str(error) for word in ("was stopped", "terminated", ": stopped")):
                    self.counts["stopped"] += 1  # with another thread's, on whose stack it was
                else:
                    self.fail(name, error)
            except BaseException as error:
                self.fail(name, error)
        del self.begun[ident]

    def fail(self, name: str, error: BaseException) -> None:
        lines = traceback.format_exception(error)
        self.failures.append(f"{name}: {''.join(lines)[-3000:]}")

    def wait(self, threads: list[threading.Thread], seconds: float) -> None:
        end = time.monotonic() + seconds
        while any(thread.is_alive() for thread in threads):
            if time.monotonic() > end or self.failures:
                self.over.set()
            for begun, name in list(self.begun.values()):
                if time.monotonic() - begun > PATIENCE:
                    faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
                    pytest.fail(f"{name} does not end")
            time.sleep(0.05)


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that Node died is part of it
        yield


@pytest.mark.timeout(SECONDS + 3 * PATIENCE)
def test_random_operations_with_random_deaths(
    quiet: None, capfd: pytest.CaptureFixture[str]
) -> None:
    with Node(node_options=["--expose-gc"]) as node:
        watch = Watch()
        threads = [
            threading.Thread(target=watch.work, args=(node, random.Random(SEED * 1000 + k)))
            for k in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        watch.wait(threads, SECONDS)
        with capfd.disabled():
            print(f"\nseed {SEED}: {sum(watch.counts.values())} operations", dict(watch.counts))
        assert not watch.failures, "\n".join(watch.failures[:3])
        assert node.eval("1 + 1", timeout=20) == 2
        leaks.check_references(node, seconds=30)
