"""Processes made by fork and spawn, in every way that programs make them: each has its own Node."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import psutil
import pytest

import bifrost
from bifrost import KernelDied, Node

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(work: Callable[[], Any], seconds: int = 20) -> str:
    """Fork, and return what the child made of `work`; a child that hangs is killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            faulthandler.register(signal.SIGALRM, chain=True)
            signal.alarm(seconds)
            try:
                said = repr(work())
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(write, said.encode()[:60_000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child hung"
    return said


@contextlib.contextmanager
def busy(work: Callable[[], object], threads: int = 3) -> Iterator[None]:
    """Other threads do something all the time."""
    over = threading.Event()

    def loop() -> None:
        while not over.is_set():
            work()

    running = [threading.Thread(target=loop) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in running:
            thread.join(30)


# -- what a child has of its parent's


def test_proxies_of_the_parent_say_so_in_the_child(node: Node) -> None:
    thing = node.eval("new (class Thing { a = 1; f() { return 2; } })()")
    later = node.eval("() => new Promise(() => {})")()
    f = node.eval("(x) => x + 1")
    uses: list[Callable[[], Any]] = [
        lambda: f(1),
        lambda: thing.a,
        lambda: thing.f(),
        lambda: setattr(thing, "a", 2),
        lambda: dir(thing),
        lambda: len(thing),
        lambda: later.result(),
        lambda: asyncio.run(asyncio.wait_for(later, 5)),
        lambda: node.eval("`${thing.a}`", {"thing": thing}),
    ]
    for use in uses:
        said = in_child(use)
        assert said.startswith("KernelDied: this belongs to the Node.js of the parent"), said
    assert in_child(lambda: repr(thing)) == "'<JavaScript Thing of a Node.js that has ended>'"
    assert in_child(lambda: node.eval("typeof Thing")) == "'undefined'"
    assert (f(1), thing.a) == (2, 1)


def test_fork_while_other_threads_are_in_calls_of_any_kind(node: Node) -> None:
    """They hold locks at that moment, which nobody in the child will ever let go."""
    f = node.eval("(g, x) => g(x)")
    big = {"list": [{"a": [1.5, "x"]}] * 300}

    def work() -> None:
        assert f(lambda x: x, big) == big

    def child() -> tuple[str, object]:
        try:
            f(len, [])
        except KernelDied as error:
            refused = str(error)[:12]
        gc.collect()
        return refused, node.eval("g(20)", {"g": lambda x: x * 2})

    with busy(work):
        for _ in range(12):
            assert in_child(child) == "('this belongs', 40)"
    assert f(len, [1]) == 1


def test_fork_in_a_callback(node: Node) -> None:
    """The child is in the middle of a call of the parent's Node, which it cannot finish."""
    pid = os.getpid()
    said: list[str] = []

    def fork() -> str:
        said.append(in_child(lambda: node.eval("1 + 1")))
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(read)
            forked.append(write)
            return "child"
        os.close(write)
        with os.fdopen(read) as pipe:
            said.append(pipe.read())
        os.wait()
        return "parent"

    forked: list[int] = []
    try:
        assert node.eval("f()", {"f": fork}) == "parent"
    except BaseException as error:
        if os.getpid() == pid:
            raise
        os.write(forked[0], str(error).encode())
    finally:
        if os.getpid() != pid:
            os._exit(0)
    assert said[0] == "2"
    assert said[1].startswith("this belongs to the Node.js of the parent")
    assert node.eval("3") == 3


def test_a_child_that_ends_in_any_way_leaves_the_parent_alone(node: Node) -> None:
    node.run("kept = 5")
    thing = node.eval("new (class {})()")
    for end in (
        "sys.exit()",
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "node.close(); os._exit(0)",
        "node.cancel(); sys.exit()",
        "del thing; gc.collect(); os._exit(0)",
        "node.run('setInterval(() => {}, 5); 1'); sys.exit()",
    ):
        script = f"""
            import gc, os, sys
            from bifrost import Node
            node = Node()
            node.run("kept = 1")
            thing = node.eval("new (class {{}})()")
            if os.fork() == 0:
                {end}
            os.wait()
            print(node.eval("kept"), node.info["pid"])
            """
        done = run(script)
        assert done.stdout.startswith("1 "), (end, done.stderr)
    assert (node.eval("kept"), thing is not None) == (5, True)


def run(script: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own; it has to end by itself."""
    return subprocess.run(
        [sys.executable, *arguments, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


# -- pools


def ask(number: int) -> tuple[int, int, int]:
    """What a worker does: its process, its Node, and a result."""
    return os.getpid(), bifrost.node.info["pid"], bifrost.node.eval("n * 2", {"n": number})


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["executor", "pool"])
def test_pools(method: str, kind: str) -> None:
    bifrost.node.run("parents = 1")
    context = multiprocessing.get_context(method)
    try:
        if kind == "executor":
            with ProcessPoolExecutor(2, mp_context=context) as executor:
                got = list(executor.map(ask, range(6)))
        else:
            pool: Any = context.Pool(2)
            got = pool.map(ask, range(6), chunksize=1)
            pool.close()
            pool.join()
        assert [value for _, _, value in got] == [n * 2 for n in range(6)]
        mine = bifrost.node.info["pid"]
        assert len({node for _, node, _ in got} | {mine}) == len({p for p, _, _ in got}) + 1
        assert bifrost.node.eval("parents") == 1
        deadline = time.monotonic() + 20
        while any(map(psutil.pid_exists, {node for _, node, _ in got})):
            assert time.monotonic() < deadline, "a worker's Node lives on"
            time.sleep(0.02)
    finally:
        bifrost.node.close()
        pool = None
        gc.collect()  # its semaphores, before the process that knows them ends
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


def test_a_pool_whose_workers_are_killed(node: Node) -> None:
    node.run("parents = 1")
    pool = multiprocessing.get_context("fork").Pool(2)
    nodes = {node for _, node, _ in pool.map(ask, range(4), chunksize=1)}
    pool.terminate()
    pool.join()
    deadline = time.monotonic() + 20
    while any(map(psutil.pid_exists, nodes)):
        assert time.monotonic() < deadline, "a worker's Node lives on"
        time.sleep(0.02)
    assert node.eval("parents") == 1


def test_pytest_xdist(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            import os, pytest
            from bifrost import node

            @pytest.mark.parametrize("n", range(12))
            def test_node(n, record_property):
                record_property("pids", f"{os.getpid()} {node.info['pid']}")
                assert node.eval("[n].map(f)[0]", {"n": n, "f": lambda x, *_: x + 1}) == n + 1
            """
        )
    )
    report = tmp_path / "report.xml"
    command = ["-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "12 passed" in done.stdout, done.stdout + done.stderr
    text = report.read_text()
    pairs = {part.split('"')[0] for part in text.split('name="pids" value="')[1:]}
    assert len(pairs) == 2, "each worker has one Node"
    for pair in pairs:
        assert not psutil.pid_exists(int(pair.split()[1]))


# -- what is not a process


def test_a_subinterpreter_is_refused_clearly() -> None:
    interpreters = pytest.importorskip("_xxsubinterpreters")
    interpreter = interpreters.create()
    try:
        interpreters.run_string(interpreter, "import bifrost")
        for use in ("bifrost.node.eval('1')", "bifrost.Node()", "from bifrost import zeros"):
            with pytest.raises(interpreters.RunFailedError, match=r"main interpreter .* only"):
                interpreters.run_string(interpreter, use)
    finally:
        interpreters.destroy(interpreter)
