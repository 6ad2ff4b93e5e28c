"""Values to bytes: MessagePack, and extension codes for what it has no word for.

Plain data (None, bool, int, float, str, bytes, list, tuple, dict) goes straight through
ormsgpack. Everything else is first rewritten, by `_Rewriter`, into plain data and
extensions.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Final, Protocol

import numpy as np
import ormsgpack

from ..errors import BifrostError, JSError, ShareError
from . import arrays, leaves, tables
from .exceptions import error_to_parts
from .leaves import ext
from .messages import Ext
from .patterns import Unfit

#: Byte strings from this length on go through shared memory instead of the pipe.
BLOB_SIZE: Final = 1 << 16
#: More items than this are too many for a `range` to become an Array unasked.
LONGEST_RANGE: Final = 1 << 24
#: Python's stack allows no more levels, MessagePack some (ormsgpack: 255).
DEEPEST: Final = 150

_NUMBERS: Final = frozenset({int, float})
_ATOMS: Final = frozenset({int, float, str, bool, type(None), bytes})
_CONTAINERS: Final = frozenset({list, tuple, dict})
_PASS_ON: Final = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


class Outward(Protocol):
    """What encoding needs of the session that it serves."""

    #: Whether objects can be lent; if not, `lend` raises.
    lends: bool

    def share_array(self, array: np.ndarray[Any, Any]) -> arrays.Descriptor:
        """Lay an array into shared memory; the other side holds it until it releases it."""

    def share_bytes(self, data: bytes | memoryview) -> tuple[int, int]:
        """Lay bytes into shared memory and hand them over."""

    def home_of(self, value: Any) -> int | None:
        """The id under which the other side knows a proxy's object, if it is one."""

    def find_serializer(self, kind: type) -> tuple[str, Callable[[Any], Any]] | None: ...

    def takes_tables(self) -> bool:
        """Whether both sides have the library that tables need to cross by value."""

    def lend(self, value: Any) -> tuple[int, str]:
        """Hold an object for the other side once more; return its id and kind."""

    def undo_shares(self) -> None:
        """An encoding failed: take back what it shared."""

    def commit_shares(self) -> None:
        """An encoding succeeded: what it shared is now the other side's too."""


def encode(value: Any, around: Outward) -> bytes:
    """Return the bytes of a value.

    Raises:
        ShareError: something in it cannot cross; the error names the path to it.
    """
    if type(value) in _NUMBERS or _is_plain(value):
        try:
            return ormsgpack.packb(value, option=_PASS_ON)
        except (TypeError, ValueError):
            pass  # an int of over 64 bits, a lone surrogate: written below
    try:
        body = ormsgpack.packb(_Rewriter(around).rewrite(value))
    except BaseException:
        around.undo_shares()
        raise
    around.commit_shares()
    return body


def _is_plain(root: Any) -> bool:
    """Whether ormsgpack alone writes `root` right: plain types, and no container twice.

    Works level by level so that the loops run in C: this is on the path of every
    large list of records.
    """
    level: Any = [root]
    seen: set[int] = set()
    count = 0
    while True:
        kinds = set(map(type, level))
        if bytes in kinds and any(len(item) >= BLOB_SIZE for item in level if type(item) is bytes):
            return False
        compound = kinds - _ATOMS
        if not compound:
            return True
        if not compound <= _CONTAINERS:
            return False
        if len(kinds) > 1 or tuple in kinds:
            # The empty tuple is always one and the same; what it shares is nothing.
            containers = [item for item in level if type(item) in _CONTAINERS and item != ()]
        else:
            containers = level
        seen.update(map(id, containers))
        count += len(containers)
        if len(seen) != count:
            return False
        if dict not in compound:
            level = containers[0] if len(containers) == 1 else list(chain.from_iterable(containers))
            continue
        if len(compound) == 1:
            dicts, level = containers, []
        else:
            dicts = [item for item in containers if type(item) is dict]
            level = list(chain.from_iterable(item for item in containers if type(item) is not dict))
        if set(map(type, chain.from_iterable(dicts))) - {str}:
            return False
        level.extend(chain.from_iterable(map(dict.values, dicts)))


class ByReference:
    """A value that is to be lent, whatever it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Rewriter:
    """Rewrites one value into plain data and extensions.

    A first pass notes which containers occur twice (or inside themselves); if any do,
    a second one writes each of these once, as a body of a GRAPH.
    """

    def __init__(self, around: Outward) -> None:
        self._around = around
        self._path: list[str] = []
        self._seen: set[int] = set()
        self._repeated: list[int] = []
        self._nodes: dict[int, int] | None = None
        self._bodies: list[bytes] = []
        # What stands for a thing, by its id; kept, for ids of temporaries are used again.
        self._stand_ins: dict[int, tuple[Any, Any]] = {}

    def rewrite(self, value: Any) -> Any:
        result = self._value(value)
        if not self._repeated:
            return result
        self._nodes = dict.fromkeys(self._repeated, -1)
        self._around.undo_shares()
        self._bodies = [b""]
        self._bodies[0] = self._pack(self._value(value))
        return ext(Ext.GRAPH, ormsgpack.packb(self._bodies))

    def _pack(self, rewritten: Any) -> bytes:
        try:
            return ormsgpack.packb(rewritten)
        except (TypeError, ValueError) as error:
            raise ShareError(
                self._here(), "a value", f"it could not be written ({error})"
            ) from error

    def _here(self) -> str:
        return "$" + "".join(self._path)

    def _fail(self, value: Any, advice: str) -> ShareError:
        kind = type(value)
        name = kind.__qualname__
        if kind.__module__ != "builtins":
            name = f"{kind.__module__}.{name}"
        return ShareError(self._here(), name, advice)

    def _value(self, value: Any) -> Any:
        kind = type(value)
        try:
            leaf = leaves.LEAVES.get(kind)
            if leaf is not None:
                return leaf(value)
            return self._object(value, kind)
        except (BifrostError, MemoryError):
            raise
        except Unfit as unfit:
            raise self._fail(value, str(unfit)) from None
        except RecursionError:
            if len(self._path) < DEEPEST // 2:
                raise  # it is the calls that are deep, not this value
            raise self._fail(value, "it is nested too deep: flatten it") from None
        except Exception as error:
            # Its own methods failed (`__str__`, a property, `__iter__`), not Bifrost's.
            raise self._fail(value, f"reading it raised {error!r}") from error

    def _object(self, value: Any, kind: type) -> Any:
        if kind is bytes or kind is bytearray or kind is memoryview:
            return self._bytes(value)
        if kind is list:
            return self._once(value, _Rewriter._items)
        if kind is dict:
            return self._once(value, _Rewriter._mapping)
        if kind is ByReference:
            return self._lend(value.value)
        if self._around.find_serializer(kind) is not None:
            return self._once(value, _Rewriter._custom)
        home = self._around.home_of(value)
        if home is not None:
            return ext(Ext.HOME, ormsgpack.packb(home))
        if isinstance(value, enum.Enum):
            return self._value(value.value)
        for rewrite_as, condition in _SHAPES:
            if condition(value, kind):
                if (kind is tuple or kind is frozenset) and not value:
                    return rewrite_as(self, value)  # always the same one: that means nothing
                return self._once(value, rewrite_as)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(value)
        for base, leaf in leaves.SUBCLASSES:
            if isinstance(value, base):
                return leaf(value)
        return self._lend(value)

    def _lend(self, value: Any) -> Any:
        try:
            lent = self._around.lend(value)
        except ShareError as error:
            raise self._fail(value, error.advice) from None
        return ext(Ext.REFERENCE, ormsgpack.packb(list(lent)))

    def _once(self, value: Any, rewrite: Callable[[_Rewriter, Any], Any]) -> Any:
        """Write a thing with an identity: in place, or as a node if it occurs again."""
        key = id(value)
        if self._nodes is None:
            if key in self._seen:
                self._repeated.append(key)
                return None
            self._seen.add(key)
        else:
            index = self._nodes.get(key)
            if index is not None:
                if index < 0:
                    index = self._nodes[key] = len(self._bodies)
                    self._bodies.append(b"")
                    self._bodies[index] = self._pack(rewrite(self, value))
                return ext(Ext.NODE, ormsgpack.packb(index))
        if len(self._path) > DEEPEST:
            raise Unfit("it is nested too deep: flatten it")
        return rewrite(self, value)

    def _stand_in(self, value: Any, make: Callable[[Any], Any]) -> Any:
        """What is written for a value, made once for both passes."""
        key = id(value)
        if key not in self._stand_ins:
            self._stand_ins[key] = (value, make(value))
        return self._stand_ins[key][1]

    def _items(self, values: Iterable[Any]) -> list[Any]:
        path = self._path
        out = []
        path.append("")
        for index, value in enumerate(values):
            path[-1] = f"[{index}]"
            out.append(self._value(value))
        path.pop()
        return out

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        path = self._path
        path.append("")
        result: Any
        if all(isinstance(key, str) for key in value):
            out: dict[str, Any] = {}
            for key, item in value.items():
                name = key if type(key) is str else str.__str__(key)
                path[-1] = f".{name}" if name.isidentifier() else f"[{name!r}]"
                out[name] = self._value(item)
            result = out
            try:
                "".join(out).encode()
            except UnicodeEncodeError:
                flat = chain.from_iterable((leaves.text(key), item) for key, item in out.items())
                result = ext(Ext.OBJECT, self._pack(list(flat)))
        else:
            flat_items: list[Any] = []
            for key, item in value.items():
                path[-1] = f"[{key!r}]"
                flat_items.append(self._value(key))
                flat_items.append(self._value(item))
            result = ext(Ext.MAP, self._pack(flat_items))
        path.pop()
        return result

    def _set(self, value: Iterable[Any]) -> Any:
        return ext(Ext.SET, self._pack(self._items(value)))

    def _custom(self, value: Any) -> Any:
        found = self._around.find_serializer(type(value))
        assert found is not None
        name, function = found
        return ext(Ext.CUSTOM, self._pack([name, self._value(self._stand_in(value, function))]))

    def _fields(self, value: Any) -> Any:
        # Not dataclasses.asdict, which copies deep and would lose shared references.
        names = [field.name for field in dataclasses.fields(value)]
        return self._mapping(
            self._stand_in(value, lambda value: {name: getattr(value, name) for name in names})
        )

    def _range(self, value: range) -> Any:
        if len(value) > LONGEST_RANGE:
            raise Unfit("it is too long for an Array: send its start, stop and step")
        return self._items(value)  # some may be BigInts

    def _array(self, value: np.ndarray[Any, Any]) -> Any:
        reason = arrays.why_not(value.dtype)
        if isinstance(value, np.ma.MaskedArray):
            reason = "a masked array would lose its mask: send `array.filled(...)`"
        if reason:
            raise ShareError(self._here(), f"ndarray of dtype {value.dtype}", reason)
        return ext(Ext.ARRAY, ormsgpack.packb(list(self._around.share_array(value))))

    def _record(self, value: np.void) -> Any:
        names = value.dtype.names
        if names is None:
            raise Unfit("raw void memory has no meaning in JavaScript: send `x.tobytes()`")
        fields = self._stand_in(value, lambda value: {name: value[name] for name in names})
        return self._mapping(fields)

    def _table(self, value: Any) -> Any:
        if not self._around.takes_tables():
            return self._lend(value)
        kind, stream = self._stand_in(value, tables.to_stream)
        return ext(Ext.TABLE, self._pack([kind, self._bytes(stream)]))

    def _error(self, value: BaseException) -> Any:
        parts = self._stand_in(value, error_to_parts)
        if not self._around.lends:
            parts.pop("origin", None)
        elif not isinstance(value, JSError):
            parts["origin"] = ByReference(value)  # so that this very object can come home
        return ext(Ext.ERROR, self._pack(self._mapping(parts)))

    def _bytes(self, value: Any) -> Any:
        view = memoryview(value)
        if view.nbytes < BLOB_SIZE:
            return bytes(view)
        return ext(Ext.BLOB, ormsgpack.packb(list(self._around.share_bytes(view))))


#: How things with parts are rewritten; the first whose condition holds is taken.
_SHAPES: Final[tuple[tuple[Callable[[_Rewriter, Any], Any], Callable[[Any, type], bool]], ...]] = (
    (_Rewriter._items, lambda value, kind: isinstance(value, (list, tuple))),
    (_Rewriter._mapping, lambda value, kind: isinstance(value, dict)),
    (_Rewriter._array, lambda value, kind: isinstance(value, np.ndarray)),
    (_Rewriter._record, lambda value, kind: isinstance(value, np.void)),
    (_Rewriter._set, lambda value, kind: isinstance(value, (set, frozenset))),
    (_Rewriter._fields, lambda value, kind: dataclasses.is_dataclass(kind)),
    (_Rewriter._range, lambda value, kind: kind is range),
    (_Rewriter._error, lambda value, kind: isinstance(value, BaseException)),
    (_Rewriter._table, lambda value, kind: tables.is_table(kind)),
)
