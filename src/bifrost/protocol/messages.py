"""The vocabulary of the wire: message types and extension codes (docs/protocol.md).

``js/protocol/messages.js`` holds the same names with the same numbers; a test
compares the two.
"""

from __future__ import annotations

from enum import IntEnum

VERSION = 1


class Message(IntEnum):
    """What a frame is. Its id pairs a RESULT or an ERROR with its CALL."""

    HELLO = 0  # Node -> Python, once, when it is ready: a map of facts
    CALL = 1  # [method, ...arguments]; answered by RESULT or ERROR
    RESULT = 2  # the value
    ERROR = 3  # the error, as an ERROR value
    NOTIFY = 4  # [method, ...arguments]; never answered
    RELEASE = 5  # [[slot offset or reference id, count], ...]: the sender lets go


class Ext(IntEnum):
    """MessagePack extension codes: what MessagePack itself has no word for."""

    UNDEFINED = 1  # empty
    BIGINT = 2  # two's complement, little-endian, any length
    STR16 = 3  # UTF-16LE: a string that holds a lone surrogate
    OBJECT = 4  # [key, value, ...]: a plain object with a key UTF-8 cannot carry
    MAP = 5  # [key, value, ...]
    SET = 6  # [item, ...]
    DATE = (
        7  # [milliseconds since 1970 (NaN: invalid), ISO 8601 text of the Python original or nil]
    )
    DECIMAL = 8  # its text, UTF-8
    DURATION = 9  # [days, seconds, microseconds] of a timedelta
    COMPLEX = 10  # [real, imaginary]
    REGEXP = 11  # [source, flags], in JavaScript's dialect
    ERROR = 12  # a map: see docs/protocol.md
    ARRAY = 13  # [slot, slot bytes, start, dtype, shape, strides | nil, kind]
    BLOB = 14  # [slot, bytes]: a long byte string, handed over
    TABLE = 15  # [kind, Arrow IPC stream as bytes]
    CUSTOM = 16  # [name, value]: a registered type
    REFERENCE = 17  # [id, kind]: an object that stays with the sender
    HOME = 18  # id: the receiver's own object, coming home
    GRAPH = 19  # [root body, body, ...]: shared or cyclic containers
    NODE = 20  # index of a body of the enclosing GRAPH


class ArrayKind(IntEnum):
    """What an ARRAY is on the JavaScript side."""

    NDARRAY = 0
    TYPED_ARRAY = 1  # a bare typed array, one-dimensional
    READ_ONLY = 2  # an NDArray that the owner does not want changed
