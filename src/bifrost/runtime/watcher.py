"""The thread that looks after Node.js while nobody waits for it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable

from ..errors import KernelDied, ProtocolError
from .kernel import Kernel
from .link import Frame, Link


class Watcher:
    """Passes on output, events and the end of Node.

    Output that comes while a thread waits for Node belongs to what that runs, and is that
    thread's to pass on.

    Args:
        on_wake: called after :meth:`wake`.
        on_event: called with each message that came unasked.
        on_end: called at the end of Node, or when the events cannot be read on.
    """

    def __init__(
        self,
        kernel: Kernel,
        link: Link,
        on_wake: Callable[[], None],
        on_event: Callable[[Frame], None],
        on_end: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._link = link
        self._on_wake = on_wake
        self._on_event = on_event
        self._on_end = on_end
        self._counting = threading.Lock()
        self._callers = 0
        self._rests = False
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

    def wake(self) -> None:
        """Have it look around. Safe inside the garbage collector."""
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
        while link.death is None:
            if not listening and not self._rests:
                for fd in outputs.keys() - ended:
                    poll.register(fd, select.POLLIN)
                listening = True
            for fd, _ in poll.poll():
                if fd == self._wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 4096)
                    self._on_wake()
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
            self._handle_events()

    def _handle_events(self) -> None:
        try:
            while (frame := self._link.next_event()) is not None:
                self._on_event(frame)
        except KernelDied:
            pass
        except ProtocolError:
            self._kernel.kill()  # the stream cannot be read on
            self._on_end()

    def _close(self) -> None:
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        self._wake_read = self._wake_write = -1

    def abandon(self) -> None:
        """In a forked child, which has no such thread."""
        self._close()
