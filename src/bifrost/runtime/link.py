"""Frames to Node.js and from it, over one pipe each way, and what it prints meanwhile.

The thread that makes a call reads its own reply. Where several wait, one of them (the
leader) reads for all and hands over when it has its own. What comes unasked has a pipe
of its own, which the watcher reads.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from ..errors import KernelDied, ProtocolError
from ..protocol.framing import FrameReader
from ..protocol.messages import Message
from .kernel import Kernel
from .output import Output
from .trace import TracedReader, Tracer

#: After a reply that came this fast, in seconds, the next one is worth a short busy wait.
_SPIN: Final = 60e-6
_READ_SIZE: Final = 1 << 18

Frame = tuple[Message, int, bytes]


class Waiter:
    """A call that has not been answered. Its mail: its reply, calls made for it, wake-ups."""

    __slots__ = ("id", "mail")

    def __init__(self) -> None:
        self.id = 0  # until it is sent
        self.mail: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()


class Intake:
    """Which frames of a pipe have come, and have been opened: decoded, that is."""

    def __init__(self) -> None:
        self.count = 0
        self._closed: dict[int, int] = {}  # id(frame) -> the frame's number

    def came(self, frame: Frame) -> None:
        self.count += 1
        self._closed[id(frame)] = self.count

    def opened(self, frame: Frame) -> None:
        self._closed.pop(id(frame), None)

    def has_opened(self, count: int) -> bool:
        """Whether that many frames, counted modulo 2**32, have come and have been opened."""
        ahead = (count - self.count + (1 << 31)) % (1 << 32) - (1 << 31)
        first = min(list(self._closed.values()), default=math.inf)
        return ahead <= 0 and first > self.count + ahead


class Link:
    """The pipes between a session and its Node.

    Args:
        on_end: called when a pipe has ended: Node is gone.
        on_stray: called with a frame that nobody waits for any more.
    """

    def __init__(
        self, kernel: Kernel, on_end: Callable[[], None], on_stray: Callable[[Frame], None]
    ) -> None:
        self._kernel = kernel
        self._on_end = on_end
        self._on_stray = on_stray
        #: Why nothing can be sent any more; set by the session.
        self.death: KernelDied | None = None
        self.out = Output(kernel.out, "stdout")
        self.err = Output(kernel.err, "stderr")
        #: Held by who writes.
        self.sending = threading.Lock()
        #: Held by the leader.
        self.reading = threading.Lock()
        #: The calls that wait, by their ids.
        self.waiters: dict[int, Waiter] = {}
        #: Who looks after the events; must not wait for a turn to send without reading them.
        self.watcher: threading.Thread | None = None
        self._rest = b""  # of a frame that a writer had to leave
        self._parked: set[Waiter] = set()
        self._tracer = Tracer(kernel.pid) if Tracer.wanted() else None
        self._frames, self._events = (
            FrameReader() if self._tracer is None else TracedReader(self._tracer) for _ in range(2)
        )
        #: What has been taken in of either pipe; who decodes a frame says so.
        self.replies, self.events = Intake(), Intake()
        self._spin = _SPIN
        self._poll = select.poll()
        for fd in (kernel.replies, kernel.out, kernel.err):
            self._poll.register(fd, select.POLLIN)

    # -- reading: leader and followers

    def next(self, waiter: Waiter, deadline: float) -> Frame | None:
        """The next frame for a waiter, or None at the deadline or at Node's end."""
        while True:
            with contextlib.suppress(queue.Empty):
                frame = waiter.mail.get_nowait()
                if frame is not None:
                    return frame
                continue
            if self.death is not None:
                return None
            self._parked.add(waiter)
            if self.reading.acquire(blocking=False):
                self._parked.discard(waiter)
                try:
                    # Once Node is dead its pipes may be closed, and their numbers others'.
                    if waiter.mail.empty() and self.death is None:
                        return self._lead(waiter, deadline)
                finally:
                    self.reading.release()
                    self._promote()
                continue
            # Parked before the second look at the lock: the leader cannot miss this waiter.
            try:
                frame = waiter.mail.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            finally:
                self._parked.discard(waiter)
            if frame is not None:
                return frame

    def done(self, waiter: Waiter) -> None:
        """A call waits no more."""
        self.waiters.pop(waiter.id, None)
        while not waiter.mail.empty():
            frame = waiter.mail.get_nowait()
            if frame is not None:
                self._on_stray(frame)
        self.drain()
        if self._parked and not self.reading.locked():
            self._promote()  # the leader may have meant to hand over to this thread

    def _promote(self) -> None:
        """Let another waiter lead."""
        for waiter in list(self._parked):
            waiter.mail.put(None)
            return

    def _lead(self, waiter: Waiter, deadline: float) -> Frame | None:
        """Read, as the leader, until there is a frame for `waiter`."""
        replies = self._kernel.replies
        started = time.perf_counter()
        spin_until = started + self._spin
        while True:
            while (frame := self._next_frame()) is not None:
                mine = self._deliver(frame, waiter)
                if mine is not None:
                    return mine
            try:
                data = os.read(replies, _READ_SIZE)
            except BlockingIOError:
                data = None
            if data is None:  # not in the handler: Ctrl-C would have its exception as a context
                if time.perf_counter() < spin_until:
                    continue
                self._spin = max(self._spin * 0.9, 1e-6)
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return None
                self._wait_for_input(remaining)
                continue
            if not data:
                self._on_end()
                return None
            if time.perf_counter() - started < _SPIN:
                self._spin = _SPIN  # a busy wait is worth it, or would have been
            self._frames.feed(data)

    def _wait_for_input(self, seconds: float) -> None:
        """Sleep until a reply comes, passing on output."""
        for fd, _ in self._poll.poll(seconds * 1000):
            if fd == self._kernel.replies:
                continue
            if not (self.out if fd == self._kernel.out else self.err).drain():
                self._poll.unregister(fd)

    def _next_frame(self) -> Frame | None:
        try:
            frame = self._frames.next()
            if frame is not None:
                self.replies.came(frame)
            return frame
        except ProtocolError:
            self._kernel.kill()  # the stream cannot be read on
            self._on_end()
            raise

    def _deliver(self, frame: Frame, leader: Waiter) -> Frame | None:
        """Hand a frame to whom it concerns; return it if that is the leader."""
        kind, ident, body = frame
        if kind is Message.CALL:
            # The thread that waits for the run in which the call was made answers it.
            target = self.waiters.get(int.from_bytes(body[:4], "little"), leader)
        else:
            found = self.waiters.get(ident)
            if found is None:
                self._on_stray(frame)
                return None
            target = found
        if target is leader:
            return frame
        target.mail.put(frame)
        return None

    def drain(self) -> None:
        """Pass on what Node has printed up to now."""
        self.out.drain()
        self.err.drain()

    # -- events

    def read_events(self) -> None:
        """Take in what came unasked; handling it is for later."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._kernel.events, _READ_SIZE)
            if data:
                self._events.feed(data)
            else:
                self._on_end()

    def next_event(self) -> Frame | None:
        """One of the events that have been read, or None."""
        frame = self._events.next()
        if frame is not None and frame[0] is not Message.RELEASE:
            self.events.came(frame)
        return frame

    # -- sending

    def send(self, frame: bytes) -> None:
        """Write a frame.

        Raises:
            KernelDied: Node has ended.
        """
        with self.turn():
            self.write(frame)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold `sending`, from any thread."""
        if threading.current_thread() is self.watcher:
            # Who is sending may wait for Node, and Node for the watcher to read.
            while not self.sending.acquire(timeout=0.01):
                self.read_events()
        else:
            self.sending.acquire()
        try:
            yield
        finally:
            self.sending.release()

    def write(self, frame: bytes, deadline: float = math.inf) -> None:
        """Write a frame. The caller holds `sending`.

        What Node has not read at the deadline is left for who writes next.
        """
        if self._tracer is not None and frame:
            self._tracer.sent(frame)
        view = memoryview(self._rest + frame if self._rest else frame)
        self._rest = b""
        while view:
            if self.death is not None:
                raise self.death.anew()
            try:
                view = view[os.write(self._kernel.requests, view) :]
                continue
            except BlockingIOError:
                pass
            except OSError:
                self._on_end()
                continue
            if time.monotonic() >= deadline:
                self._rest = bytes(view)
                return
            self._make_room()

    def flush(self) -> None:
        """Go on with what was left to write, as far as Node reads."""
        if self._rest and self.sending.acquire(blocking=False):
            try:
                with contextlib.suppress(KernelDied):  # who waits will see that it has
                    self.write(b"", deadline=0.0)
            finally:
                self.sending.release()

    def _make_room(self) -> None:
        """Node is not reading: perhaps because it waits until Python reads. So read."""
        poll = select.poll()
        poll.register(self._kernel.requests, select.POLLOUT)
        leading = self.reading.acquire(blocking=False)
        try:
            if leading:
                poll.register(self._kernel.replies, select.POLLIN)
            for output in (self.out, self.err):
                if output.fd >= 0:
                    poll.register(output.fd, select.POLLIN)
            watching = threading.current_thread() is self.watcher
            if watching:
                poll.register(self._kernel.events, select.POLLIN)
            poll.poll(100)
            if watching:
                self.read_events()
            self.drain()
            if leading:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self._kernel.replies, _READ_SIZE)
                    if not data:
                        self._on_end()
                    self._frames.feed(data)
        finally:
            if leading:
                self.reading.release()
                self._promote()

    # -- the end

    def close(self) -> None:
        """Close every pipe. Whoever uses them holds a lock, and looks at `death` before."""
        with self.sending, self.reading:
            self._kernel.hang_up()
            for fd in (self._kernel.replies, self._kernel.events):
                os.close(fd)
            self.out.close()
            self.err.close()

    def abandon(self) -> None:
        """In a forked child: the pipes are the parent's, and so is who holds the locks."""
        self.sending, self.reading = threading.Lock(), threading.Lock()
        self._kernel.abandon()
        self.out.abandon()
        self.err.abandon()
