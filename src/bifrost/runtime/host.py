"""What JavaScript may do with the Python objects that it holds."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import inspect
import operator
import threading
from collections.abc import Callable
from typing import Any, Final

_END: Final = object()


def kind_of(value: Any) -> str:
    """How JavaScript is to treat an object: the first of these that it is."""
    kind = type(value)
    if inspect.isawaitable(value):
        return "awaitable"
    if hasattr(kind, "__aiter__"):
        return "async iterable"
    if callable(value):
        return "function"
    if hasattr(kind, "__iter__") or (hasattr(kind, "__getitem__") and hasattr(kind, "__len__")):
        return "iterable"
    return "object"


def _get(target: Any, key: str | int) -> tuple[bool, Any]:
    """A property: an attribute, else an item."""
    if isinstance(key, str):
        value = getattr(target, key, _END)
        if value is not _END:
            return True, value
    if hasattr(type(target), "__getitem__"):
        try:
            return True, target[key]
        except (LookupError, TypeError, ValueError):
            pass
    return False, None


def _set(target: Any, key: str | int, value: Any) -> None:
    if isinstance(key, int) or (hasattr(type(target), "__setitem__") and not hasattr(target, key)):
        target[key] = value
    else:
        setattr(target, key, value)


def _delete(target: Any, key: str | int) -> None:
    if isinstance(key, str) and hasattr(target, key):
        delattr(target, key)
    else:
        del target[key]


def _names(target: Any) -> list[str]:
    return [name for name in dir(target) if not name.startswith("_")]


def _arity(target: Any) -> int:
    """How many positional arguments a function needs: JavaScript's `length`."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return 0
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _next(iterator: Any) -> tuple[bool, Any]:
    value = next(iterator, _END)
    return (True, None) if value is _END else (False, value)


async def _next_async(iterator: Any) -> tuple[bool, Any]:
    try:
        return False, await anext(iterator)
    except StopAsyncIteration:
        return True, None


def _import(name: str) -> Any:
    return builtins if name == "builtins" else importlib.import_module(name)


#: The methods by the names under which JavaScript calls them.
METHODS: Final[dict[str, Callable[..., Any]]] = {
    "call": lambda target, arguments, options: target(*arguments, **options),
    "property": _get,
    "assignProperty": _set,
    "remove": _delete,
    "names": _names,
    "arity": _arity,
    "text": repr,
    "primitive": str,
    "iterator": iter,
    "next": _next,
    "endIteration": lambda iterator: getattr(iterator, "close", lambda: None)(),
    "asyncIterator": operator.methodcaller("__aiter__"),
    "nextAsync": _next_async,
    "enter": operator.methodcaller("__enter__"),
    "exit": lambda target: target.__exit__(None, None, None),
    "import": _import,
}


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


class Background:
    """An event loop in a thread of its own, for the coroutines that JavaScript starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, awaitable: Any, done: Callable[[bool, Any], None]) -> None:
        """Run an awaitable; call `done(succeeded, value or exception)` when it is over."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_run, args=(self._loop,), name="bifrost-asyncio", daemon=True
                ).start()

        async def run() -> None:
            try:
                value = await awaitable
            except BaseException as error:  # noqa: BLE001 - whatever it is, JavaScript gets it
                done(False, error)
            else:
                done(True, value)

        asyncio.run_coroutine_threadsafe(run(), self._loop)

    def stop(self) -> None:
        """Cancel what runs, and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
