"""What users of the peers complain of in their issues, and what happens here.

The complaints are those of JSPyBridge and PythonMonkey: calls that fail after a fixed time, lost
events, rejections that end the engine, programs that do not exit, threads and forks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bifrost import JSError, Node

#: Seconds of work in one call; JSPyBridge's limits are 10 and 100 s.
LONG = float(os.environ.get("BIFROST_TEST_LONG_CALL", "1"))


def program(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.parametrize("how", ["busy", "waiting", "in Python"])
def test_long_calls_have_no_hidden_limit(node: Node, how: str) -> None:
    script = {
        "busy": "const end = Date.now() + ms; while (Date.now() < end); 'done'",
        "waiting": "new Promise((resolve) => setTimeout(resolve, ms, 'done'))",
        "in Python": "sleep(ms / 1000); 'done'",
    }[how]
    sleep = threading.Event().wait
    assert node.eval(script, {"ms": LONG * 1000, "sleep": sleep}) == "done"


def test_an_unhandled_rejection_is_reported_and_later_calls_work(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.eval("Promise.reject(new Error('nobody listens')); setImmediate(() => {}); 1")
    assert node.eval("new Promise((r) => setTimeout(r, 20, 2))") == 2
    assert "nobody listens" in capsys.readouterr().err


def test_an_error_in_a_listener_reaches_who_emitted(node: Node) -> None:
    emitter = node.require("events").new()

    def fail(value: int) -> None:
        raise LookupError(value)

    emitter.on("data", fail)
    with pytest.raises(LookupError):
        emitter.emit("data", 1)
    emitter.removeAllListeners()


def test_no_event_is_lost_when_listeners_are_added_in_one_turn(node: Node) -> None:
    # Between two calls JavaScript goes on; while it waits for a Python function it does not.
    seen: list[Any] = []
    done = threading.Event()

    def listen() -> None:
        source = node.eval(
            "const source = new (require('events'))();"
            "process.nextTick(() => source.emit('open')); source"
        )
        source.on("open", lambda: seen.append("open"))
        source.on("open", done.set)

    node.eval("(f) => { f(); }")(listen)
    assert done.wait(60)
    assert seen == ["open"]
    node.eval("source.removeAllListeners(); 0")


def test_twenty_thousand_callbacks_keep_nothing(node: Node) -> None:
    call = node.eval(
        "(f, n) => { let sum = 0; for (let i = 0; i < n; i++) sum += f({ i }); return sum; }"
    )
    assert call(lambda data: data["i"], 20_000) == sum(range(20_000))


def test_any_thread_may_call(node: Node) -> None:
    add = node.eval("(a, b, f) => f(a + b)")
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda n: add(n, 1, lambda x: x * 2), range(200)))
    assert sums == [2 * (n + 1) for n in range(200)]


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0"])
def test_a_program_with_listeners_timers_and_servers_exits(end: str) -> None:
    done = program(
        "from bifrost import node\n"
        "emitter = node.require('events').new()\n"
        "emitter.on('x', print)\n"
        "server = node.require('http').createServer(lambda q, r: r.end())\n"
        "server.listen(0)\n"
        "node.eval('setInterval')(lambda: None, 5)\n"
        f"emitter.emit('x', 'seen')\n{end}"
    )
    assert done.stdout == "seen\n"
    assert done.returncode == {"": 0, "raise SystemExit(3)": 3, "1 / 0": 1}[end]


def test_a_forked_child_has_a_node_of_its_own() -> None:
    done = program(
        "import os\nfrom bifrost import node\n"
        "node.eval('1')\n"
        "child = os.fork()\n"
        "print(node.eval('40 + 2'), flush=True)\n"
        "if not child: raise SystemExit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    assert (done.returncode, done.stdout) == (0, "42\n42\n"), done.stderr


def test_what_javascript_prints_can_not_disturb_the_bridge(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    # JSPyBridge speaks over standard error, and reserves words and prefixes.
    node.run('console.error(`{"r": 1}`); console.log("blob!"); const ffid = 5;')
    assert node.eval("({ ffid, r: 1 })") == {"ffid": 5, "r": 1}
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("blob!\n", '{"r": 1}\n')


def test_values_that_others_lose(node: Node) -> None:
    same = node.eval("(x) => x")
    values = [float("nan"), 2**70, -0.0, {1: 2}, {3}]
    assert str(same(values)) == str(values)


def test_node_is_the_real_one(node: Node) -> None:
    assert node.eval("[typeof process.versions.v8, typeof Buffer, typeof require('fs').read]") == [
        "string",
        "function",
        "function",
    ]
    assert node.import_("node:path").basename("/a/b") == "b"
    with pytest.raises(JSError):
        node.require("no-such-package-here")
