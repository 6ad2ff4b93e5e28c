"""The frames between Python and a sandboxed Node.js (docs/sandbox.md), and what they mean.

What comes from there is from code that nobody vouches for: it is taken for bytes, never for
objects of ours, and whatever is not as it has to be is a `ProtocolError`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Final

import ormsgpack

from ..errors import ProtocolError

_HEADER: Final = struct.Struct("<IBI")
_DOUBLE: Final = struct.Struct("<d")
#: Of a console message or an error; a result may be as long as a frame can be.
_MOST_TEXT: Final = 1 << 22
_MOST: Final = 1 << 30
#: Shorter pieces are faster joined than written on their own.
_SHORT: Final = 1 << 14
#: Longer bodies are not copied on their way.
_LONG: Final = 1 << 18


class Type(IntEnum):
    """What a frame is. `js/sandbox/channel.js` has the same names and numbers."""

    JOB = 1
    SLICE = 2
    READY = 16
    STARTED = 17
    RESULT = 18
    ERROR = 19
    CONSOLE = 20
    EMIT = 21
    PROGRESS = 22


def frame(kind: Type, ident: int, pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return a frame in pieces: its header, and the body's."""
    length = sum(map(len, pieces))
    if length > _MOST:
        raise ProtocolError(f"a message of {length:,} bytes exceeds the limit of {_MOST:,}")
    return [_HEADER.pack(length, kind, ident), *pieces]


def gather(pieces: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Join short pieces of frames, so that few calls write them all; copy no long ones."""
    short: list[bytes | memoryview] = []
    for piece in pieces:
        if len(piece) < _SHORT:
            short.append(piece)
            continue
        if short:
            yield memoryview(b"".join(short))
            short.clear()
        yield memoryview(piece).cast("B")
    if short:
        yield memoryview(b"".join(short))


class Reader:
    """Turns the stream from a worker into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0
        self._head: tuple[Type, int, int] | None = None  # of the frame whose body is to come

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def frames(self) -> Iterator[tuple[Type, int, bytes | memoryview]]:
        """Yield the frames that have come whole; long bodies are memory of their own, not copied.

        Raises:
            ProtocolError: what came is no frame.
        """
        while (head := self._head or self._next_head()) is not None:
            kind, length, ident = head
            end = self._start + length
            if len(self._buffer) < end:
                self._head = head
                return
            self._head = None
            if length > _LONG:
                yield kind, ident, self._taken(length)
                continue
            with memoryview(self._buffer) as view:
                body = bytes(view[self._start : end])
            self._start = end
            yield kind, ident, body

    def _next_head(self) -> tuple[Type, int, int] | None:
        if len(self._buffer) - self._start < _HEADER.size:
            return None
        length, number, ident = _HEADER.unpack_from(self._buffer, self._start)
        kind = _FROM_NODE.get(number)
        if kind is None:
            raise ProtocolError(f"a frame of type {number}")
        if length > (_MOST if kind in (Type.RESULT, Type.EMIT) else _MOST_TEXT):
            raise ProtocolError(f"a frame of {length:,} bytes")
        self._start += _HEADER.size
        return kind, length, ident

    def _taken(self, length: int) -> memoryview:
        """A body, as a part of the buffer, which is given away: what is behind it gets another."""
        body, start, end = self._buffer, self._start, self._start + length
        self._buffer, self._start = body[end:], 0
        del body[end:]
        return memoryview(body)[start:]


_FROM_NODE: Final = {int(kind): kind for kind in Type if kind >= Type.READY}


def parse(kind: Type, body: bytes | memoryview) -> tuple[str, tuple[Any, ...]]:
    """Return what a frame says, and the details of that.

    ``started`` (); ``result`` (seconds, parcel); ``error`` (a dict with the texts ``name``,
    ``message``, ``stack`` and ``code``, and where there are such ``retries``, a number, and
    ``properties``, a parcel); ``console`` (level, message, how often it came); ``work`` (name,
    parcel); ``progress`` (fraction).

    Raises:
        ProtocolError: the body is not as docs/sandbox.md has it.
    """
    try:
        if kind is Type.STARTED and not body:
            return "started", ()
        if kind is Type.RESULT:
            (milliseconds,) = _DOUBLE.unpack_from(body)
            return "result", (_within(milliseconds / 1e3, 1e9), body[_DOUBLE.size :])
        if kind is Type.ERROR:
            return "error", (_error(ormsgpack.unpackb(body)),)
        if kind is Type.PROGRESS:
            return "progress", (_within(_DOUBLE.unpack(body)[0], 1.0),)
        if kind is Type.EMIT:
            name, parcel = ormsgpack.unpackb(body)
            if type(name) is str and type(parcel) is bytes:
                return "work", (name, parcel)
        if kind is Type.CONSOLE:
            level, text, same = ormsgpack.unpackb(body)
            if type(level) is type(text) is str and type(same) is int and same > 0:
                return "console", (level, text, same)
    except (LookupError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise ProtocolError(f"a {kind.name} frame that cannot be read: {error}") from None
    raise ProtocolError(f"a {kind.name} frame with something else in it")


def facts(body: bytes | memoryview) -> dict[str, Any]:
    """Return what a READY frame says.

    Raises:
        ProtocolError: it says nothing.
    """
    try:
        told = json.loads(bytes(body))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ProtocolError("a READY frame that cannot be read")
    return told


def _within(number: float, most: float) -> float:
    if not 0 <= number <= most:
        raise ValueError(f"{number!r} is not in 0..{most:g}")
    return number


def _error(told: Any) -> dict[str, Any]:
    error = {name: told[name] for name in ("name", "message", "stack", "code")}
    if not all(type(text) is str for text in error.values()):
        raise ValueError("its parts are no text")
    retries, properties = told.get("retries"), told.get("properties")
    if type(retries) in (int, float) and retries >= 0:
        error["retries"] = int(min(retries, 1000))
    if type(properties) is bytes:
        error["properties"] = properties
    return error
