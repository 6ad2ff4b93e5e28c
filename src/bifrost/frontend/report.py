"""An error as it is shown to somebody whose program is JavaScript: a cell, or a file."""

from __future__ import annotations

from ..errors import BifrostError, JSError
from ..runtime.tracebacks import source_line


def report(error: BifrostError) -> list[str]:
    """Lines that show the error, its JavaScript frames with their sources, and its causes."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines.append("caused by " * bool(lines) + _headline(cause))
        for frame in cause.stack.splitlines() if isinstance(cause, JSError) else ():
            if frame.startswith("    at "):
                lines.append(frame)
                line, column = source_line(frame)
                if line:
                    lines.append(f"        {line}")
                if line and column is not None:
                    lines.append(" " * (8 + column) + "^")
        cause = cause.__cause__
    return lines


def _headline(error: BaseException) -> str:
    return str(error) if isinstance(error, JSError) else f"{type(error).__name__}: {error}"
