"""Frames: a message's bytes between two pipes.

A frame is a header of nine bytes, little-endian -- body length (u32), message
type (u8), id (u32) -- and the body. Feeding is separate from reading, so the
bytes may arrive split anywhere.
"""

from __future__ import annotations

import struct
from typing import Final

from ..errors import ProtocolError
from .messages import Message

_HEADER: Final = struct.Struct("<IBI")
HEADER_SIZE: Final = _HEADER.size
MAX_BODY: Final = 1 << 30
_TYPES: Final = frozenset(Message)


def pack(kind: int, ident: int, body: bytes) -> bytes:
    """Return the frame of one message.

    Raises:
        ProtocolError: the body is longer than a frame may be (1 GiB).
    """
    if len(body) > MAX_BODY:
        raise ProtocolError(
            f"a message of {len(body):,} bytes exceeds the limit of {MAX_BODY:,};"
            " send large data as arrays or bytes, which go through shared memory"
        )
    return _HEADER.pack(len(body), kind, ident) + body


class FrameReader:
    """Turns a stream of bytes into frames, however the bytes were split."""

    __slots__ = ("_buffer", "_position")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._position:
            del self._buffer[: self._position]
            self._position = 0
        self._buffer += data

    def next(self) -> tuple[Message, int, bytes] | None:
        """Return the next whole frame as (type, id, body), or None until more is fed.

        Raises:
            ProtocolError: the stream holds no valid frame here; it cannot be read on.
        """
        start = self._position
        available = len(self._buffer) - start
        if available < HEADER_SIZE:
            return None
        length, kind, ident = _HEADER.unpack_from(self._buffer, start)
        if length > MAX_BODY:
            raise ProtocolError(f"a frame claims {length:,} bytes, the limit is {MAX_BODY:,}")
        if kind not in _TYPES:
            raise ProtocolError(f"unknown message type {kind}")
        if available < HEADER_SIZE + length:
            return None
        begin = start + HEADER_SIZE
        self._position = begin + length
        return Message(kind), ident, bytes(memoryview(self._buffer)[begin : begin + length])
