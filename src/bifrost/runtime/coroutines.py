"""Where asyncio and a session meet: coroutines that wait for JavaScript, and that it starts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .session import Session


async def eventually(session: Session, method: str, *arguments: Any) -> Any:
    """Call a method of the JavaScript half and wait for its result without holding the thread.

    Cancelled, it leaves nothing waiting on either side.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(succeeded: bool, value: Any) -> None:
        if future.done():
            return
        if succeeded:
            future.set_result(value)
        elif isinstance(value, StopIteration):  # no future can hold one
            error = RuntimeError("a promise was rejected with StopIteration")
            error.__cause__ = value
            future.set_exception(error)
        else:
            future.set_exception(value)

    def done(succeeded: bool, value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
            loop.call_soon_threadsafe(settle, succeeded, value)

    forget = session.later(done, method, *arguments)
    del arguments  # else an exception's traceback would keep the promise that keeps the exception
    try:
        return await future
    finally:
        forget()


class Coroutines:
    """Runs the coroutines that JavaScript starts, and calls that no thread waits for.

    Coroutines run on :attr:`loop` while that runs, else on an event loop in a thread of its
    own; a task or future of asyncio's runs where it belongs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._submitted: deque[Callable[[], object]] = deque()
        #: The event loop that the user named, if any.
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self, awaitable: Any, done: Callable[[bool, Any], None]) -> None:
        """Run an awaitable; call `done(succeeded, value or exception)` when it is over."""

        async def run() -> None:
            try:
                value = await awaitable
            except BaseException as error:  # noqa: BLE001 - whatever it is, JavaScript gets it
                done(False, error)
            else:
                done(True, value)

        def begin() -> None:
            task = loop.create_task(run())
            self._tasks.add(task)  # a loop itself would let it be collected
            task.add_done_callback(self._tasks.discard)

        loop = self._loop_for(awaitable)
        try:
            loop.call_soon_threadsafe(begin)
        except RuntimeError as error:  # a future whose loop has been closed
            done(False, error)

    def _loop_for(self, awaitable: Awaitable[Any]) -> asyncio.AbstractEventLoop:
        if isinstance(awaitable, asyncio.Future):
            return awaitable.get_loop()
        if self.loop is not None and self.loop.is_running():
            return self.loop
        with self._lock:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                threading.Thread(
                    target=_run, args=(self._own,), name="bifrost-asyncio", daemon=True
                ).start()
            return self._own

    def submit(self, action: Callable[[], object]) -> bool:
        """Have the named loop do something that JavaScript waits for.

        Returns:
            Whether it will: there may be no such loop, or it may not be running.
        """
        loop = self.loop
        if loop is None or not loop.is_running():
            return False
        self._submitted.append(action)
        with contextlib.suppress(RuntimeError):  # closed in between: somebody finds it stranded
            loop.call_soon_threadsafe(self._next)
        return True

    def _next(self) -> None:
        with contextlib.suppress(IndexError):
            self._submitted.popleft()()

    def run_stranded(self) -> None:
        """Do what the loop cannot: it has ended, or its thread is the one that waits here."""
        while self._submitted and self.loop is not None:
            if self.loop.is_running() and asyncio._get_running_loop() is not self.loop:
                return
            self._next()

    def stop(self) -> None:
        """Cancel what runs on the loop that is ours, and end its thread."""
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            own.call_soon_threadsafe(own.stop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
