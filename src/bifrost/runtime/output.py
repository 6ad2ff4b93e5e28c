"""What the JavaScript prints, passed on to Python's `sys.stdout` and `sys.stderr`."""

from __future__ import annotations

import codecs
import os
import sys
import threading
from collections import deque
from typing import Any, Final

_SIZE: Final = 1 << 16


class Output:
    """The read end of one of Node's standard streams.

    Byte for byte where Python's stream takes bytes; decoded as UTF-8 (a character may
    arrive in two pieces) where it takes only text, as in a notebook.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._lock = threading.Lock()
        #: The last bytes, for the report when Node dies.
        self.tail: deque[bytes] = deque(maxlen=8)
        os.set_blocking(fd, False)

    def drain(self) -> bool:
        """Pass on what is there, without waiting. Return False once the stream has ended."""
        with self._lock:
            while True:
                try:
                    data = os.read(self.fd, _SIZE)
                except BlockingIOError:
                    return True
                except OSError:
                    return False
                if not data:
                    return False
                self.tail.append(data[-2048:])
                self._write(data)

    def _write(self, data: bytes) -> None:
        stream: Any = getattr(sys, self._name)
        if stream is None:
            return
        try:
            raw = getattr(stream, "buffer", None)
            if raw is not None:
                stream.flush()
                raw.write(data)
                raw.flush()
            else:
                stream.write(self._decoder.decode(data))
                stream.flush()
        except (OSError, ValueError):
            pass  # Python's own stream is closed: nowhere to print to

    def last_lines(self) -> str:
        """The end of what was printed, for an error message."""
        text = b"".join(self.tail).decode("utf-8", "replace")
        return "\n".join(text.strip().splitlines()[-12:])

    def close(self) -> None:
        with self._lock:
            os.close(self.fd)
