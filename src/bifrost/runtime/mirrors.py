"""Arrays that live elsewhere in Python's memory, kept alike with slots of the arena.

Such an array is copied into a slot of its own, again before each run (Python may have
changed it) and back after it (JavaScript may have).
"""

from __future__ import annotations

import weakref
from bisect import bisect_left, insort
from typing import Any

import numpy as np

from ..protocol.arrays import native
from .arena import Arena

_CHUNK = 1 << 20


class Mirror:
    """A slot that follows an array living elsewhere in Python's memory."""

    __slots__ = ("array", "bounds", "copy", "key", "original", "slot")

    def __init__(self, array: np.ndarray[Any, Any], slot: int, memory: Arena) -> None:
        self.array = weakref.ref(array)
        self.key = id(array)
        self.bounds = _bounds(array)
        self.slot = slot
        self.copy = np.frombuffer(
            memory.exporter(slot, array.nbytes), native(array.dtype), array.size
        ).reshape(array.shape)
        #: What JavaScript was given, kept only where something else shows the same memory.
        self.original: np.ndarray[Any, Any] | None = None

    def fits(self, array: np.ndarray[Any, Any]) -> bool:
        """Whether this is the mirror of an array as it is now: its shape and dtype can be set."""
        same_kind = self.copy.shape == array.shape and self.copy.dtype == native(array.dtype)
        return same_kind and self.array() is array

    def remember(self) -> None:
        """From now on, tell JavaScript's changes from those that Python's memory had meanwhile."""
        if self.original is None:
            self.original = self.copy.copy()

    def push(self) -> None:
        array = self.array()
        if array is not None:
            np.copyto(self.copy, array)
            if self.original is not None:
                np.copyto(self.original, array)

    def pull(self) -> np.ndarray[Any, Any] | None:
        """Bring JavaScript's changes home; return the array if it refuses them."""
        array = self.array()
        if array is None or array.shape != self.copy.shape:
            return None
        changed: Any = True
        if self.original is not None:
            # Bits are compared: a NaN does not equal itself.
            size = self.copy.dtype.itemsize
            differing = _bytes(self.copy) != _bytes(self.original)
            changed = differing.reshape(-1, size).any(axis=1).reshape(self.copy.shape)
            if not changed.any():
                return None
        elif _same(array, self.copy):
            return None
        if not array.flags.writeable:
            return array
        np.copyto(array, self.copy, where=changed)
        if self.original is not None:
            np.copyto(self.original, self.copy)
        return None


def _bounds(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    """The addresses of an array's first byte and of the one behind its last."""
    first = last = array.ctypes.data
    for n, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            first += (n - 1) * stride
        else:
            last += (n - 1) * stride
    return first, last + array.itemsize


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The memory of a contiguous array."""
    return np.asarray(array).reshape(-1).view(np.uint8)


def _same(array: np.ndarray[Any, Any], copy: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays hold the same bits."""
    if not (array.flags.c_contiguous and array.dtype == copy.dtype):
        array = np.ascontiguousarray(array, copy.dtype)
    left, right = _bytes(array), _bytes(copy)
    return all(
        np.array_equal(left[start : start + _CHUNK], right[start : start + _CHUNK])
        for start in range(0, left.size, _CHUNK)
    )


class Mirrors:
    """The mirrors of a session: by slot, by array, and by the memory that they follow."""

    def __init__(self) -> None:
        self._by_slot: dict[int, Mirror] = {}
        self._by_array: dict[int, Mirror] = {}  # by id
        self._starts: list[tuple[int, int]] = []  # first address and slot, in order
        self._widest = 0

    def __len__(self) -> int:
        return len(self._by_slot)

    def all(self) -> list[Mirror]:
        return list(self._by_slot.values())

    def of(self, array: np.ndarray[Any, Any]) -> Mirror | None:
        mirror = self._by_array.get(id(array))
        return mirror if mirror is not None and mirror.fits(array) else None

    def at(self, slot: int) -> Mirror | None:
        return self._by_slot.get(slot)

    def add(self, mirror: Mirror) -> None:
        first, behind = mirror.bounds
        self._by_slot[mirror.slot] = self._by_array[mirror.key] = mirror
        insort(self._starts, (first, mirror.slot))
        self._widest = max(self._widest, behind - first)

    def drop(self, slot: int) -> None:
        mirror = self._by_slot.pop(slot, None)
        if mirror is None:
            return
        del self._starts[bisect_left(self._starts, (mirror.bounds[0], slot))]
        if self._by_array.get(mirror.key) is mirror:
            del self._by_array[mirror.key]

    def overlapping(self, array: np.ndarray[Any, Any]) -> list[Mirror]:
        """The mirrors of other arrays over the same memory."""
        first, behind = _bounds(array)
        start = bisect_left(self._starts, (first - self._widest, 0))
        stop = bisect_left(self._starts, (behind, 0))
        candidates = [self._by_slot[slot] for _, slot in self._starts[start:stop]]
        return [
            mirror
            for mirror in candidates
            if (other := mirror.array()) is not None and np.may_share_memory(other, array)
        ]
