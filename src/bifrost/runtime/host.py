"""What JavaScript may do with the Python objects that it holds."""

from __future__ import annotations

import builtins
import importlib
import inspect
import operator
import types
from collections.abc import Callable
from typing import Any, Final

from . import streams

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


def _call(target: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Call a function. As in JavaScript, arguments that it does not take are dropped."""
    if arguments:
        most = _most_arguments(target, len(arguments))
        if len(arguments) > most:
            del arguments[most:]
    return target(*arguments, **options)


def _most_arguments(target: Any, count: int) -> int:
    """How many of `count` positional arguments a callable takes."""
    bound = 0
    function = target
    if type(function) is types.MethodType:
        function, bound = function.__func__, 1
    if type(function) is types.FunctionType:
        code = function.__code__
        if code.co_flags & inspect.CO_VARARGS or hasattr(function, "__wrapped__"):
            return count
        return code.co_argcount - bound
    if count < 2:
        return count  # looking at the signature takes longer than the call
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return count
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return count
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _import(name: str) -> Any:
    return builtins if name == "builtins" else importlib.import_module(name)


#: The methods by the names under which JavaScript calls them.
METHODS: Final[dict[str, Callable[..., Any]]] = {
    "call": _call,
    "property": _get,
    "assignProperty": _set,
    "remove": _delete,
    "names": _names,
    "arity": _arity,
    "text": repr,
    "primitive": str,
    "iterator": iter,
    "step": streams.step,
    "asyncIterator": operator.methodcaller("__aiter__"),
    "stepAsync": streams.step_async,
    "fileFacts": streams.file_facts,
    "read": streams.read,
    "write": streams.write,
    "flush": streams.flush,
    "enter": operator.methodcaller("__enter__"),
    "exit": lambda target: target.__exit__(None, None, None),
    "import": _import,
}
