"""Runs a job: feeds its state machine, and does what that says.

The driver has no thread and waits for nothing by itself. Whoever runs the job calls
`advance` when there is something to do: a thread that waits for the results, a generator
that hands them out, or an event loop. So inputs are pulled and listeners called where the
user is, and a slow consumer slows the workers, for only a window of chunks is under way.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence

from ..protocol.parcels import Parcel
from .engine import Chunk, Crew, Engine, Report, Work
from .events import (
    Began,
    Cancelled,
    ClientEvent,
    EngineEvent,
    Instruction,
    Pull,
    Pulled,
    Recall,
    Send,
    Suspended,
    Tell,
)
from .job import JobState
from .journal import Journal


class Driver:
    """Runs one job on one engine.

    Attributes:
        state: the job's state machine.
        wanted: how many inputs `feed` should bring next; 0 is none.
        wake: called, from any thread, when there may be something for `advance` to do.
    """

    def __init__(
        self,
        work: Work,
        engine: Engine,
        tell: Callable[[Sequence[Tell]], object],
        total: int | None,
        journal: Journal | None = None,
    ) -> None:
        """
        Args:
            tell: takes what happened, in order.
            total: the number of inputs, if known.
            journal: where results are kept; those in it are not computed again.
        """
        self.state = JobState(work.policy, total, () if journal is None else journal.done)
        self.wanted = 0
        self.wake: Callable[[], object] | None = None
        self._work = work
        self._engine = engine
        self._tell = tell
        self._journal = journal
        self._crew: Crew | None = None
        self._turn = 0  # of crews: a job that was suspended gets a new one
        self._parcels: dict[int, Parcel] = {}
        self._pulled = 0
        self._inbox: queue.SimpleQueue[EngineEvent | ClientEvent | None] = queue.SimpleQueue()

    def begin(self) -> None:
        """Start, or go on after a suspension.

        Raises:
            BifrostError: the engine cannot do this job, or another writes its journal.
        """
        if self._journal is not None:
            self._journal.acquire()
        if self._crew is None:
            self._crew = self._engine.open(self._work, self._reporter())
        self._handle([Began()])

    def _reporter(self) -> Report:
        """Takes what the next crew reports, as long as that is the job's crew."""
        self._turn += 1
        turn = self._turn

        def report(event: EngineEvent) -> None:
            if turn == self._turn:
                self._put(event)

        return report

    def feed(self, parcels: Sequence[Parcel], exhausted: bool) -> None:
        """Bring the inputs that were `wanted`; fewer are no harm if more come later."""
        self.wanted = 0
        for parcel in parcels:
            if self._journal is None or not self._journal.holds(self._pulled, parcel):
                self._parcels[self._pulled] = parcel
            self._pulled += 1
        self._handle([Pulled(len(parcels), exhausted)])

    def cancel(self, reason: str, code: str = "ECANCELLED") -> None:
        """End the job; results that came stay. From any thread."""
        self._put(Cancelled(reason, code))

    def suspend(self) -> None:
        """Stop the workers, so that nothing runs that nobody waits for; `begin` goes on."""
        self._handle([Suspended()])
        self._leave()

    def poke(self) -> None:
        """End a wait in `advance`. From any thread, and from signal handlers."""
        self._put(None)

    def advance(self, timeout: float | None = 0.0) -> None:
        """Do what there is to do; wait for that up to `timeout` seconds (None: as it takes)."""
        events = []
        try:
            event = self._inbox.get(timeout != 0, timeout)
            while True:
                if event is not None:
                    events.append(event)
                event = self._inbox.get_nowait()
        except queue.Empty:
            pass
        self._handle(events)

    def close(self) -> None:
        """The job is over."""
        self._leave()
        if self._journal is not None:
            self._journal.close()

    def _leave(self) -> None:
        self._turn += 1
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.close()

    def _put(self, event: EngineEvent | ClientEvent | None) -> None:
        self._inbox.put(event)
        wake = self.wake
        if wake is not None:
            wake()

    def _handle(self, events: Sequence[EngineEvent | ClientEvent]) -> None:
        told: list[Tell] = []
        try:
            for event in events:
                for instruction in self.state.handle(event):
                    self._do(instruction, told)
            if self._journal is not None:
                self._journal.commit()
            if self.state.is_over:
                self._leave()
                if self._journal is not None:
                    is_resumable = self.state.state == "suspended"
                    (self._journal.release if is_resumable else self._journal.close)()
        finally:  # a disk may be full: what has happened has happened
            if told:
                self._tell(told)

    def _do(self, instruction: Instruction, told: list[Tell]) -> None:
        if isinstance(instruction, Tell):
            told.append(instruction)
            if instruction.name in ("result", "failed"):
                self._note(instruction)
        elif isinstance(instruction, Send):
            assert self._crew is not None
            parcels = [self._parcels[index] for index in instruction.indices]
            self._crew.submit(Chunk(instruction.chunk, parcels))
        elif isinstance(instruction, Pull):
            self.wanted = instruction.count
        elif isinstance(instruction, Recall) and self._crew is not None:
            self._crew.cancel(instruction.chunk)

    def _note(self, told: Tell) -> None:
        """A slice is done: its input is not needed any more."""
        input_parcel = self._parcels.pop(told.details[0])
        if self._journal is not None and told.name == "result":
            self._journal.add(told.details[0], input_parcel, told.details[2])
