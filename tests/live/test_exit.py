"""Python ends: at once, with its exit code, in silence, and Node.js with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

ALIVE = "import os, sys, threading, time\nfrom bifrost import Node, node\nprint(node.info['pid'])\n"


def ended(pid: int) -> None:
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


def run(script: str, *, way: str = "-c") -> subprocess.CompletedProcess[str]:
    """Run a program; it has to end by itself."""
    return subprocess.run(
        [sys.executable, way, *([script] if way == "-c" else [])],
        input=script if way == "-" else "",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "lives",
    [
        "node.run('setInterval(() => {}, 5); setTimeout(() => {}, 1e6)')",
        "node.run('setInterval(f, 1)', {'f': lambda: time.sleep(0.05)}); time.sleep(0.1)",
        "node.run('await new Promise(d => require(\"http\").createServer().listen(0, d))')",
        'node.eval(\'f => { e = new (require("events"))(); e.on("x", f); }\')(print)',
        "node.eval('f => process.on(\"exit\", f)')(lambda *_: None)",
        "kept = node.eval('[1, 2].map(() => new Promise(() => {}))')",
        "rejected = node.eval('() => Promise.reject(new Error(1))')()",
        "import asyncio; node.run('f(); 0', {'f': lambda: asyncio.sleep(100)})",
        "import asyncio\n"
        "async def forever():\n"
        "    try:\n"
        "        while True: await asyncio.sleep(0.01)\n"
        "    finally: await asyncio.sleep(0)\n"
        "node.run('f(); 0', {'f': forever}); time.sleep(0.05)",
        'node.run(\'require("child_process").spawn("sleep", ["100"]); 0\')',
        'node.run(\'new (require("worker_threads").Worker)("for (;;);", { eval: true }); 0\')',
        'stream = iter(node.eval(\'require("fs").createReadStream("/dev/zero")\')); next(stream)',
        "loop = iter(node.eval('(function* () { for (;;) yield {}; })')()); next(loop)",
        "others = [Node() for _ in range(3)]; [other.run('x = 1') for other in others]",
    ],
    ids=lambda script: script[:40],
)
def test_whatever_is_alive(lives: str) -> None:
    done = run(ALIVE + lives)
    assert (done.returncode, done.stderr) == (0, "")
    ended(int(done.stdout.split()[0]))


def test_a_thread_that_goes_on_for_a_while() -> None:
    done = run(
        ALIVE
        + textwrap.dedent(
            """
            def work():
                until = time.monotonic() + 0.3
                count = 0
                while time.monotonic() < until:
                    assert node.eval("f(1)", {"f": lambda x: x + 1}) == 2
                    count += 1
                print("worked" if count else "idle")
            threading.Thread(target=work).start()
            """
        )
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("worked\n")


@pytest.mark.parametrize("registered", ["before", "after"])
def test_a_handler_of_atexit_that_uses_node(registered: str) -> None:
    """Those registered after the first use run before Node ends; others have a new one."""
    lines = [
        "import atexit, os, sys\nfrom bifrost import node",
        "atexit.register(lambda: print(node.eval('typeof x'), node.eval('1 + 1'), flush=True))",
        "node.run('x = 1')",
    ]
    if registered == "after":
        lines[1:] = reversed(lines[1:])
    done = run("\n".join(lines))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("number 2\n" if registered == "after" else "undefined 2\n")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("node.run('f()', {'f': lambda: sys.exit(3)})", 3),
        ("node.run('try { f() } catch {} for (;;);', {'f': lambda: sys.exit(3)})", 3),
        ("node.eval('(f) => [1].map(() => f())')(lambda: sys.exit(4))", 4),
        ("node.run('await 0; await g()', {'g': lambda: sys.exit(5)})", 5),
        ("node.run('f(() => g())', {'f': lambda h: h(), 'g': lambda: sys.exit(6)})", 6),
        ("os._exit(7)", 7),
        ("node.run('x = 1'); raise SystemExit", 0),
    ],
)
def test_exit_codes(script: str, code: int) -> None:
    done = run(ALIVE + script)
    assert (done.returncode, done.stderr) == (code, "")
    ended(int(done.stdout.split()[0]) if done.stdout else 0)


@pytest.mark.parametrize("way", ["-", "-c"])
def test_scripts_without_a_file(way: str) -> None:
    done = run(
        "from bifrost import node\nprint(node.eval('f(20)', {'f': lambda x: x + 1}))\n", way=way
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "21\n", "")


@pytest.mark.parametrize("state", ["idle", "running", "in a callback", "serving"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_signals_that_end_python_end_node(state: str, number: signal.Signals) -> None:
    does = {
        "idle": "",
        "running": "threading.Timer(0.1, say).start(); node.run('for (;;);')",
        "in a callback": "node.run('f()', {'f': lambda: (say(), time.sleep(60))})",
        "serving": "node.run('setInterval(f, 1)', {'f': lambda: 1}); time.sleep(0.1)",
    }[state]
    if state in ("idle", "serving"):
        does += "\nsay(); time.sleep(60)"
    # Under nohup, and in some CI, the tests ignore SIGHUP, and their children inherit that.
    heeds = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n"
    script = heeds + ALIVE + f"def say(): print('ready', flush=True)\n{does}"
    program = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    assert program.stdout.readline() == "ready\n"
    assert psutil.pid_exists(pid)
    os.kill(program.pid, number)
    _, error = program.communicate(timeout=20)
    assert (program.returncode, error) == (-number, "")
    ended(pid)
