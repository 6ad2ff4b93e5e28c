"""One sandboxed Node.js: given one job, it runs slices, and is watched while it does.

Nothing that it does is trusted. It answers for the slice that is running and for no other, once, in
frames that are as they have to be, within its time and its share of messages; or it is killed, and
its slice has died. Nothing else suffers.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

import ormsgpack

from ..errors import BifrostError, ProtocolError
from ..protocol.parcels import Parcel
from . import sandbox
from .engine import Work
from .frames import Reader, Type, facts, frame, gather, parse
from .policy import Level, Policy

__all__ = ["Observed", "Worker", "WorkerDied"]

_READ_SIZE: Final = 1 << 18
#: Of what a Node prints, as it does when it has to give up, so many bytes are kept.
_LAST_WORDS: Final = 4096
#: So much may come from one slice in CONSOLE, EMIT and PROGRESS frames, and be printed.
MOST_MESSAGES: Final = 100_000
MOST_SAID: Final = 1 << 28
MOST_PRINTED: Final = 1 << 24
#: What bounds the time of a worker that must have a bound, in seconds.
STRICT_PROGRESS_TIMEOUT: Final = 30.0
#: A blank Node that does not say by then that it is there never will, in seconds.
_START_SECONDS: Final = 120.0
_IDENTS: Final = 1 << 32
_DAY: Final = 86_400.0  # poll() takes a month at most

#: What V8 and the C library print when there is no more memory.
_OUT_OF_MEMORY: Final = re.compile(
    r"^(?:FATAL ERROR|# Fatal)[^\n]*(?:memory|allocation)|std::bad_alloc|out of memory", re.I | re.M
)
#: How V8 ends where it can have no more memory, and sometimes cannot even say so.
_ABRUPT: Final = (signal.SIGSEGV, signal.SIGTRAP, signal.SIGABRT, signal.SIGILL, signal.SIGBUS)


class WorkerDied(BifrostError):
    """A worker has ended, or was ended, at a slice.

    Attributes:
        position: of that slice, among those of the `run`; None where the Node never came to be.
        code: ``EDIED``, ``ESLICETOOSLOW``, ``ENOPROGRESS``, ``EMEMORY``, ``EPROTOCOL`` or
            ``ECANCELLED`` (`Worker.interrupt`).
        reason: what happened, in words.
    """

    def __init__(self, position: int | None, code: str, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.code = code
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.position, self.code, self.reason))


class Observed(Protocol):
    """Is told what the slices do: `what` and `details` are those of `frames.parse`."""

    def __call__(self, position: int, what: str, *details: Any) -> None: ...


class Worker:
    """A sandboxed Node.js, for one thread: the one that makes it.

    It is blank, and may be made ahead; `assign` gives it its job, the only one that it will have.

    Args:
        level: how it is confined, see docs/sandbox.md.
        memory: bytes that it may use; None is this machine's share for one worker.

    Raises:
        SandboxError: the level is `strict`, and this system lacks a layer.
        NodeNotFound: there is no Node.js.
    """

    def __init__(self, level: str = "standard", memory: int | str | None = None) -> None:
        policy = Policy(sandbox=cast(Level, level), memory=memory)
        self._wanted = (policy.sandbox, policy.memory)
        self.level = policy.sandbox
        self.memory = int(policy.memory or sandbox.default_memory())
        self._child = sandbox.spawn(self.level, self.memory)
        #: What the Node says of itself, once it has: `version`, `pid`.
        self.facts: dict[str, Any] = {}
        self._reader = Reader()
        self._queue: deque[memoryview] = deque()
        self._sent = 0  # slices, of all runs
        self._last_words = b""
        self._printed = 0
        self._cancelled = False
        self._lock = threading.Lock()  # between `interrupt` and the end of the process
        self._ended = False
        self._policy = Policy()
        self._poll = select.poll()
        self._poll.register(self._child.replies, select.POLLIN)
        self._poll.register(self._child.output, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process id of the Node."""
        return self._child.process.pid

    def fileno(self) -> int:
        """The descriptor that becomes readable when the Node says something, or ends."""
        return self._child.replies

    def assign(self, work: Work) -> None:
        """Give the worker its job; what of it does not work shows in the slices."""
        self._policy = work.policy
        told = {
            "source": work.source,
            "modules": [[module.name, module.source] for module in work.modules],
            "arguments": work.arguments,
            "public": work.public,
        }
        self._queue.extend(gather(frame(Type.JOB, 0, [ormsgpack.packb(told)])))
        self._write()

    def fits(self, level: str, memory: int | str | None) -> bool:
        """Whether it is confined as a job wants it."""
        return self._wanted == (level, memory)

    def run(self, parcels: Sequence[Parcel], observe: Observed) -> None:
        """Run slices, one after the other, until each has a result or an error.

        Args:
            parcels: the input of each slice.
            observe: called with the position of a slice and with what it did: ``result``
                (seconds, parcel) or ``error`` (a dict) at its end; before that ``console`` (level,
                message, how often), ``work`` (name, parcel) and ``progress`` (fraction). When it
                raises something, that goes to the caller, and the worker can only be closed.

        Raises:
            WorkerDied: the worker ended. Its `position` is that of the first slice that was not
                answered; the slices behind it have not begun.
        """
        watch = _Watch(self._policy, self.level, len(parcels), self._sent)
        watch.begin(_START_SECONDS if not self.facts else None)
        pieces: list[bytes | memoryview] = []
        for parcel in parcels:
            pieces += frame(Type.SLICE, self._sent % _IDENTS, parcel)
            self._sent += 1
        self._queue.extend(gather(pieces))
        self._write()
        try:
            self._converse(watch, observe)
        except ProtocolError as error:
            self._die(watch.answered, "EPROTOCOL", f"the worker broke the protocol: {error}")

    def interrupt(self) -> None:
        """End the worker now, from any thread; `run` then raises WorkerDied (``ECANCELLED``)."""
        with self._lock:
            self._cancelled = True
            if not self._ended:
                self._child.process.kill()

    def close(self) -> None:
        """End the worker, and let go of all that it had. May be called again."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._child.process.kill()
            self._child.process.wait()
        for fd in (self._child.requests, self._child.replies, self._child.output):
            os.close(fd)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- frames

    def _write(self) -> None:
        """Write what Node takes now."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._queue:
                count = os.writev(self._child.requests, list(itertools.islice(self._queue, 64)))
                while count:
                    piece = self._queue[0]
                    if count < len(piece):
                        self._queue[0] = piece[count:]
                        break
                    count -= len(piece)
                    self._queue.popleft()
        if self._queue:
            self._poll.register(self._child.requests, select.POLLOUT)
        else:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._child.requests)

    def _converse(self, watch: _Watch, observe: Observed) -> None:
        child = self._child
        while not watch.is_done:
            wait = watch.deadline - time.monotonic()
            # What has come by the deadline counts, however long the reports took.
            timeout = None if wait == math.inf else max(0, math.ceil(min(wait, _DAY) * 1e3))
            for fd, event in self._poll.poll(timeout):
                if fd == child.replies:
                    if not self._read(watch, observe):
                        self._die(watch.answered, "EDIED", "")
                elif fd == child.output:
                    self._listen()
                elif event & (select.POLLERR | select.POLLHUP):
                    self._poll.unregister(fd)  # the end of the replies will say why
                    self._queue.clear()
                else:
                    self._write()
            if wait <= 0 and not watch.is_done and watch.deadline <= time.monotonic():
                self._die(watch.answered, *watch.overdue())

    def _read(self, watch: _Watch, observe: Observed) -> bool:
        """Take in what came; False at the end of the Node."""
        try:
            data = os.read(self._child.replies, _READ_SIZE)
        except BlockingIOError:
            return True
        self._reader.feed(data)
        for kind, ident, body in self._reader.frames():
            if kind is Type.READY:
                if self.facts:
                    raise ProtocolError("a second READY")
                self.facts = facts(body)
                watch.begin()
                continue
            what, details = parse(kind, body)
            position = watch.take(kind, ident, what, len(body))
            if what != "started":
                observe(position, what, *details)
        return bool(data)

    def _listen(self) -> None:
        """Keep the end of what Node prints."""
        try:
            data = os.read(self._child.output, _READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self._poll.unregister(self._child.output)
        self._printed += len(data)
        self._last_words = (self._last_words + data)[-_LAST_WORDS:]
        if self._printed > MOST_PRINTED:
            raise ProtocolError(f"it printed more than {MOST_PRINTED:,} bytes")

    # -- the end

    def _die(self, position: int, code: str, reason: str) -> None:
        """Raise what ended the worker; it has ended then."""
        with self._lock:
            cancelled = self._cancelled
            self._child.process.kill()  # it may have closed its pipe, and go on
            status = self._child.process.wait()
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._child.output, _READ_SIZE):
                self._last_words = (self._last_words + data)[-_LAST_WORDS:]
        if cancelled:
            code, reason = "ECANCELLED", "the worker was stopped"
        elif not reason:
            code, reason = self._cause(status)
        self.close()
        raise WorkerDied(position if self.facts else None, code, reason)

    def _cause(self, status: int) -> tuple[str, str]:
        words = self._last_words.decode("utf-8", "replace").strip()
        limit = f"(limit {self.memory / 1e6:,.0f} MB)"
        if _OUT_OF_MEMORY.search(words):
            return "EMEMORY", f"worker ran out of memory {limit}"
        if status == -signal.SIGKILL:
            return "EDIED", (
                f"worker closed its pipe, or was ended by signal 9 from outside {limit}; the"
                " system sends that, too, when it runs out of memory"
            )
        if -status in _ABRUPT and not words:
            return "EDIED", f"worker crashed (signal {-status}), perhaps for want of memory {limit}"
        how = f"by signal {-status}" if status < 0 else f"with exit code {status}"
        said = f"; its last words:\n{words[-1000:]}" if words else ""
        return "EDIED", f"worker ended {how}{said}"


class _Watch:
    """Over one run: whose turn it is, how long that takes, and how much it says."""

    def __init__(self, policy: Policy, level: str, count: int, first: int) -> None:
        self._slice = policy.slice_timeout
        self._silence = policy.progress_timeout
        if level == "strict" and self._slice is None and self._silence is None:
            self._silence = STRICT_PROGRESS_TIMEOUT
        self._count = count
        self._first = first
        #: How many slices have been answered: the position of the one whose turn it is.
        self.answered = 0
        self._is_running = False
        self._start_by = math.inf
        self._began = self._heard = math.inf
        self._messages = self._said = 0

    def begin(self, start_seconds: float | None = None) -> None:
        """It is a slice's turn, from now on; or the Node has yet to start."""
        now = time.monotonic()
        self._start_by = math.inf if start_seconds is None else now + start_seconds
        self._began = self._heard = now if start_seconds is None else math.inf

    @property
    def is_done(self) -> bool:
        return self.answered == self._count

    @property
    def deadline(self) -> float:
        """When the slice whose turn it is has had its time."""
        slow = math.inf if self._slice is None else self._began + self._slice
        silent = math.inf if self._silence is None else self._heard + self._silence
        return min(slow, silent, self._start_by)

    def overdue(self) -> tuple[str, str]:
        """Code and reason of a deadline that has passed."""
        if self._start_by < math.inf:
            return "EDIED", f"the worker did not start within {_START_SECONDS:.0f} s"
        if self._slice is not None and time.monotonic() >= self._began + self._slice:
            return "ESLICETOOSLOW", f"the slice took longer than {self._slice:g} s (slice_timeout)"
        return "ENOPROGRESS", (
            f"the slice did not call progress() for {self._silence:g} s (progress_timeout)"
        )

    def take(self, kind: Type, ident: int, what: str, size: int) -> int:
        """Judge a frame; return the position of its slice."""
        position = self.answered
        if position >= self._count or self._is_running is (kind is Type.STARTED):
            raise ProtocolError(f"a {kind.name} out of turn")
        if ident != (self._first + position) % _IDENTS:
            raise ProtocolError(f"a {kind.name} for slice {ident}, whose turn it is not")
        if kind is Type.STARTED:
            self._is_running = True
            self._messages = self._said = 0
            self.begin()
        elif kind in (Type.RESULT, Type.ERROR):
            self._is_running = False
            self.answered += 1
            self.begin()  # the next one's turn, whether it starts or not
        else:
            self._messages += 1
            self._said += size
            if self._messages > MOST_MESSAGES or self._said > MOST_SAID:
                raise ProtocolError(
                    f"more than {MOST_MESSAGES:,} messages, or {MOST_SAID:,} bytes of them, from"
                    " one slice"
                )
            if what == "progress":
                self._heard = time.monotonic()
        return position
