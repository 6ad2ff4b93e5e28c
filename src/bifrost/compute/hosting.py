"""Workers for jobs whose driver is in another process: a Dask worker, a process of a pool.

There a chunk is one call of :meth:`Host.run`, which returns when the chunk is answered. The
workers are those of this machine's engine, so that a slice is done, limited and confined in
the same way everywhere.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final, TypeAlias

from ..errors import BifrostError
from .engine import Chunk, Crew, Work
from .events import Broken, Capacity, Died, EngineEvent, Lost, Returned, Said, Threw
from .local import LocalEngine

#: Seconds between two questions whether the chunk is still wanted.
_LOOK: Final = 0.25
#: Seconds that a job's workers are kept for its next chunk.
_IDLE: Final = 15.0
#: More than callers will ever run at once: it is they who limit it.
_MANY: Final = 1 << 16

#: What a chunk came to: its events in order, each as its type and fields without the chunk's
#: number. Plain tuples travel much faster than the events themselves.
Answer: TypeAlias = "list[tuple[Any, ...]]"


class Host:
    """The workers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine = LocalEngine(_MANY, idle_seconds=_IDLE)
        self._crews: dict[str, tuple[Crew, dict[int, queue.SimpleQueue[EngineEvent]]]] = {}
        self._next = 0

    def knows(self, job: str) -> bool:
        """Whether it has this job's work."""
        return job in self._crews

    def run(
        self,
        work: Work | None,
        job: str,
        parcels: Sequence[bytes],
        is_wanted: Callable[[], bool],
        say: Callable[[Said], object] = lambda said: None,
    ) -> Answer:
        """Do a chunk, and return when it is done.

        Args:
            work: what to do; None if this host `knows` it.
            is_wanted: asked now and then; if not, the chunk is stopped.
            say: gets what the slices say at once. It is in the answer as well.
        """
        try:
            crew, inboxes = self._crew(work, job)
        except BifrostError as error:
            return [("Broken", "EENGINE", str(error))]
        inbox: queue.SimpleQueue[EngineEvent] = queue.SimpleQueue()
        with self._lock:
            number = self._next  # one of its own: what was lost may come again, to this host
            self._next += 1
            inboxes[number] = inbox
        answer: Answer = []
        done = 0
        try:
            crew.submit(Chunk(number, [[parcel] for parcel in parcels]))
            while done < len(parcels):
                try:
                    event = inbox.get(timeout=_LOOK)
                except queue.Empty:
                    if not is_wanted():
                        crew.cancel(number)
                        return [("Lost", "it is not wanted any more")]
                    continue
                if isinstance(event, Returned):
                    parcel = bytes(event.parcel)  # which can be pickled
                    answer.append(("Returned", event.position, event.seconds, parcel))
                    done += 1
                    continue
                answer.append(_row(event))
                if isinstance(event, Said):
                    say(event)
                elif isinstance(event, Threw):
                    done += 1
                else:
                    break
            return answer
        finally:
            inboxes.pop(number, None)

    def _crew(
        self, work: Work | None, job: str
    ) -> tuple[Crew, dict[int, queue.SimpleQueue[EngineEvent]]]:
        with self._lock:
            if job not in self._crews:
                assert work is not None
                inboxes: dict[int, queue.SimpleQueue[EngineEvent]] = {}

                def report(event: EngineEvent) -> None:
                    if isinstance(event, Broken):
                        for inbox in tuple(inboxes.values()):
                            inbox.put(event)
                    elif not isinstance(event, Capacity):
                        inbox_of = inboxes.get(event.chunk)
                        if inbox_of is not None:
                            inbox_of.put(event)

                self._crews[job] = (self._engine.open(work, report), inboxes)
            return self._crews[job]

    def forget(self, job: str) -> None:
        """A job is over."""
        with self._lock:
            crew = self._crews.pop(job, None)
        if crew is not None:
            crew[0].close()

    def close(self) -> None:
        """End all workers."""
        for job in tuple(self._crews):
            self.forget(job)
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
