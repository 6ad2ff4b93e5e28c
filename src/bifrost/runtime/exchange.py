"""What values need of their session: shared memory, references, registered types."""

from __future__ import annotations

import types
import weakref
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import JSError, ProtocolError
from ..protocol.arrays import Descriptor
from ..protocol.stacks import without_own
from .host import kind_of
from .memory import Memory
from .proxy import JSMethod, JSObject
from .tracebacks import to_traceback


class Registry:
    """The types a user taught Bifrost. Outlives a session: it belongs to the `Node`."""

    def __init__(self) -> None:
        self.serializers: dict[type, tuple[str, Callable[[Any], Any]]] = {}
        self.deserializers: dict[str, Callable[[Any], Any]] = {}

    @staticmethod
    def name(kind: type | str) -> str:
        """The name under which a type travels: a JavaScript class is called by its bare name."""
        return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _key(value: Any) -> object:
    """What identifies an object that is held. A method is another object each time one asks."""
    kind = type(value)
    if kind is types.MethodType:
        return id(value.__self__), id(value.__func__)
    if kind is types.BuiltinMethodType:
        return id(value.__self__), value.__name__
    return id(value)


class Exchange:
    """Implements `codec.Surroundings` for one session."""

    lends = True

    def __init__(
        self,
        memory: Memory,
        registry: Registry,
        cwd: Path | None,
        make_proxy: Callable[[int, str], JSObject],
        on_awaitable: Callable[[int, Any], None],
    ) -> None:
        """
        Args:
            cwd: where JavaScript looks for packages; None is Python's working directory.
            make_proxy: makes the proxy of an id and a kind.
            on_awaitable: called with the id and the object when an awaitable has been lent.
        """
        self.memory = memory
        self._make_proxy = make_proxy
        self._on_awaitable = on_awaitable
        self._registry = registry
        self._cwd = cwd
        # JavaScript objects that Python holds: id -> [holds, the one proxy for it].
        self._proxies: dict[int, tuple[int, weakref.ref[JSObject]]] = {}
        self._dropped: deque[int] = deque()
        # The exceptions that stand for JavaScript errors: id of the error -> exception.
        self._errors: weakref.WeakValueDictionary[int, JSError] = weakref.WeakValueDictionary()
        # Python objects that JavaScript holds: id -> [the object, holds].
        self._lent: dict[int, list[Any]] = {}
        self._idents: dict[object, int] = {}  # what identifies an object -> id
        self._next = 1
        self._pending: list[int] = []
        #: Called, from wherever the garbage collector runs, when there is something to release.
        self.on_drop: Callable[[], None] = lambda: None

    def share_array(self, array: np.ndarray[Any, Any]) -> Descriptor:
        return self.memory.share(array)

    def open_array(self, descriptor: Descriptor) -> np.ndarray[Any, Any]:
        return self.memory.open(descriptor)

    def share_bytes(self, data: bytes | memoryview) -> tuple[int, int]:
        return self.memory.share_bytes(data)

    def open_bytes(self, slot: int, nbytes: int) -> bytes:
        return self.memory.open_bytes(slot, nbytes)

    def undo_shares(self) -> None:
        self.memory.undo()
        for ident in self._pending:
            self.returned(ident, 1)
        self._pending.clear()

    def commit_shares(self) -> None:
        self.memory.commit()
        pending, self._pending = self._pending, []
        for ident in pending:
            value, holds = self._lent[ident]
            if holds == 1 and kind_of(value) == "awaitable":
                self._on_awaitable(ident, value)

    def takes_tables(self) -> bool:
        start = self._cwd or Path.cwd()
        folders = (start, *start.parents)
        return find_spec("pyarrow") is not None and any(
            (folder / "node_modules" / "apache-arrow").is_dir() for folder in folders
        )

    # -- Python objects that JavaScript holds

    def lend(self, value: Any) -> tuple[int, str]:
        """Hold an object for JavaScript once more; return its id and kind."""
        key = _key(value)
        ident = self._idents.get(key)
        if ident is None:
            ident = self._next
            self._next += 1
            self._idents[key] = ident
            self._lent[ident] = [value, 0]
        self._lent[ident][1] += 1
        self._pending.append(ident)
        return ident, kind_of(value)

    def home(self, ident: int) -> Any:
        """The object that comes home.

        Raises:
            ProtocolError: JavaScript does not hold it.
        """
        entry = self._lent.get(ident)
        if entry is None:
            raise ProtocolError(f"JavaScript sent a reference ({ident}) that it does not hold")
        return entry[0]

    def returned(self, ident: int, count: int) -> None:
        """JavaScript dropped some holds on an object."""
        entry = self._lent.get(ident)
        if entry is None or not 1 <= count <= entry[1]:
            raise ProtocolError(f"release of reference {ident}, which is not held {count} times")
        entry[1] -= count
        if not entry[1]:
            del self._lent[ident]
            del self._idents[_key(entry[0])]

    # -- JavaScript objects that Python holds

    @property
    def runs_user_code(self) -> bool:
        """Whether reading a value may run functions of the user's."""
        return bool(self._registry.deserializers)

    def find_serializer(self, kind: type) -> tuple[str, Callable[[Any], Any]] | None:
        serializers = self._registry.serializers
        if not serializers:
            return None
        return next((serializers[base] for base in kind.__mro__ if base in serializers), None)

    def find_deserializer(self, name: str) -> Callable[[Any], Any] | None:
        return self._registry.deserializers.get(name)

    def home_of(self, value: Any) -> int | None:
        if not isinstance(value, JSObject):
            return None
        proxy: JSObject = value._bifrost_function if isinstance(value, JSMethod) else value
        held = self._proxies.get(proxy._bifrost_id)
        if held is None or held[1]() is not proxy:
            return None  # of another session, or of a Node that died
        return proxy._bifrost_id

    def open_reference(self, ident: int, kind: str) -> JSObject:
        """The proxy of a JavaScript object: always the same one while it lives."""
        if type(ident) is not int or ident < 1:
            raise ProtocolError(f"not a reference: {ident!r}")
        count, known = self._proxies.get(ident, (0, None))
        proxy = known() if known is not None else None
        if proxy is None:
            proxy = self._make_proxy(ident, kind)
            weakref.finalize(proxy, self._drop, ident).atexit = False
        self._proxies[ident] = (count + 1, weakref.ref(proxy))
        return proxy

    def place(self, error: BaseException, stack: str) -> BaseException:
        """Give an error its traceback; while a JavaScript error's exception lives, it is that."""
        if isinstance(error, JSError) and isinstance(error.origin, JSObject):
            ident = error.origin._bifrost_id
            known = self._errors.get(ident)
            if known is None:
                self._errors[ident] = error
            else:
                known.__dict__.update(error.__dict__)
                known.__cause__, known.__traceback__ = error.__cause__, None
                error = known
        error.__traceback__ = to_traceback(stack, without_own(error.__traceback__))
        return error

    def _drop(self, ident: int) -> None:
        # Runs inside the garbage collector: only note it.
        self._dropped.append(ident)
        self.on_drop()

    def take_dropped(self) -> list[tuple[int, int]]:
        """What Python no longer uses: (-id of an object | offset of a slot, holds to return)."""
        out = self.memory.take_dropped()
        while self._dropped:
            ident = self._dropped.popleft()
            count, proxy = self._proxies.get(ident, (0, None))
            if proxy is not None and proxy() is None:
                del self._proxies[ident]
                out.append((-ident, count))
        return out

    def end(self) -> None:
        """The session is over. Proxies stay what they are: a last reply may mention them."""
        self._lent.clear()
        self._idents.clear()
        self.memory.end()

    @property
    def counts(self) -> dict[str, int]:
        """Numbers for the leak check: what either side still holds."""
        return {**self.memory.counts, "references": len(self._proxies), "objects": len(self._lent)}
