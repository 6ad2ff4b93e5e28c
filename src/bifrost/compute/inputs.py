"""What a job is given to work on: anything that yields inputs, one for each slice."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator, Mapping, Sized
from typing import Any, Final

from .ranges import Items

__all__ = ["Chunks", "Inputs"]


class Inputs(Iterable[Any]):
    """The inputs of a job, pulled one at a time as they are needed.

    Args:
        source: what yields them: a list, a `range`, a generator, any iterable or sequence; an async
            iterable; a NumPy array (its rows: views, not copies) or a pandas DataFrame (its rows,
            each a dict). :class:`Chunks` cuts sequences, arrays and frames into larger inputs.
        loop: the running event loop that an async iterable belongs to; by default it gets one of
            its own. Inputs must then be pulled in another thread.

    Raises:
        TypeError: nothing can be iterated, or it is text, bytes or a mapping, which is one value
            rather than several.
    """

    def __init__(self, source: Any, loop: asyncio.AbstractEventLoop | None = None) -> None:
        __tracebackhide__ = True
        if isinstance(source, (str, bytes, bytearray, memoryview, Mapping)):
            raise TypeError(
                f"{_a(source)} is one value, and a job needs a set of inputs: "
                "give it in a list, or its parts in one"
            )
        frame = _as_frame(source)
        self._source: Any = _Rows(frame) if frame is not None else source
        self._loop = loop
        if not isinstance(self._source, (Iterable, AsyncIterable)) and not _has_items(source):
            raise TypeError(f"{_a(source)} is no set of inputs: it yields nothing")
        if getattr(source, "shape", None) == ():
            raise TypeError("an array without axes is one value: give it in a list")

    @property
    def source(self) -> Any:
        """What yields them."""
        return self._source

    @property
    def length(self) -> int | None:
        """How many there are, or None if only pulling them all will tell."""
        return len(self._source) if isinstance(self._source, Sized) else None

    @property
    def is_indexable(self) -> bool:
        """Whether ``inputs[i]`` works."""
        return _has_items(self._source) and not isinstance(self._source, AsyncIterable)

    def __getitem__(self, index: int) -> Any:
        if not self.is_indexable:
            raise TypeError(f"inputs of {_a(self._source)} come one after the other")
        return self._source[index]

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._source, AsyncIterable):
            return _pulled(self._source, self._loop)
        return iter(self._source)


class Chunks(Items):
    """A sequence, array (by its first axis) or DataFrame in pieces; of an array these are views.

    Args:
        data: what has a length, and slices.
        size: the length of a piece; the last may be shorter.

    Raises:
        TypeError: it cannot be cut.
        ValueError: the size is not a number from 1 on.
    """

    def __init__(self, data: Any, size: int) -> None:
        __tracebackhide__ = True
        if type(size) is not int or size < 1:
            raise ValueError(f"the size of a chunk is a number of items, 1 or more, not {size!r}")
        frame = _as_frame(data)
        self._data = data if frame is None else frame.iloc
        if isinstance(data, Mapping) or not (hasattr(data, "__len__") and _has_items(self._data)):
            raise TypeError(f"{_a(data)} cannot be cut into chunks")
        self._size = size
        self._total = len(data)

    def __len__(self) -> int:
        return -(-self._total // self._size)

    def _item(self, index: int) -> Any:
        return self._data[index * self._size : (index + 1) * self._size]


class _Rows(Items):
    """The rows of a DataFrame as dicts; pandas.NA, which is no value, is None, as in Arrow."""

    def __init__(self, frame: Any) -> None:
        from pandas import NA  # it is there: the frame is one of its

        self._frame = frame
        self._missing = NA

    def __len__(self) -> int:
        return len(self._frame)

    def _item(self, index: int) -> dict[str, Any]:
        return self._row(self._frame[name].iloc[index] for name in self._frame.columns)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._row, self._frame.itertuples(index=False, name=None))

    def _row(self, values: Iterable[Any]) -> dict[str, Any]:
        known = (None if value is self._missing else value for value in values)
        return dict(zip(map(str, self._frame.columns), known, strict=True))


def _as_frame(value: Any) -> Any | None:
    """A pandas DataFrame, told without importing pandas; None of anything else."""
    is_one = hasattr(value, "iloc") and hasattr(value, "itertuples")
    return value if is_one else None


def _a(value: Any) -> str:
    """What a value is, for a sentence: `an int`."""
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _has_items(value: Any) -> bool:
    return hasattr(type(value), "__getitem__")


_END: Final = object()


def _pulled(source: AsyncIterable[Any], running: asyncio.AbstractEventLoop | None) -> Iterator[Any]:
    """The items of an async iterable, for a thread that may wait."""
    items = aiter(source)

    async def following() -> Any:
        return await anext(items, _END)

    async def end() -> None:
        if hasattr(items, "aclose"):
            await items.aclose()

    with contextlib.ExitStack() as stack:
        run: Callable[[Coroutine[Any, Any, Any]], Any]
        if running is None:
            own = asyncio.new_event_loop()
            stack.callback(own.close)
            run = own.run_until_complete
        else:
            run = functools.partial(_wait, running)
        try:
            while (item := run(following())) is not _END:
                yield item
        finally:
            run(end())


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result()
