"""JavaScript's frames in Python's tracebacks, with their source lines."""

from __future__ import annotations

import ast
import contextlib
import functools
import linecache
import re
import sys
from collections import OrderedDict
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, Final
from urllib.parse import unquote

from ..protocol.stacks import JAVASCRIPT, entries

_LINE: Final = re.compile(r"    at (?:(?P<name>.*?) \((?P<place>.*)\)|(?P<bare>.*))$")
_PLACE: Final = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?$")
_WORD: Final = re.compile(r"[\w$]+|.")


#: What has a frame that may go on.
_SUSPENDABLE: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR


def forget_locals(error: BaseException, ended: CodeType | None = None) -> None:
    """Clear the variables of the frames that an exception came through.

    JavaScript alone has the exception now. What the variables hold of JavaScript may lead back
    to it, such as the request that could not be answered: a cycle that no garbage collector sees.

    Args:
        ended: the code of a coroutine that is known to have ended with the exception.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        for tb in entries(link.__traceback__):
            code = tb.tb_frame.f_code
            if code is ended:
                ended = None
            elif sys.version_info < (3, 13) and code.co_flags & _SUSPENDABLE:
                continue  # it may have handed the exception on: cleared, it would be closed
            with contextlib.suppress(RuntimeError):  # it runs
                tb.tb_frame.clear()
        link = link.__cause__ or link.__context__


def to_traceback(stack: str, inner: TracebackType | None = None) -> TracebackType | None:
    """Make a traceback of a JavaScript stack.

    Args:
        stack: the text of the stack.
        inner: the traceback of what the innermost frame called.

    Returns:
        `inner` itself if the stack has no frames, or those that it begins with.
    """
    lines = [line for line in stack.splitlines() if line.startswith("    at ")]
    last = len(lines) - 1
    read = (_read(line, at == last) for at, line in enumerate(lines))
    frames = [found for found in read if found is not None]
    outermost = [tb.tb_frame.f_code for tb in islice(entries(inner), len(frames))]
    if outermost == [frame.f_code for frame, _ in reversed(frames)]:
        return inner
    made = inner
    for frame, position in frames:
        made = TracebackType(made, frame, position, frame.f_lineno)
    return made


def source_line(line: str) -> tuple[str, int | None]:
    """The source at a line of a stack, and the column in it, where they can be had."""
    place = _parse(line)
    if place is None:
        return "", None
    _, file, lineno, column = place
    _sources.shorten(file)
    text = linecache.getline(file, lineno).rstrip()
    indent = len(text) - len(text.lstrip())
    return text.strip(), column - 1 - indent if indent < column <= len(text) else None


def _parse(line: str) -> tuple[str, str, int, int] | None:
    """Name, file, line and column (0: unknown) of a line of a stack."""
    match = _LINE.match(line)
    if match is None:
        return None
    text = match["place"] or match["bare"]
    if text.startswith("eval at "):
        text = text.partition("(")[2].partition(")")[0]  # where the `eval` stands
    place = _PLACE.match(text.removeprefix("async "))
    if place is None or text.startswith("node:internal/"):
        return None  # nothing to look at: `Array.map (<anonymous>)`
    file = place["file"].removeprefix("file://")
    if file.startswith("/"):
        file = unquote(file)
    return match["name"] or "", file, int(place["line"]), int(place["column"] or 0)


def _read(line: str, is_outermost: bool) -> tuple[FrameType, int] | None:
    """The frame of one line of a stack, and where in its code it stands."""
    place = _parse(line)
    if place is None:
        return None
    name, file, lineno, column = place
    name = name or ("<module>" if is_outermost else "<anonymous>")
    return _frame(file, name, *_where(file, lineno, column))


def _where(file: str, lineno: int, column: int) -> tuple[int, int, int]:
    """A line, and the columns of the word there in bytes, as Python counts them (-1: unknown)."""
    if column < 1:
        return lineno, -1, -1
    first = last = column - 1
    if file in _sources:
        line = linecache.getline(file, lineno)
        word = _WORD.match(line, first)
        last = word.end() if word else first
        if not line.isascii():
            first, last = (len(line[:n].encode(errors="replace")) for n in (first, last))
    return lineno, first, max(last, first + 1)


@functools.lru_cache(maxsize=1000)
def _frame(file: str, name: str, lineno: int, first: int, last: int) -> tuple[FrameType, int]:
    """A frame that never runs: that of a generator which nobody starts."""
    _sources.shorten(file)
    where = {"lineno": lineno, "end_lineno": lineno, "col_offset": first, "end_col_offset": last}
    module = ast.parse("def f(): yield")
    for node in ast.walk(module):
        if hasattr(node, "lineno"):
            vars(node).update(where)
    compiled = compile(module, file, "exec", dont_inherit=True)
    code = next(const for const in compiled.co_consts if isinstance(const, CodeType))
    code = code.replace(co_name=name, co_qualname=name)
    places = [(start, end) for _, _, start, end in code.co_positions()]
    position = 2 * places.index((first, last)) if (first, last) in places else 0
    return FunctionType(code, JAVASCRIPT)().gi_frame, position


class _Sources:
    """The texts of scripts that have no file, kept where `traceback` and others look for them.

    A script that defines functions may be met long after it ran; another hardly. So the many
    one-liners that a loop runs do not push out what they call.
    """

    #: How many are kept, and how many characters of them.
    LIMITS: Final = {True: (1000, 8_000_000), False: (50, 1_000_000)}
    #: Of a file beyond this size the lines are shown up to this length: a bundle may be one line.
    BIG_FILE: Final = 100_000
    LONG_LINE: Final = 500

    def __init__(self) -> None:
        self._sizes: dict[bool, OrderedDict[str, int]] = {True: OrderedDict(), False: OrderedDict()}
        self._totals = {True: 0, False: 0}

    def __contains__(self, name: str) -> bool:
        return name in self._sizes[True] or name in self._sizes[False]

    def add(self, name: str, entry: Any, size: int, *, lasting: bool) -> None:
        """Put an entry into `linecache`, and take out the oldest beyond the limits."""
        for group, sizes in self._sizes.items():
            self._totals[group] -= sizes.pop(name, 0)
        linecache.cache[name] = entry
        kept = self._sizes[lasting]
        kept[name] = size
        self._totals[lasting] += size
        count, characters = self.LIMITS[lasting]
        while len(kept) > count or (len(kept) > 1 and self._totals[lasting] > characters):
            oldest, size = kept.popitem(last=False)
            self._totals[lasting] -= size
            linecache.cache.pop(oldest, None)

    def shorten(self, file: str) -> None:
        """Have `linecache` hold the lines of a big file up to a bearable length."""
        if not file.startswith("/") or file in linecache.cache:
            return
        try:
            if Path(file).stat().st_size < self.BIG_FILE:
                return
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        lines = text.split("\n")
        if max(map(len, lines)) > self.LONG_LINE:
            shown = [f"{line[: self.LONG_LINE]}\n" for line in lines]
            size = sum(map(len, shown))
            self.add(file, (size, None, shown, file), size, lasting=True)


_sources = _Sources()


def remember(name: str, source: str) -> None:
    """Keep the source of a script that is about to run, to be shown when something fails in it."""
    # An entry of one function is read when it is first wanted.
    entry = (functools.partial(str, source),)
    _sources.add(name, entry, len(source), lasting="{" in source or "=>" in source)
