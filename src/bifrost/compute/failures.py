"""The error of a slice, as an exception whose traceback shows the work function's lines."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from ..errors import BifrostError, JSError, SliceError
from ..protocol import parcels
from ..runtime.tracebacks import remember, to_traceback

#: These are not JavaScript's: its worker ended, or was ended.
_OF_WORKERS: Final = frozenset({"EDIED", "EMEMORY", "ESLICETOOSLOW", "ENOPROGRESS", "EPROTOCOL"})
#: The work function's file, to itself.
_FILE: Final = "work.js:"
#: What V8 says of a name, behind it.
_UNKNOWN: Final = " is not defined"


def error_of(parts: dict[str, Any], job: str, source: str) -> BifrostError:
    """Make the exception that stands for a slice's error.

    Args:
        parts: what the worker said: ``name``, ``message``, ``stack``, ``code``, ``properties``.
        job: the job's id.
        source: its work function.
    """
    name, message, code = parts["name"], parts["message"], parts.get("code")
    if code in _OF_WORKERS:
        return SliceError(code, message)
    properties: dict[str, Any] = {}
    if "properties" in parts:
        with contextlib.suppress(BifrostError):  # Python may not have such values
            properties.update(parcels.unpack(parts["properties"]))
    if code is not None:
        properties.setdefault("code", code)
    file = f"work-{job[:6]}.js"
    remember(file, source)
    stack = parts.get("stack", "").replace(_FILE, f"{file}:")
    error = JSError(name, message, stack, properties)
    error.__traceback__ = to_traceback(stack)
    if name == "ReferenceError" and message.endswith(_UNKNOWN):
        error.add_note(
            f"nothing around a work function goes with it, and a sandbox has no"
            f" `{message.removesuffix(_UNKNOWN)}`: give it as an argument"
        )
    return error
