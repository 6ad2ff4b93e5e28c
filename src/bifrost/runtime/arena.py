"""The arena: one sparse anonymous file that this process and all its Node.js processes map.

It is cut into regions of equal size. The first is Python's to allocate from, each
Node.js process gets one of its own; either side may read and write everywhere. Slots
are recycled by size, because a page used before costs a tenth of a fresh one.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..errors import BifrostError

REGIONS: Final = 64
_ALIGNMENT: Final = 64
_PAGE: Final = mmap.PAGESIZE
#: Free slots keep their pages (they are warm) up to this many bytes in all.
_WARM: Final = 1 << 29


def slot_size(nbytes: int) -> int:
    """The size class of a slot: a power of two, or one of three steps between two of them."""
    size = max(nbytes, _ALIGNMENT)
    step = max(1 << (size.bit_length() - 3), _ALIGNMENT)
    return -(-size // step) * step


class Slots:
    """Allocates slots in [start, end). Not thread-safe; the owner holds a lock."""

    def __init__(self, start: int, end: int) -> None:
        self._next = start
        self._end = end
        self._free: dict[int, list[int]] = {}
        self.sizes: dict[int, int] = {}

    def allocate(self, nbytes: int) -> int:
        """Return the offset of a slot.

        Raises:
            MemoryError: the region is used up.
        """
        size = slot_size(nbytes)
        free = self._free.get(size)
        if free:
            offset = free.pop()
        else:
            if size >= _PAGE:
                self._next = -(-self._next // _PAGE) * _PAGE
            offset = self._next
            if offset + size > self._end:
                raise MemoryError(
                    f"no room for {nbytes:,} bytes of shared memory;"
                    " `bifrost doctor` shows the limits of this machine"
                )
            self._next = offset + size
        self.sizes[offset] = size
        return offset

    def free(self, offset: int) -> int:
        """Take a slot back; return its size."""
        size = self.sizes.pop(offset)
        self._free.setdefault(size, []).append(offset)
        return size


class Arena:
    """The mapping, and Python's own region of it."""

    def __init__(self) -> None:
        self.fd = _anonymous_file()
        self.owner = os.getpid()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        region = 1 << max(32, (2 * memory - 1).bit_length())
        while True:
            try:
                os.ftruncate(self.fd, region * REGIONS)
                self.map = mmap.mmap(self.fd, region * REGIONS)
                break
            except (OSError, ValueError, OverflowError) as error:
                region >>= 1  # a limit on virtual memory (ulimit -v): a smaller arena will do
                if region < 1 << 22:
                    os.close(self.fd)
                    raise BifrostError(
                        f"shared memory cannot be mapped ({error}); see `bifrost doctor`"
                    ) from error
        self.region_size = region
        self.size = region * REGIONS
        self._anchor = (ctypes.c_char * 1).from_buffer(self.map)
        self.base = ctypes.addressof(self._anchor)
        #: slot -> how many hold it
        self.holders: dict[int, int] = {}
        self._slots = Slots(0, region)
        self._warm = 0
        self._lock = threading.Lock()
        self._released: deque[int] = deque()
        self._regions = [index * region for index in range(REGIONS - 1, 0, -1)]
        self._retired: dict[int, Callable[[], bool]] = {}

    def take_region(self) -> int:
        """Return the offset of a region for a new Node.js process.

        Raises:
            BifrostError: all are taken.
        """
        with self._lock:
            for offset, in_use in list(self._retired.items()):
                if not in_use():
                    del self._retired[offset]
                    self.discard(offset, self.region_size)
                    self._regions.append(offset)
            if not self._regions:
                raise BifrostError(
                    f"{REGIONS - 1} Node.js processes are alive or have arrays in use; close some"
                )
            return self._regions.pop()

    def retire_region(self, offset: int, in_use: Callable[[], bool]) -> None:
        """A Node.js process has ended; its region is free when nothing in it is in use."""
        self._retired[offset] = in_use

    # -- slots of Python's region: each is kept by its holders (an array here, a session's peer)

    def allocate(self, nbytes: int) -> int:
        """Return the offset of a new slot, with one holder: the caller."""
        with self._lock:
            offset = self._slots.allocate(nbytes)
            self._warm = max(0, self._warm - self._slots.sizes[offset])
            self.holders[offset] = 1
        self._sweep()
        return offset

    def slot_bytes(self, offset: int) -> int:
        """How many bytes a slot in use has room for."""
        return self._slots.sizes.get(offset, 0)

    def hold(self, offset: int) -> None:
        with self._lock:
            self.holders[offset] += 1
        self._sweep()

    def release(self, offset: int) -> None:
        """Drop one hold. Safe inside the garbage collector, whatever it interrupted."""
        self._released.append(offset)
        self._sweep()

    def _sweep(self) -> None:
        # Whoever holds the lock sweeps again after letting it go, so nothing is left over.
        while self._released and self._lock.acquire(blocking=False):
            try:
                while self._released:
                    self._drop(self._released.popleft())
            finally:
                self._lock.release()

    def _drop(self, offset: int) -> None:
        self.holders[offset] -= 1
        if self.holders[offset]:
            return
        del self.holders[offset]
        size = self._slots.free(offset)
        if self._warm + size > _WARM:
            self.discard(offset, size)
        else:
            self._warm += size

    def adopt(self, offset: int, nbytes: int) -> Any:
        """A buffer that owns one hold on a slot, and drops it with the last array over it."""
        buffer = self.exporter(offset, nbytes)
        weakref.finalize(buffer, self.release, offset).atexit = False
        return buffer

    def discard(self, offset: int, nbytes: int) -> None:
        """Give whole pages back to the system; they read as zeros from now on."""
        if os.getpid() != self.owner:
            return  # a forked child: the parent uses them
        start = -(-offset // _PAGE) * _PAGE
        end = (offset + nbytes) // _PAGE * _PAGE
        if end > start and sys.platform == "linux":
            self.map.madvise(mmap.MADV_REMOVE, start, end - start)

    def bytes_at(self, offset: int, nbytes: int) -> np.ndarray[Any, Any]:
        """The bytes of a slot as an array, for copying in and out."""
        return np.frombuffer(self.map, np.uint8, nbytes, offset)

    def exporter(self, offset: int, nbytes: int) -> Any:
        """A buffer over a slot that lives exactly as long as any array made over it."""
        return (ctypes.c_char * nbytes).from_buffer(self.map, offset)

    def locate(self, array: np.ndarray[Any, Any]) -> int | None:
        """The arena offset of an array's first element, or None if it lives elsewhere."""
        offset = int(array.__array_interface__["data"][0]) - self.base
        return offset if 0 <= offset < self.size else None


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("bifrost", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # unlinked: gone with its last descriptor
        return os.dup(file.fileno())


_arena: Arena | None = None
_lock = threading.Lock()


def arena() -> Arena:
    """This process's arena; made on first use, and again in a forked child."""
    global _arena
    with _lock:
        if _arena is None or _arena.owner != os.getpid():
            _arena = Arena()
        return _arena


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


def empty(shape: Any, dtype: Any = float) -> np.ndarray[Any, Any]:
    """Return a new, uninitialised array that Node.js sees without a copy.

    Args:
        shape: an int or a tuple of ints.
        dtype: any NumPy dtype that JavaScript can hold (not ``object``).

    Raises:
        ValueError: the dtype holds Python objects.
        MemoryError: shared memory is used up.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError(f"an array of dtype {kind} holds Python objects, which cannot be shared")
    dimensions = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
    count = int(np.prod(dimensions, dtype=object)) if dimensions else 1
    if min(dimensions, default=0) < 0:
        raise ValueError("negative dimensions are not allowed")
    nbytes = count * kind.itemsize
    if nbytes == 0:
        return np.empty(dimensions, kind)
    memory = arena()
    buffer = memory.adopt(memory.allocate(nbytes), nbytes)
    return np.frombuffer(buffer, kind, count).reshape(dimensions)


def zeros(shape: Any, dtype: Any = float) -> np.ndarray[Any, Any]:
    """Return a new array of zeros that Node.js sees without a copy; see :func:`empty`."""
    array = empty(shape, dtype)
    array[...] = np.zeros((), array.dtype)
    return array


def asarray(values: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Return `values` as an array that Node.js sees without a copy.

    An array that lives in shared memory already is returned as it is; anything else
    that :func:`numpy.asarray` takes is copied once.

    Raises:
        ValueError: the dtype holds Python objects.
    """
    source = np.asarray(values, dtype)
    if arena().locate(source) is not None:
        return source
    array = empty(source.shape, source.dtype)
    np.copyto(array, source)
    return array
