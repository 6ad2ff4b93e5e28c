"""Frames that arrive together, where Node reads one of them with its event loop stopped."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import bifrost
from bifrost import Node
from bifrost.frontend.workspace import Workspace


class Slow(dict[str, Any]):
    """A namespace whose `slow` takes its time, and says when it is asked."""

    def __init__(self) -> None:
        super().__init__(slow=1)
        self.asked = threading.Event()
        self.go = threading.Event()

    def __getitem__(self, name: str) -> Any:
        if name == "slow" and not self.go.is_set():
            self.asked.set()
            assert self.go.wait(20)
        return super().__getitem__(name)


def test_a_call_that_arrives_with_an_answer_is_served() -> None:
    with Node() as node:
        namespace = Slow()
        results: list[Any] = []
        # From a timer: no loop over arrived frames is under way that would go on with the next.
        source = "await new Promise(done => setTimeout(done, 10)); slow + 1"
        first = threading.Thread(
            target=lambda: results.append(
                node.run_cell(source, Workspace(namespace), "cell", wants_value=True)
            )
        )
        node.eval("1")
        namespace.go.set()  # `begin` looks at the values as well
        namespace.go.clear()
        first.start()
        assert namespace.asked.wait(20)
        second = threading.Thread(target=lambda: results.append(node.eval("40 + 2")))
        pid = node.info["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            namespace.go.set()
            time.sleep(0.3)  # the answer is in the pipe
            second.start()
            time.sleep(0.3)  # and the call behind it
        finally:
            os.kill(pid, signal.SIGCONT)
        first.join(20)
        second.join(20)
        assert sorted(results) == [2, 42]


def test_a_release_does_not_overtake_what_was_sent_before_it(node: Node) -> None:
    """It has another pipe; and the thread that the reply is for may be late in reading it."""

    class Box:
        pass

    go = node.eval(
        """(make, array) => new Promise((done) => setTimeout(() => {
          let answer = [make(), array];
          array = undefined;
          setTimeout(() => { done(answer); answer = undefined; }, 200);
        }, 10))"""
    )
    node.run("const cleaning = setInterval(() => gc(), 20)")
    previous = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.6))
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    array = bifrost.zeros(1000)
    timer.start()
    try:
        made = node.eval("await go(Box, array)", {"go": go, "Box": Box, "array": array})
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, previous)
    assert type(made[0]) is Box
    assert made[1] is array
    node.run("clearInterval(cleaning)")
