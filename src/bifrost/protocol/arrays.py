"""NumPy arrays as descriptors: where the elements lie in shared memory, and what they are."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import numpy as np

from ..errors import ProtocolError
from .messages import ArrayKind

_KINDS: Final = frozenset("biufcMmSU")
_TYPE: Final = re.compile(r"[<|]([biufcSU][0-9]{1,9}|[mM]8(\[[0-9A-Za-z]{1,9}\])?)", re.ASCII)


class Descriptor(NamedTuple):
    """An array in shared memory, as it travels.

    ``slot`` is the offset of the slot in the arena (-1: an empty array, no memory),
    ``start`` the offset in bytes of the first element inside the slot. ``dtype`` is
    NumPy's type string or field list, always native (little-endian); ``strides``
    are in bytes, None for C order.
    """

    slot: int
    nbytes: int
    start: int
    dtype: Any
    shape: list[int]
    strides: list[int] | None
    kind: int


def why_not(dtype: np.dtype[Any]) -> str | None:
    """Return what to do about a dtype that JavaScript cannot hold, or None if it can."""
    if dtype.itemsize == 0:
        return "its items have no size"
    if dtype.names is not None:
        for name in dtype.names:
            reason = why_not(dtype[name])
            if reason:
                return f"field {name!r}: {reason}"
        return None
    if dtype.subdtype is not None:
        return why_not(dtype.subdtype[0])
    if dtype.kind == "O":
        return (
            "an object array holds Python objects: send `array.tolist()`, or give it a real dtype"
        )
    if dtype.kind == "V":
        return "raw void memory has no meaning in JavaScript: send `array.tobytes()`"
    if dtype.kind not in _KINDS:
        return "convert it with `array.astype(...)` first"
    if dtype.kind in "fc" and dtype.itemsize > (8 if dtype.kind == "f" else 16):
        return "JavaScript has no extended precision: send `array.astype('float64')`"
    return None


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same dtype in the byte order of JavaScript's typed arrays (little-endian)."""
    swapped: np.dtype[Any] = dtype.newbyteorder("<")
    return swapped


def is_viewable(array: np.ndarray[Any, Any]) -> bool:
    """Whether a typed array can show the memory as it lies: its byte order and alignment."""
    dtype = array.dtype
    if dtype != native(dtype):
        return False
    size = {"U": 4, "c": dtype.itemsize // 2, "S": 1, "V": 1}.get(dtype.kind, dtype.itemsize)
    start = int(array.__array_interface__["data"][0])
    return not any(step % size for step in (start, *array.strides))


def dtype_to_wire(dtype: np.dtype[Any]) -> Any:
    """A type string such as ``<f8``; for a structured dtype its fields and their offsets."""
    if dtype.names is None:
        return dtype.str
    assert dtype.fields is not None
    fields = []
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        base, shape = field.subdtype or (field, ())
        fields.append([name, dtype_to_wire(base), list(shape), offset])
    return {"fields": fields, "itemsize": dtype.itemsize}


def dtype_from_wire(wire: Any) -> np.dtype[Any]:
    """Inverse of `dtype_to_wire`.

    Raises:
        ProtocolError: not a dtype.
    """
    try:
        if isinstance(wire, str):
            if not _TYPE.fullmatch(wire):
                raise ValueError("not a type string")
            return np.dtype(wire)
        names, formats, offsets = [], [], []
        for name, base, shape, offset in wire["fields"]:
            names.append(name)
            formats.append((dtype_from_wire(base), tuple(shape)))
            offsets.append(offset)
        return np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": wire["itemsize"]}
        )
    except (TypeError, ValueError, KeyError) as error:
        raise ProtocolError(f"not a dtype: {wire!r}") from error


def from_wire(parts: Any) -> Descriptor:
    """Check the parts of an ARRAY.

    Raises:
        ProtocolError: they are not those of an array.
    """
    try:
        descriptor = Descriptor(*parts)
        ArrayKind(descriptor.kind)
        dtype_from_wire(descriptor.dtype)
        numbers = [descriptor.slot, descriptor.nbytes, descriptor.start, *descriptor.shape]
        if not all(type(number) is int for number in numbers + (descriptor.strides or [])):
            raise ValueError("not integers")
        if min(descriptor.nbytes, descriptor.start, *descriptor.shape, 0) < 0:
            raise ValueError("negative sizes")
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"not an array descriptor: {parts!r}") from error
    return descriptor


def view(descriptor: Descriptor, memory: Any) -> np.ndarray[Any, Any]:
    """The array that a descriptor describes, over the slot's bytes (a buffer; None if empty).

    Raises:
        ProtocolError: it does not fit its slot.
    """
    dtype = dtype_from_wire(descriptor.dtype)
    shape = tuple(descriptor.shape)
    if memory is None:
        if 0 not in shape:
            raise ProtocolError(f"an array of shape {shape} without memory")
        try:
            return np.empty(shape, dtype)
        except ValueError as error:
            raise ProtocolError(f"no array has the shape {shape}") from error
    strides = None if descriptor.strides is None else tuple(descriptor.strides)
    try:
        array: np.ndarray[Any, Any] = np.ndarray(
            shape, dtype, np.frombuffer(memory, np.uint8), descriptor.start, strides
        )
        return array
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"an array does not fit its slot: {error}") from error
