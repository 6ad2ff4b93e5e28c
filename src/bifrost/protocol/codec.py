"""Values to bytes and back: MessagePack, and extension codes for what it has no word for.

Plain data (None, bool, int, float, str, bytes, list, tuple, dict) goes straight through
ormsgpack. Everything else is first rewritten, by `_Rewriter`, into plain data and
extensions. What is outside the value itself -- shared memory, references, registered
types -- is behind the small interface `Surroundings`.
"""

from __future__ import annotations

import dataclasses
import enum
import mmap
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Final, Protocol

import numpy as np
import ormsgpack

from ..errors import BifrostError, ProtocolError, ShareError
from . import arrays, leaves, tables
from .exceptions import error_from_parts, error_to_parts
from .leaves import ext
from .messages import Ext

#: Byte strings from this length on go through shared memory instead of the pipe.
BLOB_SIZE: Final = 1 << 16
#: More items than this are too many for a `range` to become an Array unasked.
LONGEST_RANGE: Final = 1 << 24

_ATOMS: Final = frozenset({int, float, str, bool, type(None), bytes})
_CONTAINERS: Final = frozenset({list, tuple, dict})
_SELF_CONTAINED: Final = frozenset({np.ndarray, mmap.mmap})
_PASS_ON: Final = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


class Surroundings(Protocol):
    """What the codec needs of the session that it serves."""

    def share_array(self, array: np.ndarray[Any, Any]) -> arrays.Descriptor:
        """Lay an array into shared memory; the other side holds it until it releases it."""

    def open_array(self, descriptor: arrays.Descriptor) -> np.ndarray[Any, Any]: ...

    def share_bytes(self, data: bytes | memoryview) -> tuple[int, int]:
        """Lay bytes into shared memory and hand them over."""

    def open_bytes(self, slot: int, nbytes: int) -> bytes: ...

    def home_of(self, value: Any) -> int | None:
        """The id under which the other side knows a proxy's object, if it is one."""

    def open_reference(self, ident: int, kind: str, preview: str) -> Any: ...

    def find_serializer(self, kind: type) -> tuple[str, Callable[[Any], Any]] | None: ...

    def find_deserializer(self, name: str) -> Callable[[Any], Any] | None: ...

    def undo_shares(self) -> None:
        """An encoding failed: take back what it shared."""

    def commit_shares(self) -> None:
        """An encoding succeeded: what it shared is now the other side's too."""


def _is_plain(root: Any) -> bool:
    """Whether ormsgpack alone writes `root` right: plain types, and no container twice.

    Works level by level so that the loops run in C: this is on the path of every
    large list of records.
    """
    level: list[Any] = [root]
    seen: set[int] = set()
    count = 0
    while True:
        kinds = set(map(type, level)) - _ATOMS
        if not kinds:
            return True
        if not kinds <= _CONTAINERS:
            return False
        if len(kinds) == 1:
            containers = level if len(set(map(type, level))) == 1 else None
        else:
            containers = None
        if containers is None:
            containers = [value for value in level if type(value) in _CONTAINERS]
        containers = [value for value in containers if value]  # the empty tuple is always shared
        seen.update(map(id, containers))
        count += len(containers)
        if len(seen) != count:
            return False
        if kinds == {dict}:
            if set(map(type, chain.from_iterable(containers))) - {str}:
                return False
            level = list(chain.from_iterable(map(dict.values, containers)))
        elif dict not in kinds:
            level = list(chain.from_iterable(containers))
        else:
            level = []
            for value in containers:
                if type(value) is dict:
                    if set(map(type, value)) != {str}:
                        return False
                    level.extend(value.values())
                else:
                    level.extend(value)


class _Rewriter:
    """Rewrites one value into plain data and extensions.

    A first pass notes which containers occur twice (or inside themselves); if any do,
    a second one writes each of these once, as a body of a GRAPH.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._path: list[str] = []
        self._keep: list[Any] = []  # temporaries must live, their ids identify them
        self._seen: set[int] = set()
        self._repeated: list[int] = []
        self._nodes: dict[int, int] | None = None
        self._bodies: list[bytes] = []

    def rewrite(self, value: Any) -> Any:
        result = self._value(value)
        if not self._repeated:
            return result
        self._nodes = dict.fromkeys(self._repeated, -1)
        self._around.undo_shares()
        self._bodies = [b""]
        self._bodies[0] = ormsgpack.packb(self._value(value))
        return ext(Ext.GRAPH, ormsgpack.packb(self._bodies))

    def _fail(self, value: Any, advice: str) -> ShareError:
        kind = type(value)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return ShareError("$" + "".join(self._path), name, advice)

    def _value(self, value: Any) -> Any:
        kind = type(value)
        leaf = leaves.LEAVES.get(kind)
        try:
            if leaf is not None:
                return leaf(value)
            return self._object(value, kind)
        except leaves.Unfit as unfit:
            raise self._fail(value, str(unfit)) from None
        except RecursionError:
            raise self._fail(value, "it is nested too deep: flatten it") from None

    def _object(self, value: Any, kind: type) -> Any:
        if kind is bytes or kind is bytearray or kind is memoryview:
            return self._bytes(value)
        custom = self._around.find_serializer(kind)
        if custom is not None:
            name, function = custom
            plain = function(value)
            self._keep.append(plain)
            return ext(Ext.CUSTOM, ormsgpack.packb([name, self._value(plain)]))
        home = self._around.home_of(value)
        if home is not None:
            return ext(Ext.HOME, ormsgpack.packb(home))
        for rewrite_as, condition in _SHAPES:
            if condition(value, kind):
                return self._once(value, rewrite_as)
        if isinstance(value, enum.Enum):
            return self._value(value.value)
        for base, leaf in leaves.SUBCLASSES:
            if isinstance(value, base):
                return leaf(value)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(value)
        raise self._fail(value, _advice(value))

    def _once(self, value: Any, rewrite: Callable[[_Rewriter, Any], Any]) -> Any:
        """Write a thing with an identity: in place, or as a node if it occurs again."""
        key = id(value)
        if self._nodes is None:
            if key in self._seen:
                self._repeated.append(key)
                return None
            self._seen.add(key)
            return rewrite(self, value)
        index = self._nodes.get(key)
        if index is None:
            return rewrite(self, value)
        if index < 0:
            index = self._nodes[key] = len(self._bodies)
            self._bodies.append(b"")
            self._bodies[index] = ormsgpack.packb(rewrite(self, value))
        return ext(Ext.NODE, ormsgpack.packb(index))

    def _items(self, values: Iterable[Any]) -> list[Any]:
        path = self._path
        out = []
        for index, value in enumerate(values):
            path.append(f"[{index}]")
            out.append(self._value(value))
            path.pop()
        return out

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        path = self._path
        if all(isinstance(key, str) for key in value):
            out: dict[str, Any] = {}
            for key, item in value.items():
                path.append(f".{key}" if key.isidentifier() else f"[{key!r}]")
                out[str(key)] = self._value(item)
                path.pop()
            try:
                "".join(out).encode()
            except UnicodeEncodeError:
                flat = chain.from_iterable((leaves.text(key), item) for key, item in out.items())
                return ext(Ext.OBJECT, ormsgpack.packb(list(flat)))
            return out
        flat_items: list[Any] = []
        for key, item in value.items():
            path.append(f"[{key!r}]")
            flat_items.append(self._value(key))
            flat_items.append(self._value(item))
            path.pop()
        return ext(Ext.MAP, ormsgpack.packb(flat_items))

    def _set(self, value: Iterable[Any]) -> Any:
        return ext(Ext.SET, ormsgpack.packb(self._items(value)))

    def _fields(self, value: Any) -> Any:
        # Not dataclasses.asdict, which copies deep and would lose shared references.
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        self._keep.append(fields)
        return self._mapping(fields)

    def _range(self, value: range) -> Any:
        if len(value) > LONGEST_RANGE:
            raise leaves.Unfit("it is too long for an Array: send its start, stop and step")
        return list(value)

    def _array(self, value: np.ndarray[Any, Any]) -> Any:
        reason = arrays.why_not(value.dtype)
        if isinstance(value, np.ma.MaskedArray):
            reason = "a masked array would lose its mask: send `array.filled(...)`"
        if reason:
            raise self._fail_array(value, reason)
        return ext(Ext.ARRAY, ormsgpack.packb(list(self._around.share_array(value))))

    def _fail_array(self, value: np.ndarray[Any, Any], reason: str) -> ShareError:
        return ShareError("$" + "".join(self._path), f"ndarray of dtype {value.dtype}", reason)

    def _table(self, value: Any) -> Any:
        try:
            kind, stream = tables.to_stream(value)
        except ImportError:
            raise self._fail(value, "install pyarrow: pip install pyarrow") from None
        return ext(Ext.TABLE, ormsgpack.packb([kind, self._bytes(stream)]))

    def _error(self, value: BaseException) -> Any:
        parts = error_to_parts(value)
        self._keep.append(parts)
        return ext(Ext.ERROR, ormsgpack.packb(self._mapping(parts)))

    def _bytes(self, value: Any) -> Any:
        view = memoryview(value)
        if view.nbytes < BLOB_SIZE:
            return bytes(view)
        return ext(Ext.BLOB, ormsgpack.packb(list(self._around.share_bytes(view))))


#: How things with parts are rewritten; the first whose condition holds is taken.
_SHAPES: Final[tuple[tuple[Callable[[_Rewriter, Any], Any], Callable[[Any, type], bool]], ...]] = (
    (_Rewriter._items, lambda value, kind: isinstance(value, (list, tuple)) and not isinstance(value, enum.Enum)),
    (_Rewriter._mapping, lambda value, kind: isinstance(value, dict)),
    (_Rewriter._array, lambda value, kind: isinstance(value, (np.ndarray, np.void))),
    (_Rewriter._set, lambda value, kind: isinstance(value, (set, frozenset))),
    (_Rewriter._fields, lambda value, kind: dataclasses.is_dataclass(kind)),
    (_Rewriter._range, lambda value, kind: kind is range),
    (_Rewriter._error, lambda value, kind: isinstance(value, BaseException)),
    (_Rewriter._table, lambda value, kind: tables.is_table(kind)),
)


def _advice(value: Any) -> str:
    if callable(value):
        return "functions and classes stay in Python: send what it returns"
    if hasattr(value, "__iter__") and hasattr(value, "__next__"):
        return "an iterator can be read only once: send `list(...)` of it"
    if type(value).__name__ == "module":
        return "modules stay in Python: send the values that you need"
    return (
        "send plain data, such as `vars(obj)`, or teach Bifrost the type with"
        " `node.register_custom_serializer(function, type)`"
    )


class Codec:
    """Encodes and decodes the values of one session."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value.

        Raises:
            ShareError: something in it cannot cross; the error names the path to it.
        """
        if _is_plain(value):
            try:
                return ormsgpack.packb(value, option=_PASS_ON)
            except (TypeError, ValueError):
                pass  # an int of over 64 bits, a lone surrogate: written below
        try:
            body = ormsgpack.packb(_Rewriter(self._around).rewrite(value))
        except (TypeError, ValueError) as error:
            self._around.undo_shares()
            if isinstance(error, BifrostError):
                raise
            raise ShareError("$", type(value).__name__, f"it could not be written ({error})") from error
        except BaseException:
            self._around.undo_shares()
            raise
        self._around.commit_shares()
        return body

    def decode(self, body: bytes) -> Any:
        """Return the value of some bytes.

        Raises:
            ProtocolError: they are not a value.
        """
        return _Reader(self._around, []).read(body)


class _Pending:
    """Stands for a node while it is being read: it is inside itself."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


_UNREAD: Final = object()


class _Reader:
    """Reads one value; a GRAPH inside it has a reader of its own."""

    def __init__(self, surroundings: Surroundings, bodies: list[bytes]) -> None:
        self._around = surroundings
        self._bodies = bodies
        self._nodes: list[Any] = [_UNREAD] * len(bodies)
        self._cyclic = False

    def read(self, body: bytes) -> Any:
        try:
            return ormsgpack.unpackb(body, ext_hook=self._extension)
        except BifrostError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
            raise ProtocolError(f"a value cannot be read: {error}") from error
        except RecursionError as error:
            raise ProtocolError("a value is nested too deep") from error

    def _extension(self, code: int, body: bytes) -> Any:
        special = _SPECIAL.get(code)
        if special is not None:
            return special(self, body)
        return leaves.read(code, body)

    def _node(self, body: bytes) -> Any:
        index = self.read(body)
        if not 0 <= index < len(self._bodies):
            raise ProtocolError(f"no node {index}")
        node = self._nodes[index]
        if node is not _UNREAD:
            self._cyclic = self._cyclic or type(node) is _Pending
            return node
        self._nodes[index] = _Pending(index)
        node = self._nodes[index] = self.read(self._bodies[index])
        return node

    def _graph(self, body: bytes) -> Any:
        bodies = self.read(body)
        reader = _Reader(self._around, bodies)
        value = reader.read(bodies[0])
        if reader._cyclic:
            value = reader._close(value, set())
        return value

    def _close(self, value: Any, done: set[int]) -> Any:
        """Put the finished nodes where `_Pending` holds their place."""
        if type(value) is _Pending:
            return self._close(self._nodes[value.index], done)
        if id(value) in done or type(value) not in _CONTAINERS and not isinstance(value, BaseException):
            return value
        done.add(id(value))
        if type(value) is list:
            value[:] = [self._close(item, done) for item in value]
        elif type(value) is dict:
            for key, item in value.items():
                value[key] = self._close(item, done)
        elif type(value) is tuple:
            return tuple(self._close(item, done) for item in value)
        elif isinstance(value, BaseException) and value.__cause__ is not None:
            self._close(vars(value), done)
        return value

    def _object(self, body: bytes) -> Any:
        flat = self.read(body)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def _map(self, body: bytes) -> Any:
        flat = self.read(body)
        out = {_hashable(key): item for key, item in zip(flat[::2], flat[1::2], strict=True)}
        if len(out) * 2 != len(flat):
            raise ShareError(
                "$", "Map", "two of its keys are equal in Python (as 1, 1n and true are): rename one"
            )
        return out

    def _set(self, body: bytes) -> Any:
        items = self.read(body)
        out = {_hashable(item) for item in items}
        if len(out) != len(items):
            raise ShareError(
                "$", "Set", "two of its items are equal in Python (as 1, 1n and true are): send an Array"
            )
        return out

    def _array(self, body: bytes) -> Any:
        return self._around.open_array(arrays.from_wire(self.read(body)))

    def _blob(self, body: bytes) -> Any:
        slot, nbytes = self.read(body)
        return self._around.open_bytes(slot, nbytes)

    def _table(self, body: bytes) -> Any:
        kind, stream = self.read(body)
        return tables.from_stream(kind, stream)

    def _custom(self, body: bytes) -> Any:
        name, value = self.read(body)
        function = self._around.find_deserializer(name)
        return value if function is None else function(value)

    def _reference(self, body: bytes) -> Any:
        return self._around.open_reference(*self.read(body))

    def _error(self, body: bytes) -> Any:
        return error_from_parts(self.read(body))


def _hashable(key: Any) -> Any:
    """A Map's Array key is a tuple, as it was before it crossed."""
    if type(key) is list:
        return tuple(map(_hashable, key))
    if type(key) is set:
        return frozenset(key)
    return key


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
    Ext.GRAPH: _Reader._graph,
    Ext.NODE: _Reader._node,
}
