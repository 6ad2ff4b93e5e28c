"""`BIFROST_DEBUG=1`: a line on standard error for every message between Python and Node.js."""

from __future__ import annotations

import os
import reprlib
import threading
import time
from typing import Any, Final

import ormsgpack

from ..protocol.framing import HEADER_SIZE, FrameReader
from ..protocol.messages import Ext, Message

_PARENT_SIZE: Final = 4
_UNAWAITED: Final = 0xFFFF_FFFF

_short = reprlib.Repr()
_short.maxstring, _short.maxother = 50, 120
_short.maxlist = _short.maxdict = _short.maxlevel = 4


class Tracer:
    """Writes what one session sends and receives."""

    def __init__(self, node: int) -> None:
        """
        Args:
            node: the process id of Node, by which sessions are told apart.
        """
        self._node = node
        self._start = time.perf_counter()

    @staticmethod
    def wanted() -> bool:
        """Whether the environment asks for it."""
        return os.environ.get("BIFROST_DEBUG", "") not in ("", "0")

    def sent(self, frames: bytes) -> None:
        """Write a line for each frame that goes to Node."""
        reader = FrameReader()
        reader.feed(frames)
        while (frame := reader.next()) is not None:
            self._line("->", *frame)

    def received(self, kind: Message, ident: int, body: bytes) -> None:
        """Write a line for a frame that came from Node."""
        self._line("<-", kind, ident, body)

    def _line(self, direction: str, kind: Message, ident: int, body: bytes) -> None:
        seconds = time.perf_counter() - self._start
        number = f" {ident}" if ident else ""
        if kind is Message.CALL:
            parent = int.from_bytes(body[:_PARENT_SIZE], "little")
            if parent and parent != _UNAWAITED:
                number += f" (within {parent})"
            content = body[_PARENT_SIZE:]
        else:
            content = body
        text = (
            f"bifrost {self._node} {seconds:11.6f} {direction} {kind.name}{number} "
            f"{describe(kind, content)} [{len(body) + HEADER_SIZE} B, "
            f"{threading.current_thread().name}]\n"
        )
        # Not by way of sys.stderr: that may be a notebook's, which has locks of its own.
        os.write(2, text.encode(errors="backslashreplace"))


class TracedReader(FrameReader):
    """A reader of frames that writes a line for each."""

    __slots__ = ("_tracer",)

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def next(self) -> tuple[Message, int, bytes] | None:
        frame = super().next()
        if frame is not None:
            self._tracer.received(*frame)
        return frame


class _Mark:
    """Shown as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def describe(kind: Message, body: bytes) -> str:
    """What a message says, in short. It is only looked at: nothing is opened or held."""
    value = _read(body)
    if kind in (Message.CALL, Message.NOTIFY) and type(value) is list and value:
        return f"{value[0]}({', '.join(map(_short.repr, value[1:]))})"
    return _short.repr(value)


def _read(body: bytes) -> Any:
    try:
        return ormsgpack.unpackb(body, ext_hook=_mark)
    except ValueError:
        return _Mark("<no value>")


def _mark(code: int, body: bytes) -> _Mark:
    name = Ext(code).name if code in tuple(Ext) else str(code)
    value = _read(body) if code in _SHOWN else None
    try:
        return _Mark(_SHOWN[code](value))
    except (KeyError, TypeError, ValueError, IndexError):
        return _Mark(f"<{name} of {len(body)} B>")


#: How extensions are shown; those that are not here by their name and size.
_SHOWN: Final[dict[int, Any]] = {
    Ext.UNDEFINED: lambda value: "undefined",
    Ext.ERROR: lambda parts: f"<{parts['name']}: {_short.repr(parts['message'])}>",
    Ext.ARRAY: lambda parts: f"<array {parts[3]} {parts[4]} in slot {parts[0]}>",
    Ext.BLOB: lambda parts: f"<{parts[1]} bytes in slot {parts[0]}>",
    Ext.REFERENCE: lambda parts: f"<{parts[1]} #{parts[0]} of the sender>",
    Ext.HOME: lambda ident: f"<#{ident} of the receiver>",
    Ext.GRAPH: lambda bodies: _short.repr(_read(bodies[0])),
}
