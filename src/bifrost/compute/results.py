"""The results of a job, as far as they are there."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence
from typing import Any, overload


class Results(Sequence[Any]):
    """The results of a job in the order of its inputs: a sequence that cannot be changed.

    While the job runs, and where slices failed, some results are missing. Iteration and `len`
    go by those that are there; `results[i]` is the result of input `i`, and a LookupError
    without one.
    """

    def __init__(self, values: Mapping[int, Any], count: int | None = None) -> None:
        """
        Args:
            values: the results by the index of their input; looked at when it is asked for.
            count: the number of inputs, where it is known.
        """
        self._values = values
        self._count = count

    def _indices(self) -> list[int]:
        return sorted(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return (self._values[index] for index in self._indices())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        end = max(self._values, default=-1) + 1 if self._count is None else self._count
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(end))]
        at = index + end if index < 0 else index
        try:
            return self._values[at]
        except KeyError:
            why = "is not there (yet)" if 0 <= at < end else f"does not exist: there are {end}"
            raise IndexError(f"result {index} {why}") from None

    def is_available(self, index: int) -> bool:
        """Whether the result of this input is there."""
        return index in self._values

    def keys(self) -> KeysView[int]:
        """The indices of the inputs whose results are there, in order."""
        return self._in_order().keys()

    def items(self) -> ItemsView[int, Any]:
        """The results that are there, each with the index of its input, in order."""
        return self._in_order().items()

    def _in_order(self) -> dict[int, Any]:
        return {index: self._values[index] for index in self._indices()}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Results, list, tuple)):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self._count is not None and len(self) < self._count:
            return f"<Results: {len(self)} of {self._count}: {list(self)!r}>"
        return f"<Results: {list(self)!r}>"
