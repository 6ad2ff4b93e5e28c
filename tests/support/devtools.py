"""A client of Node's inspector: what DevTools say to it, over a WebSocket."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


class DevTools:
    """A connection to the inspector."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 0), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._stream = self._socket.makefile("rb")
        assert b" 101 " in self._stream.readline()
        while self._stream.readline() != b"\r\n":
            pass
        self._last = 0

    def send(self, method: str, **parameters: Any) -> int:
        """Send a command; return its id."""
        self._last += 1
        data = json.dumps({"id": self._last, "method": method, "params": parameters}).encode()
        # A client's frames are masked; zeros leave them as they are.
        self._socket.sendall(b"\x81" + struct.pack("!BH4x", 0x80 | 126, len(data)) + data)
        return self._last

    def _receive(self) -> dict[str, Any]:
        _, length = self._stream.read(2)
        if length >= 126:
            size, form = (2, "!H") if length == 126 else (8, "!Q")
            (length,) = struct.unpack(form, self._stream.read(size))
        message: dict[str, Any] = json.loads(self._stream.read(length))
        return message

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        ident = self.send(method, **parameters)
        while (message := self._receive()).get("id") != ident:
            pass
        result: dict[str, Any] = message["result"]
        return result

    def wait_for(self, event: str) -> dict[str, Any]:
        """The parameters of the next event of a kind."""
        while (message := self._receive()).get("method") != event:
            pass
        parameters: dict[str, Any] = message["params"]
        return parameters

    def __enter__(self) -> DevTools:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._socket.close()
