"""The variables that a namespace (a notebook's, say) shares with Node.js, from Python's side.

A value is sent when JavaScript touches its name. What is remembered of it tells whether
Python has changed it since, so that JavaScript's own object is kept if it has not.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Final

import numpy as np
import ormsgpack

from ..errors import ShareError
from ..runtime.proxy import JSObject

_ATOMS: Final = (int, float, str, bool, type(None), bytes)
_PRINTABLE: Final = ormsgpack.OPT_SERIALIZE_NUMPY | ormsgpack.OPT_NON_STR_KEYS


class _Known:
    """What Python last had under a name, without keeping a large value alive.

    Args:
        value: the object.
        is_apart: JavaScript has something else under the name, and keeps it until Python
            binds the name anew.
    """

    __slots__ = ("_ident", "_is_apart", "_kept", "_print")

    def __init__(self, value: Any, *, is_apart: bool = False) -> None:
        self._ident = id(value)
        self._is_apart = is_apart
        self._kept: Callable[[], Any] | None = None
        self._print: bytes | None = None
        if isinstance(value, _ATOMS):
            self._kept = lambda: value
            return
        try:
            self._kept = weakref.ref(value)
        except TypeError:
            self._print = _fingerprint(value)

    def is_same(self, value: Any) -> bool:
        """Whether the name is still bound to the very same object."""
        if self._kept is not None:
            return self._kept() is value
        return self._ident == id(value)

    def is_unchanged(self, value: Any) -> bool:
        """Whether it is the same object, and nothing in it has changed."""
        if not self.is_same(value):
            return False
        if self._is_apart or isinstance(value, (*_ATOMS, np.ndarray, JSObject)):
            return True
        return self._print is not None and self._print == _fingerprint(value)


def _fingerprint(value: Any) -> bytes | None:
    """Bytes that differ if anything in a container does; None if that cannot be told."""
    try:
        text = ormsgpack.packb(value, default=_mention, option=_PRINTABLE)
    except (TypeError, ValueError, RecursionError):
        return None
    return text if len(text) < 1024 else hash(text).to_bytes(8, "little", signed=True)


def _mention(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return ["set", *sorted(map(repr, value))]
    if isinstance(value, JSObject):
        return id(value)
    raise TypeError


class Workspace:
    """Keeps one namespace and Node.js alike.

    Args:
        namespace: the variables, such as IPython's `user_ns`.
        hidden: tells of a name that it is not the user's.
    """

    def __init__(
        self,
        namespace: MutableMapping[str, Any],
        hidden: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.namespace = namespace
        self._hidden = hidden
        self._known: dict[str, _Known] = {}
        self._announced: set[str] = set()

    def reset(self) -> None:
        """Node.js is a new one: it knows nothing."""
        self._known.clear()
        self._announced.clear()

    def forget(self, names: Iterable[str]) -> None:
        """JavaScript was given other values under these names."""
        for name in names:
            self._known.pop(name, None)
            self._announced.discard(name)

    def _names(self) -> list[str]:
        return [
            name
            for name in self.namespace
            if isinstance(name, str) and not name.startswith("_") and not self._hidden(name)
        ]

    def begin(self, only: Iterable[str] | None = None) -> dict[str, list[str]]:
        """Before a run: the names JavaScript must hear of.

        Args:
            only: share no more than these.

        Raises:
            NameError: one of `only` does not exist.
        """
        names = self._names() if only is None else list(only)
        for name in names:
            if name not in self.namespace:
                raise NameError(f"name {name!r} is not defined")
        add = []
        for name in names:
            known = self._known.get(name)
            if known is not None and not known.is_same(self.namespace[name]):
                del self._known[name]
                add.append(name)
            elif name not in self._announced:
                add.append(name)
        gone = self._announced.difference(names)
        self._announced = set(names)
        return {
            "add": add,
            "hide": sorted(name for name in gone if name in self.namespace),
            "drop": sorted(name for name in gone if name not in self.namespace),
        }

    def get(self, name: str, has_value: bool) -> tuple[bool, Any]:
        """JavaScript touches a variable: (True, its value), or (False, None) if it has it."""
        if name not in self.namespace:
            raise ShareError(name, "a deleted variable", "it exists no more in Python")
        value = self.namespace[name]
        known = self._known.get(name)
        if has_value and known is not None and known.is_unchanged(value):
            return False, None
        self._known[name] = _Known(value)
        return True, value

    def apply(self, changes: dict[str, Any], only: Iterable[str] | None = None) -> None:
        """After a run: bind what JavaScript made or changed."""
        wanted = None if only is None else set(only)
        for name, value in changes.items():
            if wanted is not None and name not in wanted:
                continue
            present = self.namespace.get(name, value)
            if isinstance(value, JSObject) and not isinstance(present, JSObject):
                # `const os = require('os')` must not take the place of Python's os.
                self._known[name] = _Known(present, is_apart=True)
                continue
            self.namespace[name] = value
            self._known[name] = _Known(value)

    def shares(self, name: str) -> bool:
        """Whether a name is one of this namespace's that JavaScript knows."""
        return name in self._announced
