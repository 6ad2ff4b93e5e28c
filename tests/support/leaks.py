"""What a live test must leave as it found it: threads, processes, descriptors, shared memory."""

from __future__ import annotations

import functools
import gc
import json
import os
import threading
import time
import warnings
from dataclasses import dataclass
from typing import Any

import psutil

from bifrost import Node

#: Sets every variable to undefined, so that JavaScript's garbage collector can take it.
FORGET = """
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (%s.includes(name)) continue;
  try { globalThis[name] = undefined; } catch {}
}
gc();
await new Promise((resolve) => setTimeout(resolve, 5));
gc();
"""


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


@dataclass
class Belongings:
    """What this process has at one moment."""

    threads: set[str]
    children: set[int]
    descriptors: dict[int, str]
    shared: set[str]

    @classmethod
    def now(cls) -> Belongings:
        descriptors = {}
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue
            if not target.startswith("/memfd:bifrost"):  # the arena stays
                descriptors[int(name)] = target
        return cls(
            {thread.name for thread in threading.enumerate()},
            {child.pid for child in psutil.Process().children(recursive=True)},
            descriptors,
            # Semaphores of multiprocessing's are of this machine's other programs, too.
            {name for name in _listed("/dev/shm") if not name.startswith("sem.mp-")},
        )

    def missing_in(self, other: Belongings) -> dict[str, Any]:
        """What `other` has more than this."""
        more = {
            "threads": other.threads - self.threads,
            "children": other.children - self.children,
            "descriptors": {
                fd: target
                for fd, target in other.descriptors.items()
                if self.descriptors.get(fd) != target
            },
            "shared": other.shared - self.shared,
        }
        return {name: value for name, value in more.items() if value}


def check_belongings(before: Belongings, seconds: float = 10.0) -> None:
    """Wait until what was acquired is gone; fail if it stays."""
    deadline = time.monotonic() + seconds
    while more := before.missing_in(Belongings.now()):
        assert time.monotonic() < deadline, f"left behind: {more}"
        time.sleep(0.02)


@functools.cache
def _globals() -> str:
    with Node(node_options=["--expose-gc"]) as fresh:
        return json.dumps(fresh.eval("Object.getOwnPropertyNames(globalThis)"))


def counts(node: Node) -> dict[str, int]:
    """What the two sides of a session still hold of each other."""
    session = node._session
    assert session is not None
    theirs = session.call("counts")
    ours = session.exchange.counts
    return {f"js {k}": v for k, v in theirs.items()} | {f"py {k}": v for k, v in ours.items()}


def check_references(node: Node, seconds: float = 15.0) -> None:
    """Forget all variables of a Node (started with --expose-gc); nothing may be held any more."""
    session = node._session
    if session is None or session.dead:
        return
    script = FORGET % _globals()
    deadline = time.monotonic() + seconds
    while True:
        gc.collect()
        node.run(script, timeout=10)
        held = {name: count for name, count in counts(node).items() if count}
        if not held:
            return
        assert time.monotonic() < deadline, f"still held: {held}"


def close(node: Node) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it died was the test
        node.close()
