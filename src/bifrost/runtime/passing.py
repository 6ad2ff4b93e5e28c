"""How a value is passed where that is not left to its type: by reference, by value, for good."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from ..errors import ShareError
from ..protocol import leaves, tables
from ..protocol.encoder import ByReference
from . import arena
from .proxy import JSObject

#: What has no identity to keep, or no parts to change.
_ATOMS = (type(None), bool, int, float, complex, str, bytes)
_Array = TypeVar("_Array", bound="np.ndarray[Any, Any]")


def proxy(value: Any) -> Any:
    """Pass plain data by reference: JavaScript works on this very list, dict, set or object.

    ::

        rows = []
        node.run("rows.push({id: 1}); rows[0].id = 2", {"rows": proxy(rows)})
        rows                        # [{'id': 2}]

    A list is an Array there and a dict an object, and so are those inside them.

    Raises:
        TypeError: numbers, text and the like have nothing to refer to.
    """
    if isinstance(value, (JSObject, ByReference)):
        return value  # it is one
    if isinstance(value, _ATOMS):
        raise TypeError(f"{value!r} cannot change: there is nothing to refer to")
    return ByReference(value)


def copy(value: Any) -> Any:
    """Return plain data with what an object holds, to pass it by value.

    An object becomes a dict of its public fields (functions among them are left out), an
    iterator a list, an array a copy; what is inside them likewise. For a JavaScript object
    this is its :meth:`~JSObject.to_py`.

    Raises:
        ShareError: something in it has neither fields nor items.
    """
    return _copy(value, {}, "$")


def _copy(value: Any, known: dict[int, tuple[Any, Any]], path: str) -> Any:
    if _is_data(value):
        return value
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, JSObject):
        return value.to_py()
    if isinstance(value, ByReference):
        return _copy(value.value, known, path)
    if isinstance(value, np.ndarray):
        return value.copy()
    out: Any
    if isinstance(value, dict):
        out = {}
        known[id(value)] = value, out
        out.update((key, _copy(item, known, f"{path}[{key!r}]")) for key, item in value.items())
        return out
    if isinstance(value, (set, frozenset)):
        return {_copy(item, known, path) for item in value}
    fields = None if callable(value) or isinstance(value, (list, tuple)) else fields_of(value)
    if fields is not None:
        out = {}
        known[id(value)] = value, out
        for name in fields:
            item = getattr(value, name)
            if not callable(item):
                out[name] = _copy(item, known, f"{path}.{name}")
        return out
    if isinstance(value, Iterable):
        out = []
        known[id(value)] = value, out
        out.extend(_copy(item, known, f"{path}[{n}]") for n, item in enumerate(value))
        return out
    raise ShareError(path, type(value).__qualname__, "it has no fields to copy")


def _is_data(value: Any) -> bool:
    """Whether something crosses by value, and holds nothing that would not."""
    kind = type(value)
    if kind in leaves.LEAVES or isinstance(value, (enum.Enum, BaseException)):
        return True
    return tables.is_table(kind) or any(isinstance(value, base) for base, _ in leaves.SUBCLASSES)


def fields_of(value: Any) -> list[str] | None:
    """The names of an object's public fields; None if it has no place for any."""
    kind = type(value)
    slots = [
        name
        for base in kind.__mro__
        for name in (
            [base.__dict__["__slots__"]]
            if isinstance(base.__dict__.get("__slots__"), str)
            else base.__dict__.get("__slots__", ())
        )
    ]
    own = getattr(value, "__dict__", None)
    if own is None and not slots:
        return None
    present = [name for name in slots if hasattr(value, name)]
    return [name for name in (*present, *(own or ())) if not name.startswith("_")]


def transfer(array: _Array) -> _Array:
    """Hand an array over: return its contents in shared memory that is JavaScript's to keep.

    What is returned crosses as it lies, and is not kept alike with anything in Python. The
    array itself becomes read-only, since its changes would be seen by nobody.

    Raises:
        TypeError: it is no NumPy array. (Other data is copied: there is nothing to hand over.)
        ValueError: its items are Python objects.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"an array can be handed over, not a {type(array).__name__}")
    out = arena.empty(array.shape, array.dtype)
    np.copyto(out, array)
    array.flags.writeable = False
    return out  # type: ignore[return-value]
