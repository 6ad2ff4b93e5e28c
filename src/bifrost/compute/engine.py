"""What runs a job's slices: the seam between the driver and the machines.

An engine has workers -- sandboxed Nodes, wherever they are. A job *opens* a crew on it,
submits chunks and gets reports; who writes an engine keeps these rules, which
tests/compute/conformance.py checks:

* `open` reports `Capacity` at once or as soon as it is known, and whenever it changes.
* Each chunk that is submitted is answered: its slices in order, each by `Returned` or
  `Threw`; or up to one that `Died`, which ends it; or it is `Lost`. After `cancel` nothing
  more needs to come, and what comes does no harm.
* Reports may come from any thread; those of one chunk come in order.
* What goes wrong in an engine is reported (`Broken`, `Lost`), never raised from a thread.
* After `close` of the crew no worker has anything of the job any more.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

from ..protocol.parcels import Parcel
from .events import EngineEvent
from .modules import Module
from .policy import Policy

_LETTERS: Final = string.ascii_letters + string.digits

#: Where an engine's events go.
Report: TypeAlias = "Callable[[EngineEvent], None]"


@dataclass(frozen=True, slots=True)
class Work:
    """What every worker of a job is told once.

    Attributes:
        id: 22 letters and digits, as DCP has them.
        source: JavaScript that evaluates to the work function.
        arguments: a parcel: the list of what the function gets behind each input.
        modules: what it may `require`.
        public: a parcel: what workers see as `work.job.public`.
        policy: the job's rules.
    """

    id: str
    source: str
    arguments: bytes
    modules: tuple[Module, ...]
    public: bytes
    policy: Policy

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        modules = sum(len(module.source) for module in self.modules)
        return len(self.source) + len(self.arguments) + modules


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some slices that one worker does in a row."""

    number: int
    parcels: Sequence[Parcel]


class Crew(Protocol):
    """The workers of an engine, as far as they work for one job."""

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk done, as soon as a worker is free."""

    def cancel(self, number: int) -> None:
        """Stop a chunk, whether it runs or waits; it is not an error if it is not there."""

    def close(self) -> None:
        """The job is over: stop what still runs. May be called more than once."""


@runtime_checkable
class Engine(Protocol):
    """Has workers."""

    @property
    def name(self) -> str:
        """For people: what it is and where."""

    def open(self, work: Work, report: Report) -> Crew:
        """Begin to work for a job.

        Raises:
            BifrostError: it cannot, for instance because `sandbox="strict"` asks for more
                than the platform has.
        """

    def close(self) -> None:
        """Give up its workers. A later `open` may start them again."""


def new_id() -> str:
    """The id of a new job: 22 letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(22))
