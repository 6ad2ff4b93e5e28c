"""Exceptions as values: what is written of one, and how it is raised again."""

from __future__ import annotations

import traceback
from typing import Any

from ..errors import JSError, ProtocolError, ShareError


def error_to_parts(error: BaseException) -> dict[str, Any]:
    """Describe a Python exception for JavaScript."""
    if isinstance(error, JSError):
        parts: dict[str, Any] = {
            "name": error.name,
            "message": error.message,
            "stack": error.stack,
            "properties": error.properties,
        }
    else:
        parts = {
            "name": type(error).__name__,
            "message": str(error),
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
    properties = parts.get("properties") or {}
    if parts["name"] == "ShareError" and "advice" in properties:
        return ShareError(properties["path"], properties["kind"], properties["advice"])
    error = JSError(
        parts["name"],
        parts.get("message", ""),
        parts.get("stack", ""),
        properties,
        parts.get("thrown"),
    )
    cause = parts.get("cause")
    if cause is not None:
        error.__cause__ = cause if isinstance(cause, BaseException) else JSError("Cause", str(cause), value=cause)
    return error
