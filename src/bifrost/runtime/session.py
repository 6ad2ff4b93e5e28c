"""A live peer: calls to Node.js and from it, from the start of its process to the end."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final, Protocol

from ..errors import KernelDied, ProtocolError, RunTimeout, ShareError
from ..protocol.codec import Codec
from ..protocol.framing import pack
from ..protocol.messages import VERSION, Message
from .coroutines import Coroutines
from .exchange import Exchange, Registry
from .host import METHODS
from .interrupts import CtrlC
from .kernel import Kernel, Settings, cause_of_death
from .link import Frame, Link, Waiter
from .memory import Memory
from .proxy import JSObject, make
from .stack import check_stack, nesting
from .tracebacks import forget_locals
from .watcher import Watcher

#: JavaScript that was told to stop may wait for a program it started: after so many seconds
#: that is interrupted too, and after so many more Node is killed.
_GRACE: Final = (1.5, 2.5)
#: A thread that waits looks around so often, in seconds.
_SLICE: Final = 0.5
#: What a forked child is told that uses what it has of its parent's Node.
_FORKED: Final = (
    "this belongs to the Node.js of the parent of this forked process; the child has a Node.js of"
    " its own, in which it can be made again"
)

_NO_PARENT: Final = bytes(4)
#: In its place: no thread waits for the answer, which comes among the events.
_UNAWAITED: Final = b"\xff" * 4

Settled = Callable[[bool, Any], object]


class Host(Protocol):
    """What Node.js may call in Python."""

    def serve(self, method: str, arguments: list[Any]) -> Any: ...


_live: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """One Node.js process, from its start to its end."""

    def __init__(self, settings: Settings, registry: Registry, host: Host) -> None:
        self._host = host
        memory = Memory()
        self.exchange = Exchange(
            memory, registry, settings.cwd, lambda ident, kind: make(self, ident, kind), self._await
        )
        self._codec = Codec(self.exchange)
        self._values = threading.RLock()  # encoding and decoding share state
        self._last_id = 0
        self._serving = threading.local()  # the call that each thread is answering, if any
        self._ending = threading.RLock()  # the garbage collector may close while we end
        self._is_ending = False
        self._is_farewell = False
        # Calls that no thread waits for: id -> who is to be told of the result.
        self._later: dict[int, Settled] = {}
        # Iterators that were left early: (what was iterated over, the iterator).
        self._abandoned: deque[tuple[JSObject, JSObject]] = deque()
        # Releases that came: (replies and events sent before, the body).
        self._returns: deque[tuple[int, int, bytes]] = deque()
        #: Where coroutines run that JavaScript starts, and what no thread waits for.
        self.coroutines = Coroutines()
        # Without an event loop for it, the latter is run one after the other in a thread.
        self._tasks: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None

        try:
            self._kernel = Kernel(settings, memory)
        except BaseException:
            self.exchange.end()
            raise
        self._link = Link(self._kernel, self._die, self._stray)
        self._watcher = Watcher(
            self._kernel, self._link, self._look_around, self._handle_event, self._die
        )
        self.exchange.on_drop = memory.on_drop = self._watcher.look_soon
        _live.add(self)
        _watch_forks()

        hello = self._link.waiters[0] = Waiter()
        try:
            self._watcher.start()
            frame, _ = self._finish(hello, None, math.inf, None)
        except BaseException:
            self.close(gently=False)
            raise
        #: What Node said of itself: version, pid, protocol, native.
        self.facts: dict[str, Any] = self._open(frame)
        if self.facts.get("protocol") != VERSION:
            self.close(gently=False)
            raise ProtocolError(
                f"the JavaScript half speaks {self.facts.get('protocol')}, not {VERSION}"
            )

    # -- calls

    @property
    def dead(self) -> KernelDied | None:
        """Why calls are no longer possible, or None."""
        return self._link.death

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
        __tracebackhide__ = True  # in pytest and IPython
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
        __tracebackhide__ = True
        check_stack()
        self._refuse_if_dead()
        if self._abandoned:
            self._end_abandoned()
        waiter = Waiter()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        parent = getattr(self._serving, "parent", _NO_PARENT)
        with CtrlC(lambda: self._interrupt(waiter), self._kernel.kill) as ctrl_c:
            with self._values:
                body = self._codec.encode([method, *arguments])
                ctrl_c.direct = False
                releases = self._drops()
                mirrors = self.exchange.memory.take_touched()
            with self._link.sending:
                waiter.id = self._next_id()
                self._link.waiters[waiter.id] = waiter
                if ctrl_c.error is not None:
                    self._interrupt(waiter)  # it came too early for the handler to do this
                try:
                    frame = pack(Message.CALL, waiter.id, parent + body)
                    self._link.write(releases + frame, deadline)
                except BaseException:
                    del self._link.waiters[waiter.id]
                    raise
            try:
                reply, stopped = self._finish(waiter, timeout, deadline, ctrl_c)
            except KernelDied:
                if ctrl_c.error is None:
                    raise
                raise ctrl_c.error from None
            ctrl_c.direct = self.exchange.runs_user_code
            # An exception's traceback keeps this frame: it must not hold what may lead back to
            # the exception by way of JavaScript, for no garbage collector would see that.
            with self._values:
                try:
                    values = [self._open(reply)]
                finally:
                    mirrors += self.exchange.memory.take_touched()
            if mirrors and method != "run":  # which looks after all there are
                self.exchange.memory.pull(mirrors)
        stopped = ctrl_c.error or stopped
        if reply[0] is Message.ERROR:
            raise stopped or values.pop()
        return values.pop(), stopped

    def notify(self, method: str, *arguments: Any) -> None:
        """Tell JavaScript something."""
        self._refuse_if_dead()
        with self._values:
            body = self._codec.encode([method, *arguments])
        self._link.send(pack(Message.NOTIFY, 0, body))

    # -- promises and coroutines

    def later(self, done: Settled, method: str, *arguments: Any) -> Callable[[], None]:
        """Call a method, and have `done(succeeded, result or exception)` called afterwards.

        Returns:
            Says, when called, that nobody is interested in it any more.

        Raises:
            ShareError, KernelDied: it could not be called.
        """
        check_stack()
        self._refuse_if_dead()
        with CtrlC(lambda: None, self._kernel.kill) as ctrl_c:
            with self._values:
                body = self._codec.encode([method, *arguments])
            ctrl_c.direct = False
            with self._link.turn():
                ident = self._next_id()
                self._later[ident] = done
                try:
                    self._link.write(pack(Message.CALL, ident, _UNAWAITED + body))
                except BaseException:
                    self._later.pop(ident, None)
                    raise
        if ctrl_c.error is not None:
            raise ctrl_c.error

        def forget() -> None:
            if self._later.pop(ident, None) is not None and self.dead is None:
                with contextlib.suppress(KernelDied):
                    self.notify("forget", ident)

        return forget

    def leave(self, source: JSObject, iterator: JSObject) -> None:
        """End an iterator that was left early. Safe inside the garbage collector."""
        if self.dead is None:
            self._abandoned.append((source, iterator))
            self._watcher.look_soon()

    def _end_abandoned(self) -> None:
        def done(succeeded: bool, value: Any) -> None:
            if not succeeded and not isinstance(value, KernelDied):
                traceback.print_exception(value)  # who left the iterator has gone on

        with contextlib.suppress(IndexError, KernelDied):
            while True:
                self.later(done, "abandon", *self._abandoned.popleft())

    def _next_id(self) -> int:
        """A new call's id. The caller holds `_sending`: Node relies on their order."""
        self._last_id = self._last_id % 0xFFFF_FFFF + 1
        return self._last_id

    def _done(self, frame: Frame) -> None:
        """A call that no thread waits for has been answered."""
        kind, ident, _ = frame
        callback = self._later.pop(ident, None)
        succeeded = kind is Message.RESULT
        try:
            value = self._open(frame)
        except Exception as error:  # noqa: BLE001 - who called gets it
            succeeded, value = False, error
        if callback is not None:
            callback(succeeded, value)

    def _await(self, ident: int, awaitable: Any) -> None:
        """JavaScript was given an awaitable: run it, and settle the promise it has there."""

        def done(succeeded: bool, value: Any) -> None:
            with contextlib.suppress(KernelDied):
                try:
                    self.notify("settle", ident, succeeded, value)
                except ShareError as error:
                    self.notify("settle", ident, False, error)
            if not succeeded and isinstance(awaitable, CoroutineType):  # others may wait for others
                forget_locals(value, awaitable.cr_code)

        self.coroutines.start(awaitable, done)

    def _open(self, frame: Frame, start: int = 0) -> Any:
        """Decode the value in a frame."""
        try:
            with self._values:
                return self._codec.decode(frame[2][start:] if start else frame[2])
        except ProtocolError:
            self._refuse_if_dead()  # what it mentions ended with Node
            raise
        finally:
            self._link.replies.opened(frame)
            self._link.events.opened(frame)
            if self._returns:
                self._watcher.look_soon()

    def _stray(self, frame: Frame) -> None:
        """The caller gave up: what a reply holds goes back, and JavaScript is answered."""
        if frame[0] is Message.CALL:
            self._handle_event(frame)
            return
        with contextlib.suppress(Exception):
            self._open(frame)

    def _interrupt(self, waiter: Waiter) -> None:
        if waiter.id:
            self._kernel.interrupt(waiter.id)

    def _finish(
        self, waiter: Waiter, timeout: float | None, deadline: float, ctrl_c: CtrlC | None
    ) -> tuple[Frame, BaseException | None]:
        """Wait for a call's reply, doing meanwhile what the JavaScript asks for.

        Returns:
            The reply, and why the call was stopped, if it was.
        """
        self._watcher.caller_waits()
        try:
            return self._wait(waiter, timeout, deadline, ctrl_c)
        finally:
            self._link.done(waiter)
            self._watcher.caller_left()

    def _wait(
        self, waiter: Waiter, timeout: float | None, deadline: float, ctrl_c: CtrlC | None
    ) -> tuple[Frame, BaseException | None]:
        stopped: BaseException | None = None  # why, once the call has been told to stop
        firmness = 0
        while True:
            try:
                self.coroutines.run_stranded()
                self._link.flush()
                frame = self._link.next(waiter, min(deadline, time.monotonic() + _SLICE))
                if frame is not None and frame[0] is not Message.CALL:
                    return frame, stopped
                failure = self._serve(frame, ctrl_c) if frame is not None else None
            except (KernelDied, ProtocolError):
                raise
            except BaseException as error:
                if not waiter.id:
                    raise  # Node is only starting
                failure = error  # a signal handler raised: JavaScript must not go on unattended
            if failure is None and ctrl_c is not None:
                failure = ctrl_c.error
            if self.dead is not None:
                if self._is_farewell and threading.current_thread().daemon:
                    threading.Event().wait()
                raise self._epitaph(stopped or failure, timeout)
            if stopped is None:
                if failure is None and time.monotonic() >= deadline:
                    failure = RunTimeout(
                        f"not done after {timeout:g} s; it was stopped,"
                        " variables are as it left them"
                    )
                if failure is None:
                    continue
                stopped = failure
                self._interrupt(waiter)
                deadline = time.monotonic() + _GRACE[0]
            elif time.monotonic() >= deadline:
                firmness += 1
                if len(self._link.waiters) == 1:
                    # It is this call that keeps Node busy.
                    (self._kernel.signal_children if firmness == 1 else self._kernel.kill)()
                elif firmness > 1:
                    raise self._give_up(stopped, timeout)
                deadline = time.monotonic() + _GRACE[1]

    def _epitaph(self, stopped: BaseException | None, timeout: float | None) -> BaseException:
        """What a call raises whose Node has died."""
        death = self.dead
        assert death is not None
        if stopped is not None and not isinstance(stopped, RunTimeout):
            return stopped
        if stopped is None:
            return death.anew()
        death.announced = True
        return RunTimeout(
            f"not done after {timeout:g} s; it could not be stopped (it was not running"
            " JavaScript), so Node.js was ended and its variables are lost"
        )

    def _refuse_if_dead(self) -> None:
        # In a forked child this comes before any lock, which other threads may have held.
        if self.dead is not None:
            raise self.dead.anew()

    def _give_up(self, stopped: BaseException, timeout: float | None) -> BaseException:
        """What a call raises that cannot be stopped, where killing Node would hurt others."""
        if not isinstance(stopped, RunTimeout):
            return stopped
        return RunTimeout(
            f"not done after {timeout:g} s; other calls keep Node.js busy, which will stop this"
            " one as soon as it can"
        )

    # -- calls from JavaScript

    def _serve(self, frame: Frame, ctrl_c: CtrlC | None) -> BaseException | None:
        """Answer a call from JavaScript.

        Returns:
            The KeyboardInterrupt, or the like, that is to go on once the JavaScript has stopped.
        """
        ident = frame[1]
        outgoing: BaseException | None = None
        failure: BaseException | None = None
        outer = getattr(self._serving, "parent", _NO_PARENT)
        self._serving.parent = ident.to_bytes(4, "little")
        try:
            with self._values:
                method, *arguments = self._open(frame, len(_NO_PARENT))
                mirrors = self.exchange.memory.take_touched()
            if mirrors:
                self.exchange.memory.pull(mirrors)
            if ctrl_c is not None:
                ctrl_c.direct = True
            nesting.depth += 1
            try:
                operation = METHODS.get(method)
                try:
                    if operation is None:
                        outcome = self._host.serve(method, arguments)
                    else:
                        outcome = operation(*arguments)
                finally:
                    if mirrors:
                        self.exchange.memory.push(mirrors)
                with self._values:
                    reply = pack(Message.RESULT, ident, self._codec.encode(outcome))
            finally:
                nesting.depth -= 1
                if ctrl_c is not None:
                    ctrl_c.direct = False
        except BaseException as error:  # noqa: BLE001 - JavaScript gets it, and Python too
            failure = error
            if not isinstance(error, Exception):
                outgoing = error
            reply = pack(Message.ERROR, ident, self._encode_error(error))
            arguments = []  # the exception's traceback keeps this frame
            if ctrl_c is None:  # nobody in Python waits for it
                forget_locals(error)
        finally:
            self._serving.parent = outer
        try:
            self._link.send(reply)
        finally:
            # Until now it held what it refers to, which must not be released on the way. From
            # here on its own traceback would keep it.
            del failure
        return outgoing

    def _encode_error(self, error: BaseException) -> bytes:
        with self._values:
            try:
                return self._codec.encode(error)
            except BaseException as again:  # noqa: BLE001 - RecursionError, say
                # JavaScript waits for an answer, so it gets one, whatever happens here.
                return self._codec.encode_exception(
                    error if isinstance(error, RecursionError) else again
                )

    # -- events

    def _handle_event(self, frame: Frame) -> None:
        kind, replies, body = frame
        if kind is Message.RELEASE:
            self._returns.append((replies, self._link.events.count, body))
            self._take_back()
            return
        if kind in (Message.RESULT, Message.ERROR) and not self.exchange.runs_user_code:
            self._done(frame)
            return
        if kind is Message.CALL and self.coroutines.submit(lambda: self._do(frame)):
            return
        with self._values:
            if self._worker is None:
                self._worker = threading.Thread(
                    target=self._work, name="bifrost-worker", daemon=True
                )
                self._worker.start()
        self._tasks.put(frame)

    def _take_back(self) -> None:
        """Take back what JavaScript let go, once all that it had sent before has been opened.

        That may have come on the other pipe and wait for its thread; it may mention the same.
        """
        while self._returns:
            replies, events, body = self._returns[0]
            if not (
                self._link.replies.has_opened(replies) and self._link.events.has_opened(events)
            ):
                return
            self._returns.popleft()
            with self._values:
                if self.dead is not None:
                    return  # all of it has been taken back
                for key, count in self._codec.decode(body):
                    if key < 0:
                        self.exchange.returned(-key, count)
                    else:
                        self.exchange.memory.returned(key, count)

    def _work(self) -> None:
        while (frame := self._tasks.get()) is not None:
            self._do(frame)

    def _do(self, frame: Frame) -> None:
        try:
            if frame[0] is Message.CALL:
                self._serve(frame, None)
            elif frame[0] is Message.NOTIFY:
                method, *arguments = self._open(frame)
                self._host.serve(method, arguments)
            else:
                self._done(frame)
        except KernelDied:
            pass
        except Exception:  # noqa: BLE001 - nobody waits for it
            traceback.print_exc()

    def _look_around(self) -> None:
        """Do what was put off because the garbage collector must not wait."""
        self._take_back()
        self._end_abandoned()
        self._send_releases()

    def _drops(self) -> bytes:
        """The message that says what Python let go of, if anything. The caller holds `_values`."""
        dropped = self.exchange.take_dropped()
        if not dropped:
            return b""
        return pack(Message.RELEASE, 0, self._codec.encode([list(pair) for pair in dropped]))

    def _send_releases(self) -> None:
        with self._values:
            frame = self._drops()
        if frame:
            with contextlib.suppress(KernelDied):
                self._link.send(frame)

    # -- the end

    def _die(self, *, gently: bool = False) -> None:
        """Node is gone, or is to go: reap it, and tell everybody who waits."""
        with self._ending:
            if self._is_ending:
                return
            self._is_ending = True
            if gently and self._link.sending.acquire(timeout=1.0):
                try:
                    self._kernel.hang_up()
                finally:
                    self._link.sending.release()
            code = self._kernel.reap(gently=gently)
            self._link.drain()
            last_lines = "" if gently else self._link.err.last_lines()
            death = KernelDied(code, last_lines, cause_of_death(last_lines))
            self._link.death = death
        with self._values:
            self.exchange.end()
        _live.discard(self)
        for waiter in list(self._link.waiters.values()):
            waiter.mail.put(None)
        self._tasks.put(None)
        self.coroutines.stop()
        while self._later:
            with contextlib.suppress(KeyError):
                self._later.popitem()[1](False, death.anew())
        self._watcher.wake()

    def close(self, *, gently: bool = True) -> None:
        """End Node and free what the session holds. Calls that wait raise KernelDied."""
        self._die(gently=gently)
        self._watcher.join(1.0)

    def farewell(self) -> None:
        """End Node because Python ends, or because nobody can reach it any more.

        Threads that still wait are daemons: Python stops them where they are, in silence.
        """
        self._is_farewell = True
        self.close()

    def abandon(self) -> None:
        """In a forked child: drop the parent's pipes, so that Node notices when the parent ends.

        The parent's other threads are not here, but locks that they held are.
        """
        self._is_ending = True
        self._link.death = KernelDied(None, "", _FORKED)
        self._values, self._ending = threading.RLock(), threading.RLock()
        self.exchange.on_drop = self.exchange.memory.on_drop = lambda: None
        self._link.abandon()
        self._watcher.abandon()


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
