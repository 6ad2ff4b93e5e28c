"""Workers for jobs whose driver is in another process: a Dask worker, a process of a pool.

There a chunk is one call of :meth:`Host.run`, which returns when the chunk is answered. The
workers are those of this machine's engine, so that a slice is done, limited and confined in
the same way everywhere.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final, TypeAlias

from ..errors import BifrostError
from .engine import Chunk, Work
from .events import Broken, Capacity, Died, EngineEvent, Lost, Returned, Said, Threw
from .local import LocalEngine

#: Seconds between two questions whether the chunk is still wanted.
_LOOK: Final = 0.25
#: Seconds that a job's workers are kept for its next chunk.
_IDLE: Final = 15.0
#: Seconds after which a job that sends no more chunks is forgotten; it may come again.
_FORGET: Final = 60.0
#: More than callers will ever run at once: it is they who limit it.
_MANY: Final = 1 << 16

#: What a chunk came to: its events in order, each as its type and fields without the chunk's
#: number. Plain tuples travel much faster than the events themselves.
Answer: TypeAlias = "list[tuple[Any, ...]]"


class _Job:
    """What a host has of one job: its crew, and who waits for which chunk."""

    def __init__(self, engine: LocalEngine, work: Work) -> None:
        self.inboxes: dict[int, queue.SimpleQueue[EngineEvent]] = {}
        self.used = time.monotonic()
        self.crew = engine.open(work, self._report)

    def _report(self, event: EngineEvent) -> None:
        if isinstance(event, Broken):
            self.tell_all(event)
        elif not isinstance(event, Capacity):
            inbox = self.inboxes.get(event.chunk)
            if inbox is not None:
                inbox.put(event)

    def tell_all(self, event: EngineEvent) -> None:
        for inbox in tuple(self.inboxes.values()):
            inbox.put(event)


class Host:
    """The workers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine = LocalEngine(_MANY, idle_seconds=_IDLE)
        self._jobs: dict[str, _Job] = {}
        self._next = 0

    def run(
        self,
        work: Work | None,
        ident: str,
        parcels: Sequence[bytes],
        is_wanted: Callable[[], bool],
        say: Callable[[Said], object] = lambda said: None,
    ) -> Answer | None:
        """Do a chunk, and return when it is done; None if the work is needed for that.

        Args:
            work: what to do; None if this host may have it already.
            ident: the job's.
            is_wanted: asked now and then; if not, the chunk is stopped.
            say: gets what the slices say at once. It is in the answer as well.
        """
        inbox: queue.SimpleQueue[EngineEvent] = queue.SimpleQueue()
        try:
            with self._lock:
                job = self._job(work, ident)
                if job is None:
                    return None
                number = self._next  # one of its own: what was lost may come again, to this host
                self._next += 1
                job.inboxes[number] = inbox
        except BifrostError as error:
            return [("Broken", "EENGINE", str(error))]
        try:
            job.crew.submit(Chunk(number, [[parcel] for parcel in parcels]))
            answer = self._answer(inbox, len(parcels), is_wanted, say)
            if answer is None:
                job.crew.cancel(number)
                return [("Lost", "it is not wanted any more")]
            return answer
        finally:
            del job.inboxes[number]
            job.used = time.monotonic()

    def _answer(
        self,
        inbox: queue.SimpleQueue[EngineEvent],
        count: int,
        is_wanted: Callable[[], bool],
        say: Callable[[Said], object],
    ) -> Answer | None:
        """What a chunk comes to; None if nobody wants it any more."""
        answer: Answer = []
        done = 0
        while done < count:
            try:
                event = inbox.get(timeout=_LOOK)
            except queue.Empty:
                if not is_wanted():
                    return None
                continue
            if isinstance(event, Returned):
                parcel = bytes(event.parcel)  # which can be pickled
                answer.append(("Returned", event.position, event.seconds, parcel))
                done += 1
                continue
            answer.append(_row(event))
            if isinstance(event, Said):
                with contextlib.suppress(Exception):  # it comes with the answer
                    say(event)
            elif isinstance(event, Threw):
                done += 1
            else:
                break
        return answer

    def _job(self, work: Work | None, ident: str) -> _Job | None:
        """What it has of a job; with the lock held."""
        job = self._jobs.get(ident)
        if job is None and work is not None:
            left = time.monotonic() - _FORGET
            for other, old in tuple(self._jobs.items()):
                if not old.inboxes and old.used < left:  # its client may have been killed
                    del self._jobs[other]
                    old.crew.close()
            job = self._jobs[ident] = _Job(self._engine, work)
        return job

    def forget(self, ident: str) -> None:
        """A job is over."""
        with self._lock:
            job = self._jobs.pop(ident, None)
        if job is not None:
            job.crew.close()
            job.tell_all(Lost(0, "the job is over"))

    def close(self) -> None:
        """End all workers."""
        for ident in tuple(self._jobs):
            self.forget(ident)
        self._engine.close()


def _row(event: EngineEvent) -> tuple[Any, ...]:
    values = [getattr(event, field.name) for field in fields(event) if field.name != "chunk"]
    return (type(event).__name__, *values)


def events_of(answer: Answer, number: int) -> Iterator[EngineEvent]:
    """The events of an answer, of the chunk of this number."""
    for kind, *values in answer:
        if kind == "Broken":
            yield Broken(*values)
        else:
            yield _EVENTS[kind](number, *values)


_OF_CHUNKS: Final = (Returned, Threw, Died, Said, Lost)
_EVENTS: Final[dict[str, Any]] = {kind.__name__: kind for kind in _OF_CHUNKS}
