"""A job's events in Python: their names, what comes with them, and who listens."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ..errors import BifrostError

_F = TypeVar("_F", bound=Callable[..., Any])

NAMES: Final = (
    "accepted",
    "cancel",
    "complete",
    "console",
    "duplicate",
    "error",
    "progress",
    "readystatechange",
    "result",
    "status",
    "work",
    "workers",
)


@dataclass(frozen=True, slots=True)
class Status:
    """How far a job is: numbers of slices."""

    total: int
    distributed: int
    computed: int
    state: str


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The result of one slice; `seconds` is what its work function took."""

    index: int
    result: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class SliceFailure:
    """A try of a slice that failed; whether it is tried again is for the policy to say."""

    index: int
    error: BifrostError


@dataclass(frozen=True, slots=True)
class ConsoleMessage:
    """What a work function printed.

    A line that comes again and again is told twice: when it comes, and with `same`, how often it
    came, when something else does.
    """

    index: int
    level: str
    message: str
    same: int = 1


@dataclass(frozen=True, slots=True)
class WorkEvent:
    """What a work function said with `work.emit(name, value)`."""

    index: int
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class SliceProgress:
    """How far a slice is: 0 to 1."""

    index: int
    fraction: float


class Listeners:
    """The functions that listen to a job, by the names of the events (in any case)."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Callable[..., Any]]] = {}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        __tracebackhide__ = True
        if not callable(function):
            raise TypeError(f"a listener must be a function, not {function!r}")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"a listener is a plain function, and nobody would await {function!r}: start"
                " what it does with asyncio.ensure_future, or loop over the job with `async for`"
            )
        self._by_name.setdefault(_checked(name), []).append(function)

    def remove(self, name: str, function: Callable[..., Any]) -> None:
        listening = self._by_name.get(_checked(name), [])
        if function in listening:
            listening.remove(function)

    def has(self, name: str) -> bool:
        return bool(self._by_name.get(name))

    def call(self, name: str, *details: Any) -> None:
        __tracebackhide__ = True
        for function in tuple(self._by_name.get(name, ())):
            function(*details)


def _checked(name: str) -> str:
    __tracebackhide__ = True
    known = name.lower().removesuffix("-result")
    if known not in NAMES:
        raise ValueError(f"a job has no event {name!r}; it has {', '.join(NAMES)}")
    return known
