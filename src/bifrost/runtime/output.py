"""What the JavaScript prints, passed on to Python's `sys.stdout` and `sys.stderr`."""

from __future__ import annotations

import codecs
import os
import re
import sys
import threading
from typing import Any, Final

_SIZE: Final = 1 << 16
_TAIL: Final = 1 << 14
#: Lines of a native stack and of the garbage collector, as Node prints them when it aborts.
_NATIVE: Final = re.compile(
    r"^\s*\d+: 0x[0-9a-f]+ |^-+ (?:Native|JavaScript|JS) stack|^<--- |^\[\d+:0x[0-9a-f]+\] |^#?$",
    re.I,
)


class Output:
    """The read end of one of Node's standard streams.

    Byte for byte where Python's stream takes bytes; decoded as UTF-8 (a character may
    arrive in two pieces) where it takes only text, as in a notebook.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._lock = threading.RLock()  # a stream of the user's may do anything, also call us
        self._tail = b""
        os.set_blocking(fd, False)

    def drain(self) -> bool:
        """Pass on what is there now, without waiting. Return False once the stream has ended.

        What is there now fits into the pipe: a program that prints without end must not
        keep its reader from everything else.
        """
        with self._lock:
            left = _SIZE
            while left > 0 and self.fd >= 0:
                try:
                    data = os.read(self.fd, left)
                except BlockingIOError:
                    return True
                except OSError:
                    return False
                if not data:
                    return False
                left -= len(data)
                self._tail = (self._tail + data)[-_TAIL:]
                self._write(data)
            return self.fd >= 0

    def _write(self, data: bytes) -> None:
        stream: Any = getattr(sys, self._name)
        if stream is None:
            return
        try:
            raw = getattr(stream, "buffer", None)
            if raw is not None:
                stream.flush()
                view = memoryview(data)
                while view:  # an unbuffered stream may take a part only
                    written = raw.write(view)
                    view = view[written if isinstance(written, int) else len(view) :]
                raw.flush()
            else:
                stream.write(self._decoder.decode(data))
                stream.flush()
        except Exception:  # noqa: BLE001
            pass  # the stream is closed or broken: there is nowhere to say so

    def last_lines(self) -> str:
        """The end of what was printed, for an error message."""
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        return "\n".join([line for line in lines if not _NATIVE.match(line)][-12:])

    def abandon(self) -> None:
        """In a forked child: the stream is the parent's, and so may be the lock."""
        self._lock = threading.RLock()
        self.close()

    def close(self) -> None:
        with self._lock:
            fd, self.fd = self.fd, -1
            if fd >= 0:
                os.close(fd)
