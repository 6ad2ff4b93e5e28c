"""What JavaScript may do with the Python objects that it holds."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import inspect
import operator
import types
from collections.abc import Callable
from typing import Any, Final

from ..errors import JSError
from ..protocol.encoder import ByReference
from ..protocol.undefined import undefined
from . import streams
from .passing import copy, fields_of
from .proxy import JSObject, JSPromise

_END: Final = object()


def kind_of(value: Any) -> str:
    """How JavaScript is to treat an object: the first of these that it is."""
    kind = type(value)
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "dict"
    if isinstance(value, JSPromise):  # of another Node, as the next
        return "awaitable"
    if isinstance(value, JSObject):
        return "function" if callable(value) else "object"
    if hasattr(kind, "__aiter__"):
        return "async iterable"  # also if it can be awaited: nobody has asked for that yet
    if inspect.isawaitable(value):
        return "awaitable"
    if callable(value):
        return "function"
    if hasattr(kind, "__iter__") or (hasattr(kind, "__getitem__") and hasattr(kind, "__len__")):
        return "iterable"
    return "object"


def _get(target: Any, key: str | int) -> tuple[bool, Any]:
    """A property: an attribute, else an item; `length` is `len`."""
    if isinstance(key, str):
        value = getattr(target, key, _END)
        if value is not _END:
            return True, value
    if key == "length" and hasattr(type(target), "__len__"):
        return True, len(target)
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
    elif hasattr(type(target), "__delitem__"):
        with contextlib.suppress(LookupError):  # in JavaScript what is not there may be deleted
            del target[key]


def _fields(target: Any) -> list[str]:
    return fields_of(target) or []


# Lists and dicts are here because they were sent as live references, and so is what is in them.


def _live(value: Any) -> Any:
    return ByReference(value) if isinstance(value, (list, dict, set)) else value


def _key(target: Any, key: str | int) -> Any:
    """The key that JavaScript means, whose keys are all text."""
    if isinstance(target, dict) and isinstance(key, str) and key not in target:
        with contextlib.suppress(ValueError):
            if int(key) in target and str(int(key)) == key:
                return int(key)
    return key


def _item(target: Any, key: str | int) -> tuple[bool, Any]:
    try:
        return True, _live(target[_key(target, key)])
    except (LookupError, TypeError):
        return False, None


def _set_item(target: Any, key: str | int, value: Any) -> None:
    if isinstance(target, list) and isinstance(key, int) and key >= len(target):
        _set_length(target, key)
        target.append(value)
    else:
        target[_key(target, key)] = value


def _clear_item(target: list[Any], index: int) -> None:
    """What `delete` does to an Array: its length stays."""
    if index < len(target):
        target[index] = undefined


def _set_length(target: list[Any], length: int) -> None:
    del target[length:]
    target.extend([undefined] * (length - len(target)))


def _primitive(target: Any, hint: str) -> Any:
    if hint == "number" and hasattr(type(target), "__float__"):
        return float(target)
    return str(target)


def _enter(manager: Any) -> Any:
    if hasattr(type(manager), "__enter__") or not hasattr(type(manager), "__aenter__"):
        return manager.__enter__()
    return manager.__aenter__()


def _exit(manager: Any, error: Any) -> Any:
    """Leave a context; return whether it deals with the error, if there is one."""
    if error is not None and not isinstance(error, BaseException):
        error = JSError("Thrown", str(error))
    details = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    if hasattr(type(manager), "__exit__") or not hasattr(type(manager), "__aexit__"):
        return bool(manager.__exit__(*details))
    return manager.__aexit__(*details)


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
    "fields": _fields,
    "item": _item,
    "setItem": _set_item,
    "clearItem": _clear_item,
    "deleteItem": lambda target, key: target.pop(_key(target, key), None) and None,
    "keys": lambda target: [str(key) for key in target if type(key) in (str, int)],
    "length": len,
    "setLength": _set_length,
    "isInstance": lambda target, value: isinstance(value, target),
    "copy": copy,
    "arity": _arity,
    "text": repr,
    "primitive": _primitive,
    "iterator": iter,
    "step": streams.step,
    "asyncIterator": operator.methodcaller("__aiter__"),
    "stepAsync": streams.step_async,
    "fileFacts": streams.file_facts,
    "read": streams.read,
    "write": streams.write,
    "flush": streams.flush,
    "enter": _enter,
    "exit": _exit,
    "import": _import,
}
