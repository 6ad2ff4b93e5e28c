"""Exceptions as values: what is written of one, and how it is raised again."""

from __future__ import annotations

import traceback
from typing import Any

from ..errors import JSError, ProtocolError, ShareError
from . import stacks

#: The name under which something travels that was thrown and is no Error.
THROWN = "Thrown"
#: Of a deeper traceback JavaScript gets so many frames, the innermost.
MOST_FRAMES = 50
#: Which attributes of an exception are not properties in JavaScript, and what they must be.
_TAKEN = ("name", "message", "stack", "cause", "traceback")
_PLAIN = (bool, int, float, str, bytes, type(None))


def error_to_parts(error: BaseException) -> dict[str, Any]:
    """Describe a Python exception for JavaScript."""
    if isinstance(error, JSError):
        parts: dict[str, Any] = {
            "name": error.name,
            "message": error.message,
            "stack": error.stack + stacks.passed(error.__traceback__),
            "properties": error.properties,
            "classes": list(error.classes),
        }
        if error.name == THROWN:
            parts["properties"] = {**error.properties, "thrown": error.value}
        if error.origin is not None:
            parts["origin"] = error.origin
    else:
        parts = {
            "name": type(error).__name__,
            "message": _text(error),
            "stack": _traceback(error),
            "properties": _fields(error),
            "python": True,
        }
        if isinstance(error, ShareError):
            parts["properties"] = {
                "path": error.path,
                "kind": error.kind,
                "advice": error.advice,
            }
    if error.__cause__ is not None:
        parts["cause"] = error.__cause__
    return parts


def _fields(error: BaseException) -> dict[str, Any]:
    """The public attributes that an exception was given, as far as they are plain."""
    return {
        name: value
        for name, value in vars(error).items()
        if name[0] != "_" and name not in _TAKEN and type(value) in _PLAIN
    }


def _traceback(error: BaseException) -> str:
    trace = stacks.without_own(error.__traceback__)
    count = sum(1 for _ in stacks.entries(trace))
    lines = traceback.format_exception(type(error), error, trace, limit=-MOST_FRAMES)
    if count > MOST_FRAMES:
        first = next(at for at, line in enumerate(lines) if line.startswith("Traceback "))
        lines[first] = f"Traceback (the last {MOST_FRAMES} of {count} calls):\n"
    return "".join(lines).rstrip("\n")


def error_from_parts(parts: Any) -> BaseException:
    """Make the exception that a description from JavaScript means, without its traceback.

    Raises:
        ProtocolError: it describes none.
    """
    if not isinstance(parts, dict) or not isinstance(parts.get("name"), str):
        raise ProtocolError(f"not an error: {parts!r}")
    origin = parts.get("origin")
    if isinstance(origin, BaseException):
        return origin  # one of Python's own, coming home
    name, message, stack = parts["name"], parts.get("message", ""), parts.get("stack", "")
    properties = parts.get("properties", {})
    if not all(isinstance(text, str) for text in (message, stack)) or type(properties) is not dict:
        raise ProtocolError(f"not an error: {parts!r}")
    if parts["name"] == "ShareError" and {"path", "kind", "advice"} <= properties.keys():
        return ShareError(*(str(properties[key]) for key in ("path", "kind", "advice")))
    classes = parts.get("classes", [])
    if type(classes) is not list or not all(isinstance(item, str) for item in classes):
        raise ProtocolError(f"not an error: {parts!r}")
    thrown = None
    if name == THROWN:
        thrown, classes = properties.pop("thrown", None), [THROWN]
    error = JSError(name, message, stack, properties, thrown, classes=tuple(classes))
    error.origin = origin
    cause = parts.get("cause")
    if isinstance(cause, BaseException):
        error.__cause__ = cause
    elif cause is not None:
        error.__cause__ = JSError("Cause", str(cause), value=cause)
    return error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - it is the user's own `__str__`
        return f"<its text cannot be had: {broken!r}>"
