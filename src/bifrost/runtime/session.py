"""A live peer: calls to Node.js and from it, over one pipe each way.

The thread that makes a call reads its own reply. Where several wait, one of them (the
leader) reads for all and hands over when it has its own. A watcher thread looks after
what comes unasked -- output and calls while nobody waits, releases, the end of Node.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import select
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Final, Protocol

from ..errors import KernelDied, ProtocolError, RunTimeout
from ..protocol.codec import Codec
from ..protocol.framing import FrameReader, pack
from ..protocol.messages import VERSION, Message
from .exchange import Exchange, Registry
from .kernel import Kernel, Settings
from .memory import Memory
from .output import Output

#: After a reply that came this fast, in seconds, the next one is worth a short busy wait.
_SPIN: Final = 60e-6
#: How long JavaScript that was told to stop may take before Node is killed, in seconds.
_GRACE: Final = 5.0
_READ_SIZE: Final = 1 << 18

_NO_PARENT: Final = bytes(4)

Frame = tuple[Message, int, bytes]


class Host(Protocol):
    """What Node.js may call in Python."""

    def serve(self, method: str, arguments: list[Any]) -> Any: ...


class _Waiter:
    """A call that has not been answered. Its mail: its reply, calls made for it, wake-ups."""

    __slots__ = ("id", "mail")

    def __init__(self, ident: int) -> None:
        self.id = ident
        self.mail: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()


_live: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """One Node.js process, from its start to its end."""

    def __init__(self, settings: Settings, registry: Registry, host: Host) -> None:
        self._host = host
        memory = Memory()
        self.exchange = Exchange(memory, registry)
        self._codec = Codec(self.exchange)
        self._values = threading.RLock()  # encoding and decoding share state
        self._sending = threading.Lock()
        self._reading = threading.Lock()  # held by the leader
        self._counting = threading.Lock()
        self._ids = itertools.count(1)
        self._frames = FrameReader()
        self._waiters: dict[int, _Waiter] = {}
        self._parked: set[_Waiter] = set()
        self._callers = 0
        self._watcher_rests = False
        self._spin = _SPIN
        self._exit_code: int | None = None
        self._death: KernelDied | None = None
        self._ending = threading.Lock()

        self._kernel = Kernel(settings, memory)
        self._out = Output(self._kernel.out, "stdout")
        self._err = Output(self._kernel.err, "stderr")
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        for fd in (self._kernel.replies, self._kernel.out, self._kernel.err):
            self._poll.register(fd, select.POLLIN)
        self.exchange.on_drop = memory.on_drop = self._wake
        _live.add(self)
        _watch_forks()

        hello = self._waiters[0] = _Waiter(0)
        self._watcher = threading.Thread(target=self._watch, name="bifrost-watcher", daemon=True)
        self._watcher.start()
        try:
            (_, _, body), _ = self._finish(hello, None)
        except BaseException:
            self.close(gently=False)
            raise
        #: What Node said of itself: version, pid, protocol, native.
        self.facts: dict[str, Any] = self._decode(body)
        if self.facts.get("protocol") != VERSION:
            self.close(gently=False)
            raise ProtocolError(f"the JavaScript half speaks {self.facts.get('protocol')}, not {VERSION}")

    # -- calls

    @property
    def dead(self) -> KernelDied | None:
        """Why calls are no longer possible, or None."""
        return self._death

    @property
    def owner(self) -> int:
        """The process that started Node; a forked child must not use it."""
        return self._kernel.owner

    def call(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Call a method of the JavaScript half and return its result.

        Raises:
            ShareError: an argument cannot cross.
            RunTimeout: it was not done after `timeout` seconds, and has been stopped.
            KeyboardInterrupt: Ctrl-C; it has been stopped.
            KernelDied: Node ended.
        """
        value, stopped = self.perform(method, *arguments, timeout=timeout)
        if stopped is not None:
            raise stopped
        return value

    def perform(
        self, method: str, *arguments: Any, timeout: float | None = None
    ) -> tuple[Any, BaseException | None]:
        """Like `call`, but a call that was stopped still returns its value.

        Returns:
            The value, and the RunTimeout or KeyboardInterrupt that is to be raised.
        """
        waiter = _Waiter(next(self._ids))
        stopped: BaseException | None
        with self._interruptible(waiter) as interrupts:
            with self._sending:
                with self._values:
                    body = self._codec.encode([method, *arguments])
                    self._waiters[waiter.id] = waiter
                self._write(pack(Message.CALL, waiter.id, _NO_PARENT + body))
            (kind, _, reply), stopped = self._finish(waiter, timeout)
            value = self._decode(reply)
        if interrupts:
            stopped = KeyboardInterrupt()
        if kind is Message.ERROR:
            raise stopped or value
        return value, stopped

    def _decode(self, body: bytes) -> Any:
        with self._values:
            return self._codec.decode(body)

    @contextlib.contextmanager
    def _interruptible(self, waiter: _Waiter) -> Iterator[list[int]]:
        """Turn Ctrl-C into a request to stop the JavaScript, while this thread waits.

        KeyboardInterrupt must not strike between reading bytes and taking them in, so
        Python's own handler is set aside. A second Ctrl-C kills Node.
        """
        count: list[int] = []
        if threading.current_thread() is not threading.main_thread() or (
            signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield count
            return

        def stop(*_: Any) -> None:
            count.append(1)
            if len(count) == 1:
                self._kernel.interrupt(waiter.id)
            else:
                self._kernel.kill()

        signal.signal(signal.SIGINT, stop)
        try:
            yield count
        except KernelDied:
            if len(count) < 2:
                raise
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _finish(self, waiter: _Waiter, timeout: float | None) -> tuple[Frame, RunTimeout | None]:
        """Wait for a call's reply, doing meanwhile what the JavaScript asks for."""
        deadline = None if timeout is None else time.monotonic() + timeout
        late = False
        with self._counting:
            self._callers += 1
        try:
            while True:
                frame = self._next(waiter, deadline)
                if self._death is not None and frame is None:
                    self._death.announced = True
                    raise self._death
                if frame is None and not late:
                    late = True
                    deadline = time.monotonic() + _GRACE
                    self._kernel.interrupt(waiter.id)
                elif frame is None:
                    self._kernel.kill()
                    deadline = None
                elif frame[0] is Message.CALL:
                    self._serve(frame)
                else:
                    break
        except KernelDied:
            if late:
                raise RunTimeout(
                    f"not done after {timeout:g} s; it could not be stopped (it was not running"
                    " JavaScript), so Node.js was ended and its variables are lost"
                ) from None
            raise
        finally:
            self._waiters.pop(waiter.id, None)
            self._out.drain()
            self._err.drain()
            with self._counting:
                self._callers -= 1
                rested = self._watcher_rests and not self._callers
                if rested:
                    self._watcher_rests = False
            if rested:
                self._wake()
        if not late:
            return frame, None
        text = f"not done after {timeout:g} s; it was stopped, variables are as it left them"
        return frame, RunTimeout(text)

    # -- reading: leader and followers

    def _next(self, waiter: _Waiter, deadline: float | None) -> Frame | None:
        """The next frame for a waiter, or None at the deadline or at Node's end."""
        while True:
            with contextlib.suppress(queue.Empty):
                frame = waiter.mail.get_nowait()
                if frame is not None:
                    return frame
            if self._death is not None:
                return None
            self._parked.add(waiter)
            if self._reading.acquire(blocking=False):
                self._parked.discard(waiter)
                try:
                    if waiter.mail.empty():
                        return self._lead(waiter, deadline)
                finally:
                    self._reading.release()
                    self._promote()
                continue
            # Parked before the second look at the lock: the leader cannot miss this waiter.
            try:
                remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
                frame = waiter.mail.get(timeout=remaining)
            except queue.Empty:
                return None
            finally:
                self._parked.discard(waiter)
            if frame is not None:
                return frame

    def _promote(self) -> None:
        """Let another waiter lead."""
        for waiter in list(self._parked):
            waiter.mail.put(None)
            return

    def _lead(self, waiter: _Waiter, deadline: float | None) -> Frame | None:
        """Read, as the leader, until there is a frame for `waiter`."""
        replies = self._kernel.replies
        spin_until = time.perf_counter() + self._spin
        while True:
            while (frame := self._next_frame()) is not None:
                mine = self._deliver(frame, waiter)
                if mine is not None:
                    return mine
            try:
                data = os.read(replies, _READ_SIZE)
            except BlockingIOError:
                if time.perf_counter() < spin_until:
                    continue
                self._spin = max(self._spin * 0.9, 1e-6)
                if not self._wait_for_input(deadline):
                    return None
                continue
            if not data:
                self._die()
                return None
            if time.perf_counter() < spin_until:
                self._spin = _SPIN
            self._frames.feed(data)

    def _wait_for_input(self, deadline: float | None) -> bool:
        """Sleep until a reply comes, passing on output. Return False at the deadline."""
        started = time.perf_counter()
        remaining = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
        ready = self._poll.poll(remaining)
        for fd, _ in ready:
            if fd == self._kernel.replies:
                if time.perf_counter() - started < _SPIN:
                    self._spin = _SPIN  # it would have been worth a busy wait
            elif not (self._out if fd == self._kernel.out else self._err).drain():
                self._poll.unregister(fd)
        return bool(ready)

    def _next_frame(self) -> Frame | None:
        try:
            return self._frames.next()
        except ProtocolError:
            self._kernel.kill()  # the stream cannot be read on
            self._die()
            raise

    def _deliver(self, frame: Frame, leader: _Waiter) -> Frame | None:
        """Hand a frame to whom it concerns; return it if that is the leader."""
        kind, ident, body = frame
        if kind is Message.CALL:
            # The thread that waits for the run in which the call was made answers it.
            target = self._waiters.get(int.from_bytes(body[:4], "little"), leader)
        else:
            found = self._waiters.get(ident)
            if found is None:
                return None  # its caller has gone
            target = found
        if target is leader:
            return frame
        target.mail.put(frame)
        return None

    # -- sending

    def _write(self, frame: bytes) -> None:
        """Write a frame. The caller holds `_sending`."""
        view = memoryview(frame)
        while view:
            if self._death is not None:
                self._death.announced = True
                raise self._death
            try:
                view = view[os.write(self._kernel.requests, view) :]
            except BlockingIOError:
                self._make_room()
            except OSError:
                self._die()

    def _make_room(self) -> None:
        """Node is not reading: perhaps because it waits until Python reads. So read."""
        poll = select.poll()
        poll.register(self._kernel.requests, select.POLLOUT)
        leading = self._reading.acquire(blocking=False)
        try:
            if leading:
                poll.register(self._kernel.replies, select.POLLIN)
            poll.register(self._kernel.out, select.POLLIN)
            poll.register(self._kernel.err, select.POLLIN)
            poll.poll(100)
            self._out.drain()
            self._err.drain()
            if leading:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self._kernel.replies, _READ_SIZE)
                    if not data:
                        self._die()
                    self._frames.feed(data)
        finally:
            if leading:
                self._reading.release()

    def _serve(self, frame: Frame) -> None:
        """Answer a call from JavaScript."""
        _, ident, body = frame
        kind = Message.RESULT
        try:
            method, *arguments = self._decode(body[4:])
            outcome = self._host.serve(method, arguments)
        except Exception as error:
            kind, outcome = Message.ERROR, error
        with self._sending:
            with self._values:
                try:
                    reply = self._codec.encode(outcome)
                except Exception as error:
                    kind, reply = Message.ERROR, self._codec.encode(error)
            self._write(pack(kind, ident, reply))

    # -- the watcher

    def _wake(self) -> None:
        """Have the watcher look around. Safe inside the garbage collector."""
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"w")

    def _watch(self) -> None:
        kernel = self._kernel
        frames = FrameReader()
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(kernel.events, select.POLLIN)
        outputs = {kernel.out: self._out, kernel.err: self._err}
        ended: set[int] = set()
        listening = False
        while self._death is None:
            if not listening and not self._watcher_rests:
                for fd in outputs.keys() - ended:
                    poll.register(fd, select.POLLIN)
                listening = True
            for fd, _ in poll.poll():
                if fd == self._wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 4096)
                    self._send_releases()
                elif fd == kernel.events:
                    self._read_events(frames)
                elif self._leave_to_caller():
                    for output in outputs.keys() - ended:
                        poll.unregister(output)
                    listening = False
                    break
                elif not outputs[fd].drain():
                    poll.unregister(fd)
                    ended.add(fd)
        # Nobody else may be using what is closed now.
        with self._sending:
            kernel.hang_up()
        with self._reading:
            os.close(kernel.replies)
        os.close(kernel.events)
        self._out.close()
        self._err.close()

    def __del__(self) -> None:
        # Only now: until here a finalizer of some array may have wanted to wake the watcher.
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _leave_to_caller(self) -> bool:
        """While somebody waits, output is theirs to pass on: it belongs to what they run."""
        with self._counting:
            self._watcher_rests = self._callers > 0
            return self._watcher_rests

    def _read_events(self, frames: FrameReader) -> None:
        try:
            data = os.read(self._kernel.events, _READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self._die()
            return
        frames.feed(data)
        try:
            while (frame := frames.next()) is not None:
                kind, ident, body = frame
                if kind is Message.CALL:
                    self._serve(frame)
                elif kind is Message.NOTIFY:
                    method, *arguments = self._decode(body)
                    self._host.serve(method, arguments)
                elif kind is Message.RELEASE:
                    with self._values:
                        for slot, count in self._codec.decode(body):
                            self.exchange.memory.returned(slot, count)
        except KernelDied:
            pass
        except ProtocolError:
            self._kernel.kill()  # the stream cannot be read on
            self._die()

    def _send_releases(self) -> None:
        with contextlib.suppress(KernelDied), self._sending:
            with self._values:
                dropped = self.exchange.take_dropped()
                body = self._codec.encode([list(pair) for pair in dropped])
            if dropped and self._death is None:
                self._write(pack(Message.RELEASE, 0, body))

    # -- the end

    def _die(self, *, gently: bool = False) -> None:
        """Node is gone, or is to go: reap it, and tell everybody who waits."""
        with self._ending:
            if self._death is not None:
                return
            if gently and self._sending.acquire(timeout=1.0):
                try:
                    self._kernel.hang_up()
                finally:
                    self._sending.release()
            code = self._kernel.reap(gently=gently)
            self._out.drain()
            self._err.drain()
            self._death = KernelDied(code, "" if gently else self._err.last_lines())
        with self._values:
            self.exchange.end()
        _live.discard(self)
        for waiter in list(self._waiters.values()):
            waiter.mail.put(None)
        self._wake()

    def close(self, *, gently: bool = True) -> None:
        """End Node and free what the session holds. Calls that wait raise KernelDied."""
        self._die(gently=gently)
        if threading.current_thread() is not self._watcher:
            self._watcher.join(timeout=1.0)

    def abandon(self) -> None:
        """In a forked child: drop the parent's pipes, so that Node notices when the parent ends."""
        kernel = self._kernel
        self._death = KernelDied(None)
        kernel.hang_up()
        for fd in (kernel.replies, kernel.events, kernel.out, kernel.err):
            os.close(fd)


_forks_watched = False


def _watch_forks() -> None:
    global _forks_watched
    if not _forks_watched:
        _forks_watched = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for session in list(_live):
        session.abandon()
    _live.clear()

