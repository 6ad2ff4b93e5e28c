"""Parcels: values that travel alone, with no session between the two sides.

A parcel is everything that a value needs -- its body as in a message, and behind it the
contents of its arrays and long byte strings, where a session would use shared memory:

    u32 length of the body | body | buffers, each at a multiple of 8

What a message says of a slot is here the offset of a buffer, counted from the end of the
body, rounded up to a multiple of 8. Nothing can be lent: what has no value of its own is
refused, with the path to it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np

from ..errors import ProtocolError, ShareError
from . import arrays
from .decoder import decode
from .encoder import encode
from .messages import ArrayKind

#: A parcel in pieces, which need not be joined to be written.
Parcel: TypeAlias = "list[bytes | memoryview]"

#: So many bytes a parcel has at most: it travels in a frame, with a little else.
MOST: Final = (1 << 30) - (1 << 16)

_LENGTH: Final = struct.Struct("<I")
_ALIGNMENT: Final = 8
_ADVICE: Final = (
    "a parcel holds values only, nothing that stays in its process:"
    " send plain data, arrays or bytes made from it"
)
_TOO_LARGE: Final = f"a parcel holds at most {MOST:,} bytes: send it in parts"


def pack(value: Any) -> Parcel:
    """Return the pieces of a parcel. Arrays are not copied: their memory is one of the pieces.

    Raises:
        ShareError: something in it is no plain value, and the error names the path to it; or
            all of it is more than `MOST`.
    """
    loading = _Loading()
    body = encode(value, loading)
    if (length := len(body) + size(loading.pieces)) > MOST:
        raise ShareError("$", f"{type(value).__name__} of {length:,} bytes", _TOO_LARGE)
    head = _LENGTH.pack(len(body)) + body
    return [head, bytes(-len(head) % _ALIGNMENT), *loading.pieces] if loading.pieces else [head]


def size(parcel: Parcel) -> int:
    """The bytes that a parcel's pieces have together."""
    return sum(len(piece) for piece in parcel)


def unpack(data: bytes | bytearray | memoryview) -> Any:
    """Return the value of a parcel.

    Arrays can be changed: they are views of `data` if that can be, and of a copy otherwise; the
    same goes for memory that they cannot lie in, because it is not aligned.

    Raises:
        ProtocolError: the bytes are not a parcel.
        ShareError: they are one that Python cannot have.
    """
    if type(data) is memoryview:
        data = data.cast("B")
    if len(data) < _LENGTH.size:
        raise ProtocolError(f"a parcel of {len(data)} bytes")
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if end > len(data):
        raise ProtocolError(f"a parcel of {len(data)} bytes claims a body of {length}")
    body = bytes(data[_LENGTH.size : end])
    buffers = memoryview(data)[end + -end % _ALIGNMENT :]
    if not buffers:
        return decode(body, _NOTHING)
    if buffers.readonly or np.frombuffer(buffers, np.uint8).ctypes.data % _ALIGNMENT:
        buffers = memoryview(bytearray(buffers))
    return decode(body, _Unloading(buffers))


class _Loading:
    """The surroundings of an encoding: gathers the buffers."""

    lends = False

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self._size = 0

    def _add(self, data: memoryview) -> int:
        start = self._size
        padding = -data.nbytes % _ALIGNMENT
        self.pieces.append(data)
        if padding:
            self.pieces.append(bytes(padding))
        self._size += data.nbytes + padding
        return start

    def share_array(self, array: np.ndarray[Any, Any]) -> arrays.Descriptor:
        kind = ArrayKind.NDARRAY if array.flags.writeable else ArrayKind.READ_ONLY
        whole = np.ascontiguousarray(array, arrays.native(array.dtype))
        wire = arrays.dtype_to_wire(whole.dtype)
        slot = self._add(whole.reshape(-1).view(np.uint8).data) if whole.nbytes else -1
        return arrays.Descriptor(slot, whole.nbytes, 0, wire, list(array.shape), None, kind)

    def share_bytes(self, data: bytes | memoryview) -> tuple[int, int]:
        view = memoryview(data).cast("B")
        return self._add(view), view.nbytes

    def home_of(self, value: Any) -> int | None:
        return None

    def find_serializer(self, kind: type) -> tuple[str, Callable[[Any], Any]] | None:
        return None

    def takes_tables(self) -> bool:
        return False

    def lend(self, value: Any) -> NoReturn:
        raise ShareError("$", type(value).__qualname__, _ADVICE)

    def undo_shares(self) -> None:
        self.pieces.clear()
        self._size = 0

    def commit_shares(self) -> None: ...


class _Unloading:
    """The surroundings of a decoding: hands out views of the buffers."""

    def __init__(self, buffers: memoryview) -> None:
        self._buffers = buffers

    def _buffer(self, start: int, nbytes: int) -> memoryview:
        if not 0 <= start <= start + nbytes <= len(self._buffers):
            raise ProtocolError(f"a parcel has no {nbytes} bytes at {start}")
        return self._buffers[start : start + nbytes]

    def open_array(self, descriptor: arrays.Descriptor) -> np.ndarray[Any, Any]:
        if descriptor.slot < 0:
            return arrays.view(descriptor, None)
        array = arrays.view(descriptor, self._buffer(descriptor.slot, descriptor.nbytes))
        if descriptor.kind == ArrayKind.READ_ONLY:
            array.flags.writeable = False
        return array

    def open_bytes(self, slot: int, nbytes: int) -> bytes:
        return bytes(self._buffer(slot, nbytes))

    def open_reference(self, ident: int, kind: str) -> NoReturn:
        raise ProtocolError("a reference in a parcel")

    def home(self, ident: int) -> NoReturn:
        raise ProtocolError("a reference in a parcel")

    def find_deserializer(self, name: str) -> Callable[[Any], Any] | None:
        return None

    def place(self, error: BaseException, stack: str) -> BaseException:
        return error


_NOTHING: Final = _Unloading(memoryview(b""))
