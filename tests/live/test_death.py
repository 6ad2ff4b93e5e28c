"""Node.js dies, Python dies, a process forks: nothing hangs, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import bifrost
from bifrost import JSError, KernelDied, Node, RunTimeout
from support import leaks


def kill(node: Node) -> None:
    os.kill(node.info["pid"], signal.SIGKILL)


def python(script: str, seconds: float = 20, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program; it has to end by itself."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        **options,
    )


def await_end(pid: int, seconds: float = 1.5) -> None:
    """Wait until a process is gone (or only its record is left)."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"process {pid} lives on: {process}"
            time.sleep(0.02)


# -- the death of Node


def test_killed_in_a_run(node: Node) -> None:
    pid = node.info["pid"]
    threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(KernelDied, match="signal 9") as caught:
        node.run("console.error('last words'); while (true) {}")
    assert caught.value.exit_code == -9
    assert caught.value.stderr == "last words"
    assert node.eval("1") == 1
    assert node.info["pid"] != pid


def test_killed_while_idle(node: Node) -> None:
    node.run("x = 1; console.error('idle words')")
    kill(node)
    time.sleep(0.1)
    with pytest.warns(RuntimeWarning, match="signal 9"):
        assert node.eval("typeof x") == "undefined"


def test_killed_with_four_threads_waiting(node: Node) -> None:
    died: list[KernelDied] = []

    def wait() -> None:
        try:
            node.run("await new Promise(() => {})")
        except KernelDied as error:
            died.append(error)

    node.run("process.stderr.write('the end\\n')")
    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    kill(node)
    for thread in threads:
        thread.join(5)
    assert [error.exit_code for error in died] == [-9] * 4
    assert {error.stderr for error in died} == {"the end"}
    assert node.eval("1") == 1


def test_arrays_outlive_the_node_they_came_from(node: Node) -> None:
    mine = np.arange(10_000.0)
    born = bifrost.zeros(1000)
    theirs = node.run(
        "t = Float64Array.from({length: 5000}, (_, i) => i); z = bifrost.zeros([3, 4]);"
        "mine.typedArray[0] = 7; born.typedArray[1] = 8",
        {"mine": mine, "born": born},
    )
    kill(node)
    time.sleep(0.1)
    with pytest.warns(RuntimeWarning, match="signal 9"):
        node.run("1")
    for _ in range(3):
        node.run("u = new Float64Array(5000).fill(-1)")  # must not reuse the old one's memory
    assert theirs["t"].sum() == 4999 * 2500
    assert theirs["z"].shape == (3, 4)
    assert (mine[0], born[1]) == (7, 8)
    made = node.run("s = t.typedArray.reduce((a, b) => a + b)", {"t": theirs["t"]})
    assert made["s"] == 4999 * 2500


def test_killed_a_hundred_times_uses_nothing_up() -> None:
    with Node() as node:
        for number in range(70):
            array = node.run("a = new Uint8Array(5000).fill(n)", {"n": number})["a"]
            assert array[-1] == number
            del array
            node.cancel(restart=False)


def test_killed_while_a_large_argument_is_written(node: Node) -> None:
    node.run("1")
    threading.Timer(0.1, os.kill, (node.info["pid"], signal.SIGKILL)).start()
    with pytest.raises(KernelDied):
        deque((node.run("1", {"text": "x" * 30_000_000}) for _ in range(200)), maxlen=0)
    assert node.eval("1") == 1


def test_what_node_started_ends_with_it(node: Node) -> None:
    child = node.eval("require('child_process').spawn('sleep', ['100']).pid")
    kill(node)
    await_end(child)
    with pytest.warns(RuntimeWarning):
        child = node.eval("require('child_process').spawn('sleep', ['100']).pid")
    node.close()
    await_end(child)


def test_cancel_while_another_thread_runs(node: Node) -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            node.run("while (true) {}")
        except KernelDied as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.2)
    node.cancel()
    thread.join(5)
    assert len(caught) == 1
    assert node.eval("1") == 1


def test_a_program_that_closes_the_pipes_dies(node: Node) -> None:
    with pytest.raises(KernelDied):
        node.run("for (let fd = 3; fd < 40; fd++) try { require('fs').closeSync(fd) } catch {}")
    assert node.eval("1") == 1


@pytest.mark.parametrize(
    "script",
    [
        "const keep = []; for (;;) keep.push(new Array(1000).fill({}))",
        "const keep = []; const more = () => { for (let i = 0; i < 50; i++)"
        " keep.push(new Array(100_000).fill({})) };"
        " setInterval(more, 1); await new Promise(() => {})",
    ],
)
def test_out_of_memory(script: str) -> None:
    with Node(memory_limit=48) as node:
        node.run("kept = 1")
        with pytest.raises(KernelDied, match=r"(?s)ran out of memory.*memory_limit=") as caught:
            node.run(script)
        assert caught.value.exit_code is not None
        assert "heap" in caught.value.stderr
        assert "Native stack" not in caught.value.stderr
        assert node.eval("typeof kept") == "undefined"


def test_out_of_memory_outside_of_the_heap(node: Node) -> None:
    pid = node.info["pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    limit = int(status["VmData"].split()[0]) * 1024 + (200 << 20)
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
    with pytest.raises((KernelDied, JSError), match=r"out of memory|[Aa]llocat"):
        node.run("const keep = []; for (;;) keep.push(Buffer.alloc(1e7, 1))")
    node.cancel()
    assert node.eval("1") == 1


def test_every_call_has_an_exception_of_its_own(node: Node) -> None:
    """One that is raised again and again would collect tracebacks, and all that they hold."""
    f = node.eval("() => 1")
    kill(node)
    errors = []
    for _ in range(3):
        with pytest.raises(KernelDied) as caught:
            f()
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 3
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors[1:]}) == 1
    assert pickle.loads(pickle.dumps(errors[0])).exit_code == -9
    assert node.eval("1") == 1


@pytest.mark.parametrize("size", [10, 50_000_000])
@pytest.mark.parametrize("where", ["callback", "async callback", "result", "argument", "start"])
def test_killed_in_any_state(node: Node, where: str, size: int) -> None:
    """The thread that waits, and two that wait for other things, get the same answer."""
    died: list[KernelDied] = []

    def wait(script: str) -> None:
        with pytest.raises(KernelDied) as caught:
            node.run(script)
        died.append(caught.value)

    def end() -> str:
        kill(node)
        time.sleep(0.05)
        return "x" * size

    async def end_later() -> str:
        await asyncio.sleep(0.01)
        return end()

    threads = [
        threading.Thread(target=wait, args=("await new Promise(() => {})",)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    pid = node.info["pid"]
    use: dict[str, Callable[[], Any]] = {
        "callback": lambda: node.eval("f()", {"f": end}),
        "async callback": lambda: node.eval("await f()", {"f": end_later}),
        "result": lambda: node.eval(f"process.kill({pid}, 'SIGKILL'); 'x'.repeat({size})"),
        "argument": lambda: node.run("process.kill(process.pid, 'SIGKILL')", {"x": "x" * size}),
        "start": lambda: (node.cancel(restart=False), Dying().eval("1")),
    }
    with pytest.raises(KernelDied, match="signal 9"):
        use[where]()
    for thread in threads:
        thread.join(10)
    assert len(died) == 2
    assert node.eval("1") == 1


class Dying(Node):
    """Its first Node.js is killed while it starts."""

    def __init__(self) -> None:
        super().__init__(node_options=["--eval", "process.kill(process.pid, 'SIGKILL')"])


@pytest.mark.parametrize("waits", ["Ctrl-C", "timeout", "close", "another thread's cancel"])
def test_a_stopped_node_holds_nobody_up(node: Node, waits: str) -> None:
    node.run("1")
    os.kill(node.info["pid"], signal.SIGSTOP)
    if waits == "Ctrl-C":
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            node.run("1")
        timer.join()
    elif waits == "timeout":
        with pytest.raises(RunTimeout):
            node.eval("1", {"x": "x" * 10_000_000}, timeout=0.2)
    elif waits == "close":
        node.close()
    else:
        timer = threading.Timer(0.2, node.cancel)
        timer.start()
        with pytest.raises(KernelDied):
            node.eval("1", {"x": "x" * 10_000_000})
        timer.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert node.eval("1") == 1


# -- the death of Python

ALIVE = """
import os, sys, threading, time
from bifrost import Node
node = Node()
child = node.eval("require('child_process').spawn('sleep', ['100']).pid")
print(node.info['pid'], child, flush=True)
"""


@pytest.mark.parametrize(
    "state", ["time.sleep(100)", "node.run('while (true) {}')", "node.run('new Promise(() => {})')"]
)
def test_sigkill_of_python_ends_node_and_what_it_started(state: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", ALIVE + state], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    pids = [int(word) for word in program.stdout.readline().split()]
    time.sleep(0.2)
    program.kill()
    program.communicate()
    for pid in pids:
        await_end(pid)


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "os._exit(0)",
        "raise SystemExit",
        "node.run('setInterval(() => {}, 10); require(\"net\").createServer().listen(0); 1')",
        "node.run('new Promise(() => {}); 1')",
        "node.run('setTimeout(() => { while (true) {} }, 0); 1'); time.sleep(0.1)",
        "threading.Thread(target=node.run, args=('await new Promise(() => {})',), daemon=True)"
        ".start(); time.sleep(0.1)",
        "threading.Thread(target=node.run, args=('while (true) {}',), daemon=True).start();"
        "time.sleep(0.1)",
        "node.run('process.on(\"exit\", () => { while (true) {} })')",
        "import atexit; atexit.register(lambda: node.run('1'))",
        "import bifrost; bifrost.node.run('x = 1')",
        "os.kill(node.info['pid'], 19)",
        "keep = node.run('f = () => 1; a = new Float64Array(1000)')",
    ],
)
def test_python_ends_and_nothing_is_left(end: str) -> None:
    started = time.monotonic()
    done = python(ALIVE + end)
    assert time.monotonic() - started < 10
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for pid in map(int, done.stdout.split()[:2]):
        await_end(pid)


def test_exit_from_a_thread_that_is_no_daemon() -> None:
    done = python(
        """
        import threading
        from bifrost import Node
        node = Node()
        def work():
            import time; time.sleep(0.3)
            print(node.eval("await 1; 41 + 1"))
        threading.Thread(target=work).start()
        """
    )
    assert (done.stdout, done.stderr) == ("42\n", "")


# -- forks


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_os_fork_while_other_threads_run(node: Node) -> None:
    array = bifrost.zeros(1000)
    node.run("parents = 1; a.typedArray[0] = 1", {"a": array})
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            assert node.eval("1 + 1") == 2

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                status = 1
                with contextlib.suppress(BaseException):
                    signal.alarm(20)
                    fresh = node.eval("typeof parents") == "undefined"
                    shared = node.run("s = a.typedArray[0]", {"a": array})["s"] == 1
                    node.close()
                    status = 0 if fresh and shared else 2
                os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert node.eval("parents") == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_gives_no_memory_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bifrost.runtime.arena._WARM", 0)
    array = bifrost.zeros(1_000_000)
    array[:] = 3
    node.run("x = 1")
    child = os.fork()
    if child == 0:
        del array  # in the child only
        os._exit(0)
    os.waitpid(child, 0)
    assert array.min() == 3
    assert node.eval("x") == 1


def test_a_child_does_not_keep_node_alive() -> None:
    done = python(
        """
        import os, time
        from bifrost import Node
        node = Node()
        print(node.info['pid'], flush=True)
        if os.fork() == 0:
            os.close(1); os.close(2)
            time.sleep(3)
            os._exit(0)
        os.kill(os.getpid(), 9)
        """
    )
    await_end(int(done.stdout))


def test_leaks_are_seen(node: Node) -> None:
    """The leak check itself can fail."""
    before = leaks.Belongings.now()
    kept = node.run("f = () => 1")["f"]
    with pytest.raises(AssertionError, match="references"):
        leaks.check_references(node, seconds=0.2)
    with Node() as other:
        other.run("1")
        with pytest.raises(AssertionError, match="children"):
            leaks.check_belongings(before, seconds=0.1)
    del kept
