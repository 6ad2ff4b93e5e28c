"""Ctrl-C while a thread waits for Node.js: first the JavaScript is stopped, then Python is."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal's own makes enum members, at a cost
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

_HERE: Final = Path(__file__).parent
#: Code that keeps tables of who holds what: it must not be left half way.
_TABLES: Final = frozenset(
    str(_HERE / name) for name in ("arena.py", "exchange.py", "memory.py", "mirrors.py")
)
_SIGINT: Final = int(signal.SIGINT)
#: A second Ctrl-C sooner than this, in seconds, is the same fist on the keyboard.
_REPEAT: Final = 0.3


class CtrlC:
    """Stands between SIGINT and its handler while the main thread makes a call.

    A handler that raises, as Python's own does, must not do so between reading bytes and
    taking them in. So what it raises is kept, in `error`, and the JavaScript is stopped;
    the caller raises it when that is done. A handler that only takes note changes nothing.

    Args:
        stop: called when the JavaScript is to be stopped.
        kill: called when the user insists.
    """

    def __init__(self, stop: Callable[[], None], kill: Callable[[], None]) -> None:
        self._stop = stop
        self._kill = kill
        self._previous: Any = None
        self._first = 0.0
        #: Whether Python code of the user's runs now, which may be interrupted as ever.
        self.direct = True
        #: What the handler raised.
        self.error: BaseException | None = None

    def __enter__(self) -> CtrlC:
        if threading.current_thread() is threading.main_thread():
            previous = _signal.getsignal(_SIGINT)
            if callable(previous):
                self._previous = previous
                _signal.signal(_SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            _signal.signal(_SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.direct and not _in_tables(frame):
            self._previous(number, frame)
            return
        try:
            self._previous(number, frame)
        except BaseException as error:  # noqa: BLE001 - it is raised later
            now = time.monotonic()
            if self.error is None:
                self.error, self._first = error, now
                self._stop()
            elif now - self._first > _REPEAT:
                self._kill()


def _in_tables(frame: FrameType | None) -> bool:
    """Whether a signal struck in the code that keeps the tables."""
    here = sys._getframe().f_code.co_filename
    while frame is not None and frame.f_code.co_filename != here:
        if frame.f_code.co_filename in _TABLES:
            return True
        frame = frame.f_back
    return False
