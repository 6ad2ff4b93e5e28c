"""Bytes to values: the reverse of encoder.py, and of JavaScript's `encoder.js`.

A value that Python cannot have (a Map whose keys are equal here, say) does not stop the
reading: every array and reference behind it has been given to us, and only what was read
can be let go. The first such failure is raised at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
import ormsgpack

from ..errors import BifrostError, JSError, ProtocolError, ShareError
from . import arrays, leaves, tables
from .exceptions import error_from_parts
from .messages import Ext

#: Put behind a value, it is found there again unless the value is not all there is.
_END: Final = "\x00end"
_END_BYTES: Final = ormsgpack.packb(_END)


class Inward(Protocol):
    """What decoding needs of the session that it serves."""

    def open_array(self, descriptor: arrays.Descriptor) -> np.ndarray[Any, Any]: ...

    def open_bytes(self, slot: int, nbytes: int) -> bytes: ...

    def open_reference(self, ident: int, kind: str) -> Any: ...

    def home(self, ident: int) -> Any:
        """One of our own objects that comes home."""

    def find_deserializer(self, name: str) -> Callable[[Any], Any] | None: ...

    def place(self, error: BaseException, stack: str) -> BaseException:
        """An error came: give it its traceback; return the exception that stands for it."""


def decode(body: bytes, around: Inward) -> Any:
    """Return the value of some bytes.

    Raises:
        ProtocolError: they are not a value.
        ShareError: they are one that Python cannot have.
    """
    reader = _Reader(around, [], [])
    try:
        value = reader.read(body)
    except Exception as error:  # noqa: BLE001 - whatever it is, the bytes are to blame
        reader.note(error)
    if reader.failures:
        raise reader.failures[0]
    return value


class _Pending:
    """Stands for a node of a GRAPH until everything has been read."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


_UNREAD: Final = object()
_BEING_READ: Final = object()


class _Reader:
    """Reads one value; a GRAPH inside it has a reader of its own."""

    def __init__(self, around: Inward, bodies: list[bytes], failures: list[BaseException]) -> None:
        self._around = around
        self._bodies = bodies
        self._nodes: list[Any] = [_UNREAD] * len(bodies)
        self.failures = failures

    def note(self, error: BaseException) -> None:
        """Something failed: what will be raised for it in the end."""
        if not isinstance(error, (BifrostError, KeyboardInterrupt, MemoryError)):
            why = "nested too deep" if isinstance(error, RecursionError) else str(error)
            failure = ProtocolError(f"a value cannot be read: {why}")
            failure.__cause__ = error
            error = failure
        self.failures.append(error)

    def read(self, body: bytes) -> Any:
        # ormsgpack would not mind anything behind the value; `_END` makes it mind.
        value, end = ormsgpack.unpackb(
            b"".join((b"\x92", body, _END_BYTES)), ext_hook=self._extension
        )
        if end != _END:
            raise ProtocolError("bytes are left over behind a value")
        return value

    def _extension(self, code: int, body: bytes) -> Any:
        # ormsgpack keeps an exception of this hook to itself, so it must not get one.
        try:
            special = _SPECIAL.get(code)
            return leaves.read(code, body) if special is None else special(self, body)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised at the end
            self.note(error)
            return None

    # -- GRAPH: nodes are read one after the other, and then put where they are mentioned

    def _graph(self, body: bytes) -> Any:
        bodies = self.read(body)
        if type(bodies) is not list or not bodies or {*map(type, bodies)} != {bytes}:
            raise ProtocolError("a GRAPH is a list of bodies")
        reader = _Reader(self._around, bodies, self.failures)
        return reader._settle(reader._of_node(0))

    def _mention(self, body: bytes) -> Any:
        index = self.read(body)
        if type(index) is not int or not 0 <= index < len(self._bodies):
            raise ProtocolError(f"no node {index!r}")
        return _Pending(index)

    def _of_node(self, index: int) -> Any:
        """The value of a node, whose own parts may still be pending."""
        value = self._nodes[index]
        if value is _UNREAD:
            self._nodes[index] = _BEING_READ
            value = self.read(self._bodies[index])
            while type(value) is _Pending:
                value = self._of_node(value.index)
            self._nodes[index] = value
        elif value is _BEING_READ:
            raise ShareError("$", "a value inside itself", "as a key, or of a registered type")
        return value

    def _settle(self, root: Any) -> Any:
        """Put the nodes where `_Pending` holds their place; returns the root."""
        if not self._bodies:
            return root
        top = [root]
        work: list[Any] = [top]
        done: set[int] = set()
        while work:
            holder = work.pop()
            if id(holder) in done:
                continue
            done.add(id(holder))
            if isinstance(holder, JSError):
                cause = holder.__cause__
                if isinstance(cause, JSError):
                    work.append(cause)
                holder_items: Any = vars(holder)
                pairs: Any = [("properties", holder.properties), ("value", holder.value)]
            elif type(holder) is list:
                pairs, holder_items = enumerate(holder), holder
            else:
                pairs, holder_items = list(holder.items()), holder
            for key, item in pairs:
                if type(item) is _Pending:
                    item = holder_items[key] = self._of_node(item.index)
                if type(item) is list or type(item) is dict or isinstance(item, JSError):
                    work.append(item)
        return top[0]

    def _whole(self, value: Any) -> Any:
        """A value that is needed at once: a key, what a deserializer takes, a cause."""
        if type(value) is _Pending:
            value = self._of_node(value.index)
        return self._settle(value)

    # -- what has parts

    def _object(self, body: bytes) -> Any:
        flat = self.read(body)
        out = dict(zip(flat[::2], flat[1::2], strict=True))
        if {*map(type, out)} - {str}:
            raise ProtocolError("a key is not a string")
        return out

    def _map(self, body: bytes) -> Any:
        flat = self.read(body)
        keys = [self._hashable(key, "Map") for key in flat[::2]]
        out = dict(zip(keys, flat[1::2], strict=True))
        if len(out) < len(keys):
            raise _equal("Map", "keys")
        return out

    def _set(self, body: bytes) -> Any:
        items = [self._hashable(item, "Set") for item in self.read(body)]
        out = set(items)
        if len(out) < len(items):
            raise _equal("Set", "items")
        return out

    def _hashable(self, key: Any, kind: str) -> Any:
        """A Map's Array key is a tuple, as it was before it crossed."""
        key = self._whole(key)
        if type(key) is list:
            return tuple(self._hashable(part, kind) for part in key)
        if type(key) is set:
            return frozenset(key)
        try:
            hash(key)
        except TypeError as error:
            raise ShareError(
                "$", kind, f"its keys and items must be hashable in Python ({error})"
            ) from None
        return key

    def _array(self, body: bytes) -> Any:
        return self._around.open_array(arrays.from_wire(self.read(body)))

    def _blob(self, body: bytes) -> Any:
        slot, nbytes = self.read(body)
        if type(slot) is not int or type(nbytes) is not int:
            raise ProtocolError("a BLOB is a slot and a length")
        return self._around.open_bytes(slot, nbytes)

    def _table(self, body: bytes) -> Any:
        kind, stream = self.read(body)
        try:
            return tables.from_stream(kind, stream)
        except ImportError as error:
            raise ShareError("$", "an Arrow table", f"install {error.name}") from None

    def _custom(self, body: bytes) -> Any:
        name, value = self.read(body)
        function = self._around.find_deserializer(name)
        if function is None:
            return value
        value = self._whole(value)
        try:
            return function(value)
        except Exception as error:
            raise ShareError("$", name, f"its deserializer raised {error!r}") from error

    def _reference(self, body: bytes) -> Any:
        ident, kind = self.read(body)
        return self._around.open_reference(ident, kind)

    def _home(self, body: bytes) -> Any:
        return self._around.home(self.read(body))

    def _error(self, body: bytes) -> Any:
        parts = self.read(body)
        if type(parts) is dict and "cause" in parts:
            parts["cause"] = self._cause(parts["cause"])
        error = error_from_parts(parts)
        return self._around.place(error, parts.get("stack", ""))

    def _cause(self, cause: Any) -> Any:
        if type(cause) is not _Pending:
            return cause
        if self._nodes[cause.index] is _BEING_READ:
            return None  # an error that is its own cause: no traceback could show it
        return self._of_node(cause.index)


def _equal(kind: str, what: str) -> ShareError:
    return ShareError(
        "$", kind, f"two of its {what} are equal in Python (as 1, 1n and true are): send an Array"
    )


_SPECIAL: Final[dict[int, Callable[[_Reader, bytes], Any]]] = {
    Ext.OBJECT: _Reader._object,
    Ext.MAP: _Reader._map,
    Ext.SET: _Reader._set,
    Ext.ERROR: _Reader._error,
    Ext.ARRAY: _Reader._array,
    Ext.BLOB: _Reader._blob,
    Ext.TABLE: _Reader._table,
    Ext.CUSTOM: _Reader._custom,
    Ext.REFERENCE: _Reader._reference,
    Ext.HOME: _Reader._home,
    Ext.GRAPH: _Reader._graph,
    Ext.NODE: _Reader._mention,
}
