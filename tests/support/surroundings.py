"""A double of what is outside of a value: memory is a bytearray, nothing else exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bifrost.protocol import arrays


class Surroundings:
    """Implements `codec.Surroundings` without a session; slots lie one behind the other."""

    lends = True

    def __init__(self) -> None:
        self.slots: dict[int, bytes] = {}
        self.commits = self.undos = 0

    def _put(self, data: bytes) -> int:
        slot = 64 * len(self.slots)
        self.slots[slot] = data
        return slot

    def share_array(self, array: np.ndarray[Any, Any]) -> arrays.Descriptor:
        array = np.array(array, arrays.native(array.dtype), order="C")
        slot = self._put(array.tobytes()) if array.nbytes else -1
        wire = arrays.dtype_to_wire(array.dtype)
        return arrays.Descriptor(slot, array.nbytes, 0, wire, list(array.shape), None, 0)

    def open_array(self, descriptor: arrays.Descriptor) -> np.ndarray[Any, Any]:
        memory = self.slots.get(descriptor.slot) if descriptor.nbytes else None
        return arrays.view(descriptor, memory)

    def share_bytes(self, data: bytes | memoryview) -> tuple[int, int]:
        return self._put(bytes(data)), len(data)

    def open_bytes(self, slot: int, nbytes: int) -> bytes:
        return self.slots.get(slot, b"")[:nbytes]

    def home_of(self, value: Any) -> int | None:
        return None

    def lend(self, value: Any) -> tuple[int, str]:
        return 1, "object"

    def home(self, ident: int) -> Any:
        return ("home", ident)

    def open_reference(self, ident: int, kind: str) -> Any:
        return ("reference", ident, kind)

    def find_serializer(self, kind: type) -> tuple[str, Callable[[Any], Any]] | None:
        return None

    def find_deserializer(self, name: str) -> Callable[[Any], Any] | None:
        return None

    def place(self, error: BaseException, stack: str) -> BaseException:
        return error

    def takes_tables(self) -> bool:
        return True

    def undo_shares(self) -> None:
        self.undos += 1

    def commit_shares(self) -> None:
        self.commits += 1
