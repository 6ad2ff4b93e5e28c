"""The shared arrays of one session: which array is which slot, and who still holds it.

An array in the arena is shared as it lies, any other one through a mirror. Reference
counts travel like those of objects: each time a slot is sent its receiver holds it once
more, and a RELEASE says how many holds it drops.
"""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import BifrostError, ProtocolError
from ..protocol.arrays import Descriptor, dtype_to_wire, is_viewable, native, view
from ..protocol.messages import ArrayKind
from .arena import arena
from .mirrors import Mirror, Mirrors

Place = tuple[Any, ...]


def _place(descriptor: Descriptor) -> Place:
    """What tells the arrays of one slot apart."""
    _, _, start, wire, shape, strides, _ = descriptor
    return (start, str(wire), *shape, str(strides))


def _refuse(arrays: list[np.ndarray[Any, Any]]) -> None:
    if arrays:
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in arrays)
        raise BifrostError(
            f"JavaScript changed a read-only array ({shapes}); Python's array is as it was."
            " Send a copy, or make it writeable"
        )


class Memory:
    """What one session has sent and received through the arena."""

    def __init__(self) -> None:
        self._arena = arena()
        self.region = self._arena.take_region()
        self._ended = False
        # Slots of Python's own that the peer holds -> number of holds.
        self._lent: dict[int, int] = {}
        self._mirrors = Mirrors()
        # The array object last seen for each place in a slot, to bring the same one home.
        self._senders: dict[int, dict[Place, weakref.ref[np.ndarray[Any, Any]]]] = defaultdict(dict)
        # Slots of the peer that Python holds -> (holds, buffer).
        self._borrowed: dict[int, list[Any]] = {}
        self._typed: weakref.WeakValueDictionary[int, np.ndarray[Any, Any]] = (
            weakref.WeakValueDictionary()
        )
        self._pending: list[int] = []
        # Runs that JavaScript is in: its side of a mirror may be the newer.
        self._running = 0
        self._counting = threading.Lock()
        self._is_pushed = False  # the mirrors are as Python's arrays, and JavaScript does not run
        self._touched: list[int] = []  # the mirrors in what was last written or read
        self._dropped: deque[int] = deque()
        #: Called, from wherever the garbage collector runs, when there is something to release.
        self.on_drop: Callable[[], None] = lambda: None

    @property
    def fd(self) -> int:
        return self._arena.fd

    @property
    def size(self) -> int:
        return self._arena.size

    @property
    def region_size(self) -> int:
        return self._arena.region_size

    # -- sending

    def share(self, array: np.ndarray[Any, Any]) -> Descriptor:
        """Describe an array for the peer, laying it into the arena if it is not there."""
        wire = dtype_to_wire(native(array.dtype))
        shape = list(array.shape)
        kind = ArrayKind.NDARRAY if array.flags.writeable else ArrayKind.READ_ONLY
        if array.nbytes == 0:
            return Descriptor(-1, 0, 0, wire, shape, None, kind)
        place = self._locate(array)
        if place is not None:
            slot, nbytes, start = place
            strides = None if array.flags.c_contiguous else list(array.strides)
            if self._typed.get(id(array)) is array and strides is None and array.ndim == 1:
                kind = ArrayKind.TYPED_ARRAY
            self._lend(slot)
        else:
            slot, nbytes, start, strides = self._mirror(array), array.nbytes, 0, None
        descriptor = Descriptor(slot, nbytes, start, wire, shape, strides, kind)
        self._senders[slot][_place(descriptor)] = weakref.ref(array)
        return descriptor

    def _locate(self, array: np.ndarray[Any, Any]) -> tuple[int, int, int] | None:
        """Where an array lies in the arena: (slot, its bytes, the first element's place in it)."""
        if not is_viewable(array):
            return None
        first = self._arena.locate(array)
        if first is None:
            return None
        root: Any = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        slot = self._arena.locate(root)
        if slot in self._arena.holders or slot in self._borrowed:
            return slot, root.nbytes, first - slot
        return None

    def _lend(self, slot: int) -> None:
        if slot in self._borrowed:
            return  # the peer's own slot: it looks after it itself
        if slot not in self._lent:
            self._arena.hold(slot)
            self._lent[slot] = 0
        self._lent[slot] += 1
        self._pending.append(slot)

    def _mirror(self, array: np.ndarray[Any, Any]) -> int:
        known = self._mirrors.of(array)
        if known is not None:
            if not self._is_pushed:
                self._update(known)
            self._lend(known.slot)
            self._touched.append(known.slot)
            return known.slot
        slot = self._arena.allocate(array.nbytes)
        mirror = Mirror(array, slot, self._arena)
        overlapping = self._mirrors.overlapping(array)
        for other in overlapping:
            self._update(other)
            other.remember()
        mirror.push()
        if overlapping or self._arena.locate(array) is not None:
            mirror.remember()
        self._mirrors.add(mirror)
        self._touched.append(slot)
        self._lend(slot)
        self._arena.release(slot)  # from here on the peer's hold keeps it
        return slot

    def _update(self, mirror: Mirror) -> None:
        if self._running:
            mirror.pull()  # JavaScript may have changed it a moment ago
        else:
            mirror.push()

    def share_bytes(self, data: bytes | memoryview) -> tuple[int, int]:
        """Lay bytes into a slot that the peer alone holds."""
        source = np.frombuffer(data, np.uint8)
        slot = self._arena.allocate(source.size)
        np.copyto(self._arena.bytes_at(slot, source.size), source)
        self._lend(slot)
        self._arena.release(slot)
        return slot, int(source.size)

    def commit(self) -> None:
        """What was shared since the last commit has been sent."""
        self._pending.clear()
        self._is_pushed = False

    def undo(self) -> None:
        """What was shared since the last commit will not be sent."""
        pending, self._pending = self._pending, []
        for slot in reversed(pending):
            self._returned(slot, 1)

    def returned(self, slot: int, count: int) -> None:
        """The peer dropped `count` holds on one of Python's slots.

        Raises:
            ProtocolError: it does not have that many.
        """
        if count < 1 or self._lent.get(slot, 0) < count:
            raise ProtocolError(f"release of slot {slot}, which is not held {count} times")
        self._returned(slot, count)

    def _returned(self, slot: int, count: int) -> None:
        self._lent[slot] -= count
        if self._lent[slot]:
            return
        del self._lent[slot]
        self._mirrors.drop(slot)
        self._senders.pop(slot, None)
        self._arena.release(slot)

    # -- keeping mirrors alike

    def push_mirrors(self) -> None:
        """Before JavaScript runs: let it see what Python changed."""
        with self._counting:
            is_first = self._running == 0
            self._running += 1
            if is_first:  # else what is there may be the work of another thread's run
                for mirror in self._mirrors.all():
                    mirror.push()
                self._is_pushed = True

    def pull_mirrors(self) -> None:
        """After JavaScript ran: let Python see what it changed.

        Raises:
            BifrostError: it changed an array that is read-only in Python.
        """
        with self._counting:
            self._running -= 1
            mirrors = self._mirrors.all()
            refused = [array for mirror in mirrors if (array := mirror.pull()) is not None]
        _refuse(refused)

    def take_touched(self) -> list[int]:
        """The mirrors in the values that were written or read since this was last asked."""
        touched, self._touched = self._touched, []
        return touched

    def push(self, slots: list[int]) -> None:
        """Let JavaScript see what Python changed in these mirrors."""
        with self._counting:
            for slot in slots:
                mirror = self._mirrors.at(slot)
                if mirror is not None:
                    mirror.push()

    def pull(self, slots: list[int]) -> None:
        """Let Python see what JavaScript changed in these mirrors.

        Raises:
            BifrostError: as `pull_mirrors` does.
        """
        with self._counting:
            mirrors = [mirror for slot in slots if (mirror := self._mirrors.at(slot)) is not None]
            _refuse([array for mirror in mirrors if (array := mirror.pull()) is not None])

    # -- receiving

    def open(self, descriptor: Descriptor) -> np.ndarray[Any, Any]:
        """The array that the peer described.

        Raises:
            ProtocolError: no such slot.
        """
        slot, nbytes = descriptor.slot, descriptor.nbytes
        if slot < 0 or not nbytes:
            return view(descriptor, None)
        if slot in self._lent:
            return self._home(descriptor)
        buffer = self._borrow(slot, nbytes)
        array = self._known(descriptor)
        if array is not None:
            return array
        array = view(descriptor, buffer)
        self._senders[slot][_place(descriptor)] = weakref.ref(array)
        if descriptor.kind == ArrayKind.TYPED_ARRAY:
            self._typed[id(array)] = array
        return array

    def _known(self, descriptor: Descriptor) -> np.ndarray[Any, Any] | None:
        reference = self._senders.get(descriptor.slot, {}).get(_place(descriptor))
        return reference() if reference is not None else None

    def _home(self, descriptor: Descriptor) -> np.ndarray[Any, Any]:
        """One of Python's own arrays comes home: the same object, if it still lives."""
        if self._mirrors.at(descriptor.slot) is not None:
            self._touched.append(descriptor.slot)
        array = self._known(descriptor)
        if array is not None:
            return array
        slot, nbytes = descriptor.slot, descriptor.nbytes
        if nbytes > self._arena.slot_bytes(slot):
            raise ProtocolError(f"slot {slot} has no {nbytes} bytes")
        self._arena.hold(slot)
        return view(descriptor, self._arena.adopt(slot, nbytes))

    def _borrow(self, slot: int, nbytes: int) -> Any:
        """A buffer over one of the peer's slots, which gets it back with the last array over it."""
        if not self.region <= slot <= self.region + self.region_size - nbytes:
            raise ProtocolError(f"slot {slot} is not the peer's")
        held = self._borrowed.get(slot)
        if held is not None:
            held[0] += 1
            buffer = held[1]()
            if buffer is not None:
                if len(buffer) != nbytes:
                    raise ProtocolError(f"slot {slot} has no {nbytes} bytes")
                return buffer
        buffer = self._arena.exporter(slot, nbytes)
        if held is not None:
            held[1] = weakref.ref(buffer)
        else:
            self._borrowed[slot] = [1, weakref.ref(buffer)]
        weakref.finalize(buffer, self._drop, slot, nbytes).atexit = False
        return buffer

    def open_bytes(self, slot: int, nbytes: int) -> bytes:
        """Copy bytes that the peer handed over."""
        if nbytes < 1:
            raise ProtocolError(f"a slot of {nbytes} bytes")
        buffer = self._borrow(slot, nbytes)
        return bytes(buffer)

    def _drop(self, slot: int, nbytes: int) -> None:
        # Runs inside the garbage collector: only note it.
        if self._ended:
            self._arena.discard(slot, nbytes)
        self._dropped.append(slot)
        self.on_drop()

    def take_dropped(self) -> list[tuple[int, int]]:
        """The peer's slots that Python no longer uses, with the number of holds to return."""
        out = []
        while self._dropped:
            slot = self._dropped.popleft()
            held = self._borrowed.get(slot)
            if held is not None and held[1]() is None:
                del self._borrowed[slot]
                self._senders.pop(slot, None)
                out.append((slot, held[0]))
        return out

    def end(self) -> None:
        """The peer is gone: it holds nothing any more. Arrays from it stay valid."""
        self._ended = True
        for slot, count in list(self._lent.items()):
            self._returned(slot, count)
        self._arena.retire_region(self.region, self._in_use)

    def _in_use(self) -> bool:
        self.take_dropped()
        return bool(self._borrowed)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers for the leak check: what either side still holds."""
        return {
            "lent": len(self._lent),
            "borrowed": len(self._borrowed),
            "mirrors": len(self._mirrors),
        }
