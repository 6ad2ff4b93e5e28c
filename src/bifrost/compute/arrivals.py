"""What a job has come to, as it comes: results, errors, and who is told of them."""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import BifrostError, JobError
from ..protocol import parcels
from .events import Tell
from .failures import error_of
from .journal import Journal
from .listeners import (
    ConsoleMessage,
    Listeners,
    SliceFailure,
    SliceProgress,
    SliceResult,
    Status,
    WorkEvent,
)
from .progress import ProgressBar
from .results import Results


class Arrivals:
    """Takes in what the driver of a job tells, and hands it on when the user is ready.

    Attributes:
        keeps: whether results stay in `values`.
        values, errors: what the slices came to, by index.
        bar: shows how far the job is, if anybody looks.
        listeners: whom the user wants to be told.
    """

    def __init__(self, job: str, source: str, total: int | None) -> None:
        """
        Args:
            job: its id.
            source: its work function.
            total: how many slices it has, if that is known.
        """
        self.keeps = True
        self.collects_errors = False
        self.values: dict[int, Any] = {}
        self.errors: dict[int, BifrostError] = {}
        self.bar: ProgressBar | None = None
        self.listeners = Listeners()
        self._job = job
        self._source = source
        self._total = total
        self._told: deque[Tell] = deque()
        self._kept: Iterator[tuple[int, bytes]] = iter(())
        self._early: dict[int, Any] = {}  # results that wait for their turn
        self._following = 0
        self._status = Status(0, 0, 0, "new")
        self._cancelled: tuple[str, str] | None = None

    def tell(self, told: Sequence[Tell]) -> None:
        """Take what happened, in order. It is handed on by `take`."""
        self._told.extend(told)

    def restore(self, journal: Journal) -> None:
        """Hand out what a journal holds, first of all."""
        self._kept = journal.results()

    @property
    def are_waiting(self) -> bool:
        """Whether there is something that has not been handed on."""
        return bool(self._told or self._early)

    def take(self) -> Iterator[tuple[int, Any]]:
        """Tell the listeners what happened; hand out the results, with their indices."""
        __tracebackhide__ = True
        for index, parcel in self._kept:
            yield from self._hand_out(index, 0.0, *self._keep(index, parcel))
        while self._told:
            told = self._told[0]
            if told.name != "result":
                self._told.popleft()
                self._tell(told)
                continue
            index, seconds, parcel = told.details
            # It is kept before it is taken off: Ctrl-C may come between the two.
            value, is_value = self._keep(index, parcel)
            self._told.popleft()
            yield from self._hand_out(index, seconds, value, is_value)

    def drain(self) -> None:
        """Tell the listeners what happened; there is no loop any more that results could go to."""
        __tracebackhide__ = True
        deque(self.take(), maxlen=0)
        self._early.clear()

    def in_turn(self, items: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """Results in the order of their inputs, as far as they come from `items`."""
        __tracebackhide__ = True
        yield from self._whose_turn_it_is()
        for index, value in items:
            self._early[index] = value
            yield from self._whose_turn_it_is()

    def _whose_turn_it_is(self) -> Iterator[Any]:
        while self._following in self._early or self._following in self.errors:
            self._following += 1
            if self._following - 1 in self._early:
                yield self._early.pop(self._following - 1)

    def outcome(self, results: Results) -> Results:
        """The results of a job that is over.

        Raises:
            JobError: there are not all of them.
        """
        __tracebackhide__ = True
        self._early.clear()  # `results` has them
        errors = dict(self.errors)
        first = min(errors.items()) if errors else None
        if self._cancelled is not None:
            raise JobError(*self._cancelled, errors, results) from first and first[1]
        if first is not None and not self.collects_errors:
            index, error = first
            text = (
                f"{len(errors)} of {self._status.total} slices failed; the first is number"
                f" {index}: {error}"
            )
            raise JobError("ETOOMANYERRORS", text, errors, results) from error
        return results

    def _hand_out(
        self, index: int, seconds: float, value: Any, is_value: bool
    ) -> Iterator[tuple[int, Any]]:
        __tracebackhide__ = True
        if not is_value:
            self.listeners.call("error", SliceFailure(index, value))
            return
        if self.listeners.has("result"):
            self.listeners.call("result", SliceResult(index, value, seconds))
        yield index, value

    def _keep(self, index: int, parcel: bytes) -> tuple[Any, bool]:
        """Unpack a result; return it, or the error that it is, and which of the two."""
        try:
            value = parcels.unpack(parcel)
        except BifrostError as error:  # Python has no such value: a Map with an object as key, say
            self.errors[index] = error
            return error, False
        if self.keeps:
            self.values[index] = value
        return value, True

    def _tell(self, told: Tell) -> None:
        __tracebackhide__ = True
        name, details = told.name, told.details
        call, has = self.listeners.call, self.listeners.has
        if name == "status":
            self._status = Status(*details)
            if self.bar is not None:
                self.bar.status(self._total, details[2])
            if has("status"):
                call("status", self._status)
        elif name == "failed":
            index, parts = details
            error = self.errors[index] = error_of(parts, self._job, self._source)
            if self.bar is not None:
                self.bar.note(failed=len(self.errors))
            if self.collects_errors and self.keeps:
                self.values[index] = error
        elif name == "error":
            call("error", SliceFailure(details[0], error_of(details[1], self._job, self._source)))
        elif name == "console":
            if has("console"):
                call("console", ConsoleMessage(*details))
            else:
                _print(*details)
        elif name == "work":
            if has("work"):
                self._emit(*details)
        elif name == "progress":
            call("progress", SliceProgress(*details))
        else:
            if name == "workers":
                self._count_workers(*details)
            elif name == "cancel":
                self._cancelled = details
            call(name, *details)

    def _count_workers(self, number: int) -> None:
        if self.bar is not None:
            self.bar.note(workers=number)
        if number == 0 and not self.listeners.has("workers"):
            text = "there are no workers at the moment: the job waits for some"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def _emit(self, index: int, name: str, parcel: bytes) -> None:
        try:
            value = parcels.unpack(parcel)
        except BifrostError as error:  # Python has no such value: the slice itself is well
            self.listeners.call("error", SliceFailure(index, error))
        else:
            self.listeners.call("work", WorkEvent(index, name, value))


def _print(index: int, level: str, message: str, same: int) -> None:
    """Show what nobody listens for."""
    stream = sys.stderr if level in ("warn", "error") else sys.stdout
    print(message if same == 1 else f"{message} ({same:,} times)", file=stream)
