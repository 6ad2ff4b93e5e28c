"""Timeouts and Ctrl-C stop the JavaScript, whatever it is doing, and keep its state."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from bifrost import Node, RunTimeout
from support import leaks

#: A WebAssembly function that loops for ever: (func (loop br 0)).
WASM = (
    "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0,"
    " 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11"
    "]))).exports.f()"
)

ENDLESS = {
    "loop": "while (true) {}",
    "loop with try": "while (true) { try { while (true) {} } catch {} finally {} }",
    "loop in a function": "(function f() { for (;;) Math.sin(1) })()",
    "promise": "new Promise(() => {})",
    "await": "await new Promise(() => {})",
    "await, then loop": "await 0; while (true) {}",
    "loop in a timer": "setTimeout(() => { while (true) {} }, 1); await new Promise(() => {})",
    "loop in each timer": "t = setInterval(() => { while (true) {} }, 1);"
    " await new Promise(() => {})",
    "loop in nextTick": "process.nextTick(() => { while (true) {} }); new Promise(() => {})",
    "loop in a microtask": "queueMicrotask(() => { while (true) {} }); 1; new Promise(() => {})",
    "promises without end": "const f = () => Promise.resolve().then(f); await f()",
    "ticks without end": "const g = () => process.nextTick(g); g(); await new Promise(() => {})",
    "regular expression": r"/^(a+)+$/.test('a'.repeat(50) + 'b')",
    "WebAssembly": WASM,
    "getter of a result": "o = { get x() { while (true) {} } }; 1",
    "getter of the value": "const o2 = {}; ({ get x() { while (true) {} } })",
    "getter of an error": "throw Object.defineProperty(new Error, 'x', "
    "{ get() { while (true) {} }, enumerable: true })",
    "loop in a catch": "try { throw 1 } catch { for (;;); }",
    "sort": "[3, 2, 1].sort(() => { while (true) {} })",
    "generator": "function* gen() { while (true) yield 1 } for (const i of gen());",
}

CLEAN_UP = "if (typeof t !== 'undefined') clearInterval(t); o = undefined"


@contextmanager
def ctrl_c(after: float, *more: float) -> Iterator[None]:
    """Send SIGINT to this process, as a terminal does, after some seconds."""

    def send() -> None:
        for pause in (after, *more):
            if over.wait(pause):
                return
            os.kill(os.getpid(), signal.SIGINT)

    over = threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("what", ENDLESS)
def test_timeout(node: Node, what: str) -> None:
    pid = node.info["pid"]
    node.run("kept = 1")
    started = time.monotonic()
    with pytest.raises(RunTimeout, match=r"0\.15 s; it was stopped"):
        node.eval(ENDLESS[what], timeout=0.15)
    assert time.monotonic() - started < 20
    node.run(CLEAN_UP)
    assert node.info["pid"] == pid
    assert node.eval("[await 1, kept, await new Promise((r) => setTimeout(() => r(2), 5))]") == [
        1, 1, 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "what", ["loop", "await", "await, then loop", "loop in each timer", "getter of a result"]
)
def test_ctrl_c(node: Node, what: str) -> None:
    pid = node.info["pid"]
    node.run("kept = 1")
    with ctrl_c(0.15), pytest.raises(KeyboardInterrupt):
        node.run(ENDLESS[what])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    node.run(CLEAN_UP)
    assert (node.info["pid"], node.eval("kept")) == (pid, 1)


def test_variables_are_as_the_stopped_script_left_them(node: Node) -> None:
    with pytest.raises(RunTimeout):
        node.run("a = 1; items.push(4); while (true) {}", {"items": [3]}, timeout=0.1)
    assert node.eval("[a, items]") == [1, [3, 4]]


def test_a_program_that_is_waited_for_is_interrupted_too(node: Node) -> None:
    node.run("kept = 1; const { execSync } = require('child_process')")
    started = time.monotonic()
    with pytest.raises(RunTimeout, match="was stopped"):
        node.run("execSync('sleep 100')", timeout=0.1)
    assert time.monotonic() - started < 20
    assert node.eval("kept") == 1


def test_what_cannot_be_stopped_is_ended(node: Node) -> None:
    script = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"
    blocked = "require('child_process').execSync('trap \"\" INT; sleep 100 & wait; sleep 100')"
    with pytest.raises(RunTimeout):  # either way
        node.run(script, timeout=0.1)
    with pytest.raises(RunTimeout, match="variables are lost"):
        node.run(blocked, timeout=0.1)
    assert node.eval("1") == 1


def test_a_timer_that_loops_can_be_stopped_by_the_next_call(node: Node) -> None:
    pid = node.info["pid"]
    node.run("setTimeout(() => { while (true) {} }, 1)")
    time.sleep(0.1)
    with pytest.raises(RunTimeout):
        node.run("1", timeout=0.2)
    assert node.eval("2", timeout=5) == 2
    assert node.info["pid"] == pid


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    "loop", ["while (true);", "while (true) pause();", "await 0; while (true);"]
)
def test_an_immediate_that_loops_keeps_nothing_from_the_others(
    node: Node, capfd: pytest.CaptureFixture[str], before: int, loop: str
) -> None:
    later = "setImmediate(() => log.push('later'));"
    endless = f"log = []; setImmediate(async () => {{ {loop} }}); {later * 2}"
    source = f"{endless} await new Promise(() => {{}})"
    with pytest.raises(RunTimeout, match="was stopped"):
        node.run("setImmediate(() => {});" * before + source, {"pause": lambda: None}, timeout=0.3)
    node.run("await new Promise((done) => setImmediate(done)); log.push('new')")
    assert node.eval("log") == ["later", "later", "new"]
    assert capfd.readouterr().err == ""
    node.run(
        "const start = performance.eventLoopUtilization();"
        "await new Promise((done) => setTimeout(done, 300));"
        "busy = performance.eventLoopUtilization(start).utilization"
    )
    # An immediate that was lost, but is counted, would keep the loop from resting.
    assert node.eval("busy") < 0.9


def test_ctrl_c_has_no_context(node: Node) -> None:
    with ctrl_c(0.3), pytest.raises(KeyboardInterrupt) as caught:
        node.run("while (true) {}")
    assert caught.value.__context__ is None


def test_a_second_ctrl_c_ends_what_does_not_stop(node: Node) -> None:
    node.run("1")
    started = time.monotonic()
    with ctrl_c(0.1, 0.5), pytest.raises(KeyboardInterrupt):
        node.run("require('child_process').execSync('trap \"\" INT; sleep 100; sleep 100')")
    assert time.monotonic() - started < 20
    with pytest.warns(RuntimeWarning, match="signal 9"):
        assert node.eval("1") == 1


def test_a_stopped_node_is_ended(node: Node) -> None:
    os.kill(node.info["pid"], signal.SIGSTOP)
    with pytest.raises(RunTimeout, match="variables are lost"):
        node.run("1", timeout=0.1)
    assert node.eval("1") == 1


def test_ctrl_c_while_arguments_are_encoded(node: Node) -> None:
    class Slow:
        pass

    def convert(_: Slow) -> int:
        time.sleep(30)
        return 1

    node.register_custom_serializer(convert, Slow)
    with ctrl_c(0.1), pytest.raises(KeyboardInterrupt):
        node.run("1", {"big": bytearray(10_000_000), "v": Slow()})
    assert node.eval("1") == 1


def test_ctrl_c_while_a_result_is_made(node: Node) -> None:
    def convert(_: object) -> int:
        time.sleep(30)
        return 1

    node.register_custom_deserializer(convert, "Thing")
    with ctrl_c(0.3), pytest.raises(KeyboardInterrupt):
        node.eval("class Thing { a = 1 }; new Thing")
    assert node.eval("1") == 1


def test_ctrl_c_after_the_run_is_over_is_pythons_own(node: Node) -> None:
    node.run("x = 1")
    with pytest.raises(KeyboardInterrupt), ctrl_c(0.1):
        time.sleep(5)
    assert node.eval("x") == 1


def test_an_interrupt_that_comes_too_late_changes_nothing(node: Node) -> None:
    node.run("")
    session = node._session
    assert session is not None
    for _ in range(20):
        node.run("n = 0")
        for ident in range(max(1, session._last_id - 3), session._last_id + 1):
            session._kernel.interrupt(ident)
        assert node.eval("for (let i = 0; i < 1e5; i++) n++; n") == 100_000
        assert node.eval("await 1; new Promise((r) => setTimeout(() => r(7), 2))") == 7


def test_a_handler_of_the_users_that_only_takes_note(node: Node) -> None:
    noted = []
    previous = signal.signal(signal.SIGINT, lambda *_: noted.append(1))
    try:
        with ctrl_c(0.1):
            assert node.eval("await new Promise((r) => setTimeout(() => r(5), 300))") == 5
    finally:
        signal.signal(signal.SIGINT, previous)
    assert noted == [1]


def test_another_signals_handler_that_raises(node: Node) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    previous = signal.signal(signal.SIGUSR1, ring)
    timer = threading.Timer(0.15, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Alarm):
            node.run("for (;;);")
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, previous)
    assert node.eval("1") == 1


def test_timeouts_of_other_threads(node: Node) -> None:
    outcomes: list[type[BaseException]] = []

    def work() -> None:
        try:
            node.run("await new Promise(() => {})", timeout=0.2)
        except RunTimeout as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes == [RunTimeout] * 6
    assert node.eval("1") == 1


def test_a_call_that_has_not_begun_can_time_out_and_hurts_nobody(node: Node) -> None:
    done: list[object] = []
    busy = "const end = Date.now() + 3000; while (Date.now() < end); 'undisturbed'"
    long = threading.Thread(target=lambda: done.append(node.eval(busy)))
    long.start()
    time.sleep(0.2)
    with pytest.raises(RunTimeout):
        node.run("late = 1", {"array": [1] * 1000}, timeout=0.2)
    assert not done
    long.join(10)
    assert done == ["undisturbed"]
    assert node.eval("typeof late") == "undefined"


def test_one_threads_timeout_leaves_another_threads_loop_alone(node: Node) -> None:
    if int(node.info["version"][1:3]) < 24:
        pytest.skip("older releases do not tell whose callback runs")
    done: list[object] = []
    busy = "const end = Date.now() + 1200; while (Date.now() < end); 'undisturbed'"
    waiting = threading.Thread(
        target=lambda: done.append(
            node.eval("await new Promise((r) => setTimeout(r, 100)); " + busy)
        )
    )
    waiting.start()
    with pytest.raises(RunTimeout):
        node.run("await new Promise(() => {})", timeout=0.4)
    waiting.join(10)
    assert done == ["undisturbed"]


def test_two_hundred_interrupts_at_random_times(node: Node) -> None:
    random.seed(7)
    pid = node.info["pid"]
    scripts = [*ENDLESS.values(), "1 + 1", "big = Array(2000).fill({a: [1, 2]})", "await 0"]
    scripts = [script for script in scripts if "get" not in script and "(a+)" not in script]
    for number in range(200):
        try:
            node.run(random.choice(scripts), {"given": number}, timeout=random.uniform(0, 0.03))
        except RunTimeout:
            pass
        for _ in range(5):
            # A timer of the script may have begun to loop when nobody was running any more.
            with suppress(RunTimeout):
                node.run(CLEAN_UP, timeout=1)
                break
        assert node.eval("given", timeout=10) in range(number - 9, number + 1)
    assert node.info["pid"] == pid, "it never had to be ended"
    assert node.eval("await new Promise((r) => setTimeout(() => r(9), 5))") == 9


def test_a_real_ctrl_c_in_a_program() -> None:
    script = (
        "import time\n"
        "from bifrost import Node\n"
        "with Node() as node:\n"
        "    node.run('kept = 5')\n"
        "    print('ready', flush=True)\n"
        "    try:\n"
        "        node.run('while (true) {}')\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped', node.eval('kept'), flush=True)\n"
        "    node.run('await new Promise(() => {})')\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "stopped 5\n"
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    _, error = program.communicate(timeout=10)
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert program.returncode in (-signal.SIGINT, 130)


def test_after_all_that_nothing_is_held(node: Node) -> None:
    for _ in range(10):
        with pytest.raises(RunTimeout):
            node.run("f = () => 1; while (true) {}", {"a": bytearray(100_000)}, timeout=0.02)
    leaks.check_references(node)


def test_a_large_argument_that_nobody_reads_yet(node: Node) -> None:
    """Its time is up while it is being written; the rest is written by who comes next."""
    busy = threading.Thread(
        target=node.run, args=("const end = Date.now() + 1000; while (Date.now() < end);",)
    )
    node.run("1")
    busy.start()
    time.sleep(0.1)
    with pytest.raises(RunTimeout):
        node.eval("text.length", {"text": "x" * 10_000_000}, timeout=0.2)
    assert node.eval("text.length", {"text": "y" * 1_000_000}) == 1_000_000
    busy.join()
