"""What is written of a traceback for JavaScript, and of one that has passed through it.

A stack in JavaScript is text, the innermost frame first, with a line for each:
``    at name (file:line:column)``. Python's frames are written in the same way, without a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_HERE: Final = f"{Path(__file__).parent.parent}/"
#: The globals of all frames that stand for JavaScript's.
JAVASCRIPT: Final[dict[str, Any]] = {"__name__": "<javascript>"}


def entries(trace: TracebackType | None) -> Iterator[TracebackType]:
    """The entries of a traceback, the outermost first."""
    while trace is not None:
        yield trace
        trace = trace.tb_next


def without_own(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of Bifrost's own code, which would only be in the way."""
    every = list(entries(trace))
    kept = [tb for tb in every if not tb.tb_frame.f_code.co_filename.startswith(_HERE)]
    if len(kept) == len(every):
        return trace
    made: TracebackType | None = None
    for tb in reversed(kept):
        made = TracebackType(made, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    return made


def passed(trace: TracebackType | None) -> str:
    """The Python frames that a JavaScript error has passed, as further lines of its stack."""
    lines = []
    for tb in entries(without_own(trace)):
        if tb.tb_frame.f_globals is JAVASCRIPT:
            break
        code = tb.tb_frame.f_code
        lines.append(f"\n    at {code.co_name} ({code.co_filename}:{tb.tb_lineno})")
    return "".join(reversed(lines))
