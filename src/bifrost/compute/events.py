"""What engines report, and what a job is told: the events of the job's state machine.

Chunks and slices are named by numbers: a chunk's is never used twice, a slice's is its
index in the input set. `position` is that of a slice within its chunk; the slices of a
chunk are answered in order. Nobody changes an event, though it is not frozen: several are
made for each slice, and to make a frozen one takes seven times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

# -- from an engine


@dataclass(slots=True)
class Capacity:
    """So many workers are there for the job, from now on."""

    workers: int


@dataclass(slots=True)
class Returned:
    """A slice has its result."""

    chunk: int
    position: int
    seconds: float
    parcel: bytes | memoryview


@dataclass(slots=True)
class Threw:
    """A slice's work function threw, or its result cannot be sent.

    `error` has ``name``, ``message``, ``stack``, ``code``; ``retries`` where the work function
    asked for them (`work.reject`).
    """

    chunk: int
    position: int
    error: dict[str, Any]


@dataclass(slots=True)
class Died:
    """The worker ended at this slice, which ends the chunk.

    `code` is ``EDIED``, ``ESLICETOOSLOW``, ``ENOPROGRESS``, ``EMEMORY`` or ``EPROTOCOL``.
    """

    chunk: int
    position: int
    code: str
    reason: str


@dataclass(slots=True)
class Lost:
    """The engine lost a chunk: no slice of it is to blame."""

    chunk: int
    reason: str


@dataclass(slots=True)
class Said:
    """A slice did something that the client may want to know of.

    `what` is ``console`` (level, message, how often), ``work`` (name, parcel) or ``progress``
    (fraction).
    """

    chunk: int
    position: int
    what: str
    details: tuple[Any, ...]


@dataclass(slots=True)
class Broken:
    """The engine cannot go on with this job."""

    code: str
    reason: str


EngineEvent: TypeAlias = "Capacity | Returned | Threw | Died | Lost | Said | Broken"

# -- from the client


@dataclass(slots=True)
class Began:
    """The job is to run; also: to go on."""


@dataclass(slots=True)
class Pulled:
    """So many more inputs are there, in answer to `Pull`."""

    count: int
    exhausted: bool


@dataclass(slots=True)
class Suspended:
    """The client does not wait any more; it may come back."""


@dataclass(slots=True)
class Cancelled:
    """The client has had enough."""

    reason: str
    code: str = "ECANCELLED"


ClientEvent: TypeAlias = "Began | Pulled | Suspended | Cancelled"

# -- instructions


@dataclass(slots=True)
class Pull:
    """Get so many more inputs, and say `Pulled`."""

    count: int


@dataclass(slots=True)
class Send:
    """Give a chunk of slices to the engine."""

    chunk: int
    indices: list[int]


@dataclass(slots=True)
class Recall:
    """Nobody wants this chunk any more: stop it."""

    chunk: int


@dataclass(slots=True)
class Tell:
    """An event for the client's listeners: its name, and what comes with it.

    ``status`` (total, distributed, computed, run status), ``result`` (index, seconds, parcel),
    ``error`` (index, error), ``failed`` (index, error: the slice will not be tried again),
    ``console``, ``work``, ``progress`` (index, ...), ``duplicate`` (index), ``complete`` (),
    ``cancel`` (code, reason), ``readystatechange`` (state), ``workers`` (number), ``accepted`` ().
    """

    name: str
    details: tuple[Any, ...] = ()


Instruction: TypeAlias = "Pull | Send | Recall | Tell"
