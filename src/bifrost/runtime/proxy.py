"""JavaScript objects as Python sees them: they stay in Node.js, Python holds a reference.

The same JavaScript object is always the same proxy, and a proxy sent back is that object
again (``===``). An object lives as long as somebody on either side holds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .coroutines import eventually
from .streams import JSAsyncIterator, JSIterator

if TYPE_CHECKING:
    from .session import Session


class JSObject:
    """A JavaScript object. Its properties are attributes and items here; a Map's items its entries.

    ``obj.name``, ``obj["any key"]``, assignment, ``del``, ``len``, ``in``, iteration, ``dir``
    and ``with`` do what they do for a Python object. A missing property is an
    AttributeError or a KeyError. :meth:`to_py` copies plain data out of it.
    """

    __slots__ = ("__weakref__", "_bifrost_id", "_bifrost_kind", "_bifrost_session")

    # Named so that no JavaScript property is hidden by them.
    _bifrost_id: int
    _bifrost_kind: str
    _bifrost_session: Session

    def __init__(self, session: Session, ident: int, kind: str) -> None:
        object.__setattr__(self, "_bifrost_session", session)
        object.__setattr__(self, "_bifrost_id", ident)
        object.__setattr__(self, "_bifrost_kind", kind)

    def _ask(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        __tracebackhide__ = True  # in pytest and IPython
        return self._bifrost_session.call(method, *arguments, timeout=timeout)

    def __repr__(self) -> str:
        if self._bifrost_session.dead is not None:
            return f"<JavaScript {self._bifrost_kind} of a Node.js that has ended>"
        return f"<JavaScript {self._bifrost_kind}: {self._ask('inspect', self)}>"

    def __bool__(self) -> bool:
        return True

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        raise TypeError(
            f"a Python class cannot extend a JavaScript {self._bifrost_kind}:"
            " extend it in JavaScript, or assign functions to its prototype"
        )

    # -- properties

    def _find(self, method: str, key: Any) -> tuple[bool, Any]:
        found, value = self._ask(method, self, key)
        if isinstance(value, JSFunction) and not isinstance(value, JSClass):
            value = JSMethod(value, self)
        return found, value

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_ipython_", "_repr_")) or (name[:2] == name[-2:] == "__"):
            raise AttributeError(name)  # protocols of Python's are not JavaScript's
        found, value = self._find("property", name)
        if not found:
            raise AttributeError(f"the JavaScript {self._bifrost_kind} has no property {name!r}")
        return value

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [self[index] for index in range(*key.indices(len(self)))]
        found, value = self._find("item", key)
        if not found:
            raise (IndexError if isinstance(key, int) else KeyError)(key)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("assign", self, name, value)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ask("assignItem", self, key, value)

    def __delattr__(self, name: str) -> None:
        if not self._ask("remove", self, name):
            raise AttributeError(f"the JavaScript {self._bifrost_kind} has no property {name!r}")

    def __delitem__(self, key: Any) -> None:
        if not self._ask("removeItem", self, key):
            raise (IndexError if isinstance(key, int) else KeyError)(key)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._ask("names", self))

    def __dir__(self) -> list[str]:
        own = {name for base in type(self).__mro__ for name in vars(base) if name[0] != "_"}
        return sorted(own | set(filter(str.isidentifier, self._ask("names", self))))

    # -- what containers do

    def __len__(self) -> int:
        length = self._ask("length", self)
        if length is None:
            raise TypeError(f"a JavaScript {self._bifrost_kind} has no length")
        return int(length)

    def __contains__(self, item: Any) -> bool:
        return bool(self._ask("contains", self, item))

    def __iter__(self) -> Iterator[Any]:
        return JSIterator(self._bifrost_session, self)

    def __aiter__(self) -> AsyncIterator[Any]:
        return JSAsyncIterator(self._bifrost_session, self)

    # -- conversions and protocols

    def to_py(self) -> Any:
        """Return a copy as Python data: own fields as a dict, an iterable as a list.

        What is inside it is copied likewise; functions among the fields are left out.

        Raises:
            ShareError: something in it has no fields.
        """
        return self._ask("copy", self)

    def __enter__(self) -> JSObject:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended = self._ask("dispose", self, False)
        if isinstance(ended, JSPromise):
            ended.result()

    async def __aenter__(self) -> JSObject:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended = await eventually(self._bifrost_session, "dispose", self, True)
        if isinstance(ended, JSPromise):
            await ended

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"a JavaScript {self._bifrost_kind} stays in its Node.js: it cannot be pickled or"
            " copied; `to_py()` copies the data in it"
        )


class JSFunction(JSObject):
    """A JavaScript function.

    Call it with values and with Python functions; keyword arguments become a last
    argument, an object of options. An async function returns a :class:`JSPromise`:
    ``await f()`` in a coroutine, ``f().result()`` elsewhere.
    """

    __slots__ = ()

    @property
    def __name__(self) -> str:
        """The function's name in JavaScript."""
        return str(self._ask("property", self, "name")[1])

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return self._ask("call", self, None, _list(arguments, options))

    def new(self, *arguments: Any, **options: Any) -> Any:
        """Call it as a constructor, as ``new f(...)`` does."""
        __tracebackhide__ = True
        return self._ask("construct", self, _list(arguments, options))

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, JSObject) and bool(self._ask("isInstance", value, self))


class JSMethod(JSFunction):
    """A function as it is found in an object: called, it has that object as `this`."""

    __slots__ = ("_bifrost_function", "_bifrost_this")

    def __init__(self, function: JSFunction, this: JSObject) -> None:
        super().__init__(function._bifrost_session, function._bifrost_id, function._bifrost_kind)
        object.__setattr__(self, "_bifrost_function", function)
        object.__setattr__(self, "_bifrost_this", this)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return self._ask(
            "call", self._bifrost_function, self._bifrost_this, _list(arguments, options)
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, JSMethod):
            return (
                self._bifrost_function is other._bifrost_function
                and self._bifrost_this is other._bifrost_this
            )
        return NotImplemented

    def __hash__(self) -> int:
        return hash((id(self._bifrost_function), id(self._bifrost_this)))


class JSClass(JSFunction):
    """A JavaScript class: a call makes an instance; ``isinstance`` tells one."""

    __slots__ = ()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return self.new(*arguments, **options)


class JSPromise(JSObject):
    """A JavaScript promise: ``await`` it in a coroutine, or ask for its :meth:`result`."""

    __slots__ = ()

    def result(self, timeout: float | None = None) -> Any:
        """Wait until it has settled and return its value.

        Raises:
            JSError: it was rejected.
            RunTimeout: it has not settled after `timeout` seconds; it may still do so.
        """
        __tracebackhide__ = True
        return self._ask("settle", self, timeout=timeout)

    def __await__(self) -> Generator[Any, None, Any]:
        return eventually(self._bifrost_session, "settle", self).__await__()


def _list(arguments: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    return [*arguments, options] if options else list(arguments)


_KINDS = {"function": JSFunction, "class": JSClass, "Promise": JSPromise}


def make(session: Session, ident: int, kind: str) -> JSObject:
    """The proxy of an object, of the class that its kind asks for."""
    return _KINDS.get(kind, JSObject)(session, ident, kind)
