"""The engine of this machine: a pool of sandboxed Nodes, one for each core.

A seat is a thread that owns one Node at a time: it starts it, talks to it and buries it.
(On Linux a Node ends with the thread that started it, whatever happens to Python.) A Node
works for one job and is never given to another. Seats that have no job keep a blank Node
ready, so that the next job begins at once, and give it up after a while.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Final

from ..errors import BifrostError
from .engine import Chunk, Report, Work
from .events import Broken, Capacity, Died, Lost, Returned, Said, Threw
from .sandbox import require
from .worker import Observed, Worker, WorkerDied

#: Seconds after which a seat without a job gives up its Node, and itself.
IDLE_SECONDS: Final = 60.0
#: Nodes that end before they have begun: if so many do in a row, others will.
MOST_STARTS: Final = 3


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


_engines: weakref.WeakSet[LocalEngine] = weakref.WeakSet()


def _after_fork() -> None:
    """Neither the threads nor their Nodes are the child's, whatever it closes."""
    for engine in _engines:
        crews = engine._crews
        engine._begin()
        for crew in crews:
            crew.is_closed = True
            crew.running.clear()
            crew.report(Broken("EENGINE", "this process was forked from the one that runs the job"))


os.register_at_fork(after_in_child=_after_fork)


class LocalEngine:
    """Sandboxed Nodes on this machine.

    Args:
        workers: how many; one for each core if left out.
        idle_seconds: how long a worker is kept ready when there is nothing to do.
    """

    def __init__(self, workers: int | None = None, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.workers = cores() if workers is None else workers
        if self.workers < 1:
            raise ValueError(f"workers={workers!r}: at least one is needed")
        self._idle_seconds = idle_seconds
        self._begin()
        _engines.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._crews: list[_Crew] = []
        self._seats: set[_Seat] = set()

    def __repr__(self) -> str:
        return f"LocalEngine({self.workers})"

    @property
    def name(self) -> str:
        """For people: what it is and where."""
        return f"this machine, {self.workers} worker{'s' if self.workers > 1 else ''}"

    def open(self, work: Work, report: Report) -> _Crew:
        """Begin to work for a job.

        Raises:
            SandboxError: this platform cannot confine workers as the job's policy asks.
        """
        require(work.policy.sandbox)
        crew = _Crew(self, work, report)
        with self._changed:
            self._crews.append(crew)
        report(Capacity(crew.limit))
        return crew

    def close(self) -> None:
        """End all workers, and wait until they are gone; jobs that run end with an error.

        A later job starts new workers.
        """
        with self._changed:
            crews, seats = list(self._crews), self._seats
            self._seats = set()
            for seat in seats:
                seat.is_dismissed = True
            self._changed.notify_all()
        for crew in crews:
            crew.report(Broken("EENGINE", "the engine was closed"))
            crew.close()
        for seat in seats:
            seat.join()

    # -- for crews and seats, with the lock held

    def _call_seats(self) -> None:
        """There is a chunk to do: wake those who can do it, or have one more."""
        self._changed.notify_all()
        waiting = sum(len(crew.waiting) for crew in self._crews)
        idle = sum(1 for seat in self._seats if seat.is_idle)
        while waiting > idle and len(self._seats) < self.workers:
            seat = _Seat(self)
            seat.start()
            self._seats.add(seat)
            idle += 1

    def _next_for(self, seat: _Seat) -> tuple[_Crew, Chunk] | None:
        """The chunk that a seat should do next: of the job that has the fewest seats."""
        open_to = [crew for crew in self._crews if crew.waiting and len(crew.running) < crew.limit]
        if not open_to:
            return None
        crew = min(open_to, key=lambda crew: (len(crew.running), crew is not seat.crew))
        return crew, crew.waiting.popleft()


class _Crew:
    def __init__(self, engine: LocalEngine, work: Work, report: Report) -> None:
        self.work = work
        self.report = report
        self.limit = min(engine.workers, work.policy.concurrency or engine.workers)
        self.waiting: deque[Chunk] = deque()
        self.running: dict[int, _Seat] = {}
        self.is_closed = False
        self._engine = engine

    def submit(self, chunk: Chunk) -> None:
        with self._engine._changed:
            if not self.is_closed:
                self.waiting.append(chunk)
                self._engine._call_seats()
                return
        self.report(Broken("EENGINE", "the workers have been given up"))

    def cancel(self, number: int) -> None:
        with self._engine._changed:
            self.waiting = deque(chunk for chunk in self.waiting if chunk.number != number)
            seat = self.running.pop(number, None)
            if seat is not None:
                seat.interrupt()

    def close(self) -> None:
        with self._engine._changed:
            if self.is_closed:
                return
            self.is_closed = True
            self.waiting.clear()
            self._engine._crews.remove(self)
            for number in tuple(self.running):
                self.cancel(number)
            self._engine._changed.notify_all()


class _Seat(threading.Thread):
    """Owns a Node."""

    def __init__(self, engine: LocalEngine) -> None:
        super().__init__(name="bifrost-seat", daemon=True)
        self.is_idle = True
        self.is_dismissed = False
        #: Whom the Node works for; None while it is blank.
        self.crew: _Crew | None = None
        self._engine = engine
        self._worker: Worker | None = None
        self._failed_starts = 0

    def run(self) -> None:
        engine = self._engine
        try:
            while (task := self._wait()) is not None:
                crew, chunk = task
                self._do(crew, chunk)
                with engine._changed:
                    crew.running.pop(chunk.number, None)
                    engine._changed.notify_all()
        finally:
            self._drop()
            with engine._changed:
                engine._seats.discard(self)
                engine._call_seats()  # a chunk may have come while this seat was leaving

    def interrupt(self) -> None:
        """End what runs; called with the lock held, so that nothing else has begun."""
        if self._worker is not None:
            self._worker.interrupt()

    def _wait(self) -> tuple[_Crew, Chunk] | None:
        """The next chunk to do; None if this seat is not needed any more."""
        engine = self._engine
        is_late = False
        while True:
            with engine._changed:
                task = None if self.is_dismissed else engine._next_for(self)
                over = self.crew is not None and self.crew.is_closed
                self.is_idle = task is None and not (self.is_dismissed or is_late)
                if task is not None:
                    crew, chunk = task
                    crew.running[chunk.number] = self
                if not self.is_idle:
                    return task
                if not over:
                    is_late = not engine._changed.wait(engine._idle_seconds)
            if over:
                policy = self.crew.work.policy if self.crew is not None else None
                self._drop()
                if policy is not None:
                    self._prepare(policy.sandbox, policy.memory)

    def _prepare(self, level: str, memory: int | str | None) -> None:
        """Have a blank Node ready for the next job, which will probably be like the last one."""
        try:
            self._worker = Worker(level, memory)
        except (BifrostError, OSError):
            self._worker = None  # the next job will be told

    def _drop(self) -> None:
        with self._engine._changed:
            worker, self._worker, self.crew = self._worker, None, None
        if worker is not None:
            worker.close()

    def _do(self, crew: _Crew, chunk: Chunk) -> None:
        number = chunk.number
        try:
            worker = self._worker_for(crew)
            if self._is_wanted(crew, number):
                worker.run(chunk.parcels, _reporter(crew.report, number))
                self._failed_starts = 0
        except WorkerDied as death:
            self._drop()
            if not self._is_wanted(crew, number):
                return
            if death.code == "ECANCELLED":  # that was meant for the chunk before
                crew.report(Lost(number, death.reason))
            elif death.position is not None:
                self._failed_starts = 0
                crew.report(Died(number, death.position, death.code, death.reason))
            elif self._failed_starts < MOST_STARTS:
                self._failed_starts += 1
                crew.report(Lost(number, death.reason))
            else:
                crew.report(Broken("EENGINE", f"a worker could not be started: {death.reason}"))
        except Exception as error:  # noqa: BLE001 - a thread that ends in silence is waited for
            self._drop()
            what = error if isinstance(error, (BifrostError, OSError)) else repr(error)
            crew.report(Broken("EENGINE", f"a worker could not be used: {what}"))

    def _worker_for(self, crew: _Crew) -> Worker:
        """The Node, if it is this crew's or blank and fit; else a new one."""
        policy = crew.work.policy
        if self._worker is not None and (
            self.crew not in (None, crew) or not self._worker.fits(policy.sandbox, policy.memory)
        ):
            self._drop()
        worker = self._worker or Worker(policy.sandbox, policy.memory)
        with self._engine._changed:
            is_blank = self.crew is None
            self._worker, self.crew = worker, crew
        if is_blank:
            worker.assign(crew.work)
        return worker

    def _is_wanted(self, crew: _Crew, number: int) -> bool:
        with self._engine._changed:
            return number in crew.running


def _reporter(report: Report, chunk: int) -> Observed:
    def observe(position: int, what: str, *details: object) -> None:
        if what == "result":
            report(Returned(chunk, position, *details))  # type: ignore[arg-type]
        elif what == "error":
            report(Threw(chunk, position, *details))  # type: ignore[arg-type]
        else:
            report(Said(chunk, position, what, details))

    return observe
