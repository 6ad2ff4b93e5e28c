"""Iteration and streams, both ways.

Each item is asked for when it is wanted, so a stream is never read ahead of its reader.
Leaving a loop early ends the iterator there, which closes a stream; an exception thrown
into an iterator is thrown into JavaScript's generator.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from ..errors import JSError
from .coroutines import eventually

if TYPE_CHECKING:
    from .proxy import JSObject
    from .session import Session


class JSIterator(Generator[Any, Any, Any]):
    """Iterates over anything that JavaScript can, waiting for what is asynchronous.

    Raises:
        TypeError: it is not iterable.
    """

    def __init__(self, session: Session, source: JSObject) -> None:
        self._has_ended = True  # until there is something to end
        self._session = session
        self._source = source
        self._iterator = _iterator(session, source, False)
        self._has_ended = False

    def _step(self, verb: str, *given: Any) -> Any:
        if self._has_ended:
            raise StopIteration
        self._has_ended = True  # so it is, if this fails
        try:
            self._has_ended, value = self._session.call("step", self._iterator, verb, given)
        except BaseException:
            self._session.leave(self._source, self._iterator)
            raise
        if self._has_ended:
            raise StopIteration(value)
        return value

    def __next__(self) -> Any:
        return self._step("next")

    def send(self, value: Any) -> Any:
        return self._step("next", value)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        error = _raised(kind, value, trace)
        if self._has_ended:
            raise error
        return self._step("throw", error)

    def close(self) -> None:
        if not self._has_ended and self._session.dead is None:
            self._has_ended = True
            self._session.call("step", self._iterator, "return", [])

    def __del__(self) -> None:
        if not self._has_ended:
            self._session.leave(self._source, self._iterator)


class JSAsyncIterator(AsyncGenerator[Any, Any]):
    """The same for coroutines."""

    def __init__(self, session: Session, source: JSObject) -> None:
        self._has_ended = True
        self._session = session
        self._source = source
        self._iterator = _iterator(session, source, True)
        self._has_ended = False

    async def _step(self, verb: str, *given: Any) -> Any:
        if self._has_ended:
            raise StopAsyncIteration
        self._has_ended = True
        try:
            ended, value = await eventually(self._session, "step", self._iterator, verb, given)
        except BaseException:
            self._session.leave(self._source, self._iterator)
            raise
        if ended:
            raise StopAsyncIteration
        self._has_ended = False
        return value

    async def __anext__(self) -> Any:
        return await self._step("next")

    async def asend(self, value: Any) -> Any:
        return await self._step("next", value)

    async def athrow(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        error = _raised(kind, value, trace)
        if self._has_ended:
            raise error
        return await self._step("throw", error)

    async def aclose(self) -> None:
        if not self._has_ended and self._session.dead is None:
            self._has_ended = True
            await eventually(self._session, "step", self._iterator, "return", [])

    def __del__(self) -> None:
        if not self._has_ended:
            self._session.leave(self._source, self._iterator)


def _iterator(session: Session, source: JSObject, is_async: bool) -> Any:
    iterator = session.call("iterator", source, is_async)
    if iterator is None:
        raise TypeError(f"{source!r} is not iterable")
    return iterator


def _raised(kind: Any, value: Any, trace: Any) -> BaseException:
    """The exception of a `throw` in either form."""
    error = kind if isinstance(kind, BaseException) else value
    if not isinstance(error, BaseException):
        error = kind() if error is None else kind(error)
    return error if trace is None else error.with_traceback(trace)


# -- the other way: what JavaScript asks of Python's iterators and files


def step(iterator: Any, verb: str, given: list[Any]) -> tuple[bool, Any]:
    """Have an iterator take a step; return whether it has ended, and its value."""
    try:
        if verb == "next":
            can_send = given and isinstance(iterator, Generator)
            return False, iterator.send(given[0]) if can_send else next(iterator)
        if verb == "throw":
            error = _exception(given[0])
            if not isinstance(iterator, Generator):
                raise error
            return False, iterator.throw(error)
        if isinstance(iterator, Generator):  # a file has a `close` too, which is not meant
            iterator.close()
        return True, None
    except StopIteration as end:
        return True, end.value


async def step_async(iterator: Any, verb: str, given: list[Any]) -> tuple[bool, Any]:
    """The same for an async iterator."""
    try:
        if verb == "next":
            can_send = given and isinstance(iterator, AsyncGenerator)
            return False, await (iterator.asend(given[0]) if can_send else anext(iterator))
        if verb == "throw":
            error = _exception(given[0])
            if not isinstance(iterator, AsyncGenerator):
                raise error
            return False, await iterator.athrow(error)
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()
        return True, None
    except StopAsyncIteration:
        return True, None


def _exception(thrown: Any) -> BaseException:
    return thrown if isinstance(thrown, BaseException) else JSError("Thrown", str(thrown))


def file_facts(file: Any) -> dict[str, bool]:
    """What a stream over a file object can do."""

    def can(name: str, question: str) -> bool:
        return callable(getattr(file, name, None)) and bool(getattr(file, question, lambda: True)())

    return {
        "reads": can("read", "readable"),
        "writes": can("write", "writable"),
        "text": isinstance(file, io.TextIOBase),
    }


def read(file: Any, size: int) -> Any:
    """Some bytes or text: what is there, rather than all of `size`. Empty at the end."""
    chunk = getattr(file, "read1", file.read)(size)
    if chunk is None:
        raise BlockingIOError("a non-blocking file has nothing to read: use an async generator")
    return chunk


def write(file: Any, chunk: Any) -> Any:
    """Write all of a chunk; an awaitable if the file's `write` is asynchronous."""
    if not isinstance(file, io.RawIOBase):
        result = file.write(chunk)
        return result if inspect.isawaitable(result) else None
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) or 0 :]
    return None


def flush(file: Any) -> Any:
    """The last chunk has been written. The file stays open: it is Python's."""
    result = getattr(file, "flush", lambda: None)()
    return result if inspect.isawaitable(result) else None
