"""Exceptions as values: what is written of one, and how it is raised again."""

from __future__ import annotations

import traceback
from typing import Any

from ..errors import JSError, ProtocolError, ShareError

#: The name under which something travels that was thrown and is no Error.
THROWN = "Thrown"


def error_to_parts(error: BaseException) -> dict[str, Any]:
    """Describe a Python exception for JavaScript."""
    if isinstance(error, JSError):
        parts: dict[str, Any] = {
            "name": error.name,
            "message": error.message,
            "stack": error.stack,
            "properties": error.properties,
        }
        if error.name == THROWN:
            parts["properties"] = {**error.properties, "thrown": error.value}
        if error.origin is not None:
            parts["origin"] = error.origin
    else:
        parts = {
            "name": type(error).__name__,
            "message": _text(error),
            "stack": "".join(traceback.format_exception(error)),
            "properties": {},
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


def error_from_parts(parts: Any) -> BaseException:
    """Make the exception that a description from JavaScript means.

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
    thrown = properties.pop("thrown", None) if parts["name"] == THROWN else None
    error = JSError(name, message, stack, properties, thrown)
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
