"""The thread that looks after Node.js while nobody waits for it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from ..errors import KernelDied, ProtocolError
from .kernel import Kernel
from .link import Frame, Link

#: How long what is not urgent may wait, in seconds. A thread that makes calls does it sooner.
_PAUSE: Final = 0.02


class Watcher:
    """Passes on output, events and the end of Node.

    Output that comes while a thread waits for Node belongs to what that runs, and is that
    thread's to pass on.

    Args:
        on_look: called a moment after :meth:`look_soon`.
        on_event: called with each message that came unasked.
        on_end: called at the end of Node, or when the events cannot be read on.
    """

    def __init__(
        self,
        kernel: Kernel,
        link: Link,
        on_look: Callable[[], None],
        on_event: Callable[[Frame], None],
        on_end: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._link = link
        self._on_look = on_look
        self._on_event = on_event
        self._on_end = on_end
        self._counting = threading.Lock()
        self._callers = 0
        self._rests = False
        self._is_to_look = False
        self._waking = threading.RLock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._watch, name="bifrost-watcher", daemon=True)
        link.watcher = self._thread

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, unless this is its own thread."""
        if threading.current_thread() is not self._thread and self._thread.ident is not None:
            self._thread.join(timeout=seconds)

    def look_soon(self) -> None:
        """Have it call `on_look` in a moment. Safe inside the garbage collector."""
        if not self._is_to_look:
            self._is_to_look = True
            self.wake()

    def wake(self) -> None:
        """Have it see what has changed. Safe inside the garbage collector."""
        with self._waking, contextlib.suppress(OSError):
            os.write(self._wake_write, b"w")

    def caller_waits(self) -> None:
        """A thread begins to wait for Node."""
        with self._counting:
            self._callers += 1

    def caller_left(self) -> None:
        """A thread has ended waiting."""
        with self._counting:
            self._callers -= 1
            rested = self._rests and not self._callers
            if rested:
                self._rests = False
        if rested:
            self.wake()

    def _leave_to_caller(self) -> bool:
        with self._counting:
            self._rests = self._callers > 0
            return self._rests

    def _watch(self) -> None:
        try:
            self._look_after()
        finally:
            self._on_end()
            self._link.close()
            with self._waking:
                self._close()

    def _look_after(self) -> None:
        link = self._link
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(self._kernel.events, select.POLLIN)
        outputs = {self._kernel.out: link.out, self._kernel.err: link.err}
        ended: set[int] = set()
        listening = False
        look_at: float | None = None
        while link.death is None:
            if not listening and not self._rests:
                for fd in outputs.keys() - ended:
                    poll.register(fd, select.POLLIN)
                listening = True
            pause = None if look_at is None else max(0.0, look_at - time.monotonic()) * 1000
            for fd, _ in poll.poll(pause):
                if fd == self._wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 4096)
                elif fd == self._kernel.events:
                    link.read_events()
                elif self._leave_to_caller():
                    for output in outputs.keys() - ended:
                        poll.unregister(output)
                    listening = False
                    break
                elif not outputs[fd].drain():
                    poll.unregister(fd)
                    ended.add(fd)
            self._attend(self._handle_events)
            if not self._is_to_look:
                continue
            if look_at is None:
                look_at = time.monotonic() + _PAUSE
            elif time.monotonic() >= look_at:
                look_at = None
                self._is_to_look = False
                self._attend(self._on_look)

    def _handle_events(self) -> None:
        while (frame := self._link.next_event()) is not None:
            self._on_event(frame)

    def _attend(self, action: Callable[[], None]) -> None:
        try:
            action()
        except KernelDied:
            pass
        except ProtocolError:
            self._kernel.kill()  # there is no going on
            self._on_end()

    def _close(self) -> None:
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        self._wake_read = self._wake_write = -1

    def abandon(self) -> None:
        """In a forked child, which has no such thread, nor those that hold the locks."""
        self._counting, self._waking = threading.Lock(), threading.RLock()
        self._close()
