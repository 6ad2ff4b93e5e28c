"""The Node.js process: how it is started, signalled and ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .binaries import addon_path, find_node, js_main
from .memory import Memory
from .pipes import pipes_to_child

_OPTIONS: Final = (
    # Node's own checks abort the process when JavaScript is stopped inside a timer.
    "--no-force-async-hooks-checks",
    # `Node.inspect` returns the address: Node need not print it.
    "--inspect-publish-uid=http",
)
#: How long a Node that was asked to end may take before it is killed, in seconds.
_FAREWELL: Final = 2.0


@dataclass(frozen=True)
class Settings:
    """How a Node.js process is to be started.

    Attributes:
        cwd: its working directory; None follows Python's.
        env: environment variables to add (None as a value removes one).
        options: options for the `node` executable.
        memory_limit: limit of the JavaScript heap in MiB.
    """

    cwd: Path | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    options: Sequence[str] = ()
    memory_limit: int | None = None


class Kernel:
    """A Node.js process and Python's ends of its pipes.

    It leads a process group of its own, so that Ctrl-C in the terminal is Python's to
    handle, and that what it started ends with it.
    """

    def __init__(self, settings: Settings, memory: Memory) -> None:
        node = find_node()
        addon = addon_path()
        with pipes_to_child(True, True, False, False, False, False) as (theirs, ours):
            requests, control, replies, events, out, err = theirs
            options = [*_OPTIONS, *settings.options]
            if settings.memory_limit is not None:
                options.append(f"--max-old-space-size={settings.memory_limit}")
            environment = {**os.environ, **settings.env}
            wiring = [requests, control, replies, events, memory.fd, memory.size]
            wiring += [memory.region, memory.region_size]
            self._process = subprocess.Popen(
                [
                    str(node.path),
                    *options,
                    str(js_main()),
                    ",".join(map(str, wiring)),
                    str(addon) if addon else "",
                ],
                cwd=settings.cwd,
                env={name: value for name, value in environment.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[requests, control, replies, events, memory.fd],
                start_new_session=True,
            )
        self.requests, self.control, self.replies, self.events, self.out, self.err = ours
        for fd in (self.requests, self.control, self.replies, self.events):
            os.set_blocking(fd, False)
        self.owner = os.getpid()
        # Reentrant, because a signal handler interrupts and kills.
        self._lock = threading.RLock()
        self._reaped = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def interrupt(self, call: int) -> None:
        """Ask for one call to be stopped; works while JavaScript is busy."""
        with self._lock, contextlib.suppress(OSError):  # dead: who reads the replies will say so
            os.write(self.control, call.to_bytes(4, "little"))

    def signal_children(self) -> None:
        """Send SIGINT, as a terminal would, to what Node has started and may be waiting for."""
        for pid in _members(self.pid):
            if pid != self.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGINT)

    def kill(self) -> None:
        """End the process and all it started, at once."""
        with self._lock:
            # Once it is reaped its number may be another's.
            if self._reaped or self.owner != os.getpid():
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Close the pipes to Node, which makes it end. May be called again."""
        with self._lock:
            requests, self.requests = self.requests, -1
            control, self.control = self.control, -1
        for fd in (requests, control):
            if fd >= 0:
                os.close(fd)

    def reap(self, *, gently: bool) -> int | None:
        """Wait for the end of the process and return its exit code.

        Args:
            gently: let `process.on('exit')` handlers run first; otherwise kill it.
        """
        if self.owner != os.getpid():
            return None  # a forked child: the process is the parent's
        if gently:
            deadline = time.monotonic() + _FAREWELL
            pause = 0.0005
            while not self._has_ended() and time.monotonic() < deadline:
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
        self.kill()
        with self._lock:
            code = self._process.wait()
            self._reaped = True
        return code

    def _has_ended(self) -> bool:
        """Whether the process has ended; it keeps its number, and so its group, until reaped."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        try:
            status = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # the program ignores SIGCHLD, or waits for any child itself
            self._reaped = True
            return True
        return status is not None

    def abandon(self) -> None:
        """In a forked child: the pipes are the parent's, and locks may be held by its threads."""
        self._lock = threading.RLock()
        self.hang_up()
        for fd in (self.replies, self.events):
            os.close(fd)


#: What V8 prints when it has to give up.
_OUT_OF_MEMORY: Final = re.compile(r"^(?:FATAL ERROR|# Fatal).*(?:memory|allocation)", re.I | re.M)


def cause_of_death(last_lines: str) -> str:
    """What the last lines of Node's standard error say for its user, if anything."""
    if not _OUT_OF_MEMORY.search(last_lines):
        return ""
    return (
        "Node.js ran out of memory; its variables are lost, and the next call starts a new one."
        " bifrost.Node(memory_limit=4096) has a JavaScript heap of so many MiB; typed arrays"
        " and Buffers lie outside of it"
    )


def _members(group: int) -> list[int]:
    """The processes of a process group; on systems without /proc, none."""
    found = []
    with contextlib.suppress(OSError):
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.getpgid(int(folder.name)) == group:
                        found.append(int(folder.name))
    return found
