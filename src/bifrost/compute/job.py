"""The life of a job, as a pure state machine: events in, instructions out.

It holds no input and no result, only numbers: what an index stands for is the driver's
to know. Each index is delivered once. That needs no list of what has been delivered: an
index is in one chunk at a time, a chunk's number is never used twice, and what comes
from a chunk that is not under way is nobody's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Any, Final

from .events import (
    Began,
    Broken,
    Cancelled,
    Capacity,
    ClientEvent,
    Died,
    EngineEvent,
    Instruction,
    Lost,
    Pull,
    Pulled,
    Recall,
    Returned,
    Said,
    Send,
    Suspended,
    Tell,
    Threw,
)
from .policy import Policy

#: No chunk has more slices.
MOST_SLICES: Final = 1000
#: How much the newest slice counts in the moving average of their times.
WEIGHT: Final = 0.2
#: These errors are the job's, not a slice's.
_FATAL: Final = frozenset({"ENOMODULE", "EWORK"})


class _Chunk:
    __slots__ = ("answered", "indices")

    def __init__(self, indices: list[int]) -> None:
        self.indices = indices
        self.answered = 0


class JobState:
    """One job.

    Attributes:
        state: ``new``, ``running``, ``suspended``, ``complete`` or ``cancelled``.
        total: how many slices there are; None while that is not known.
        distributed, computed: how many have been handed out (once, at least), and done.
        errors: the error of each slice that failed for good.
    """

    def __init__(self, policy: Policy, total: int | None, done: Container[int] = ()) -> None:
        """
        Args:
            total: the number of inputs, if known.
            done: indices whose results are there already.
        """
        self.policy = policy
        self.total = total
        self.state = "new"
        self.computed = 0
        self.distributed = 0
        self.errors: dict[int, dict[str, Any]] = {}
        self._done = done
        self._pulled = 0
        self._handed_out = 0  # indices below it have been, at least once
        self._exhausted = False
        self._asked = 0  # inputs that are on their way
        self._is_slow = False  # fewer came than were asked for: do not wait for more
        self._fresh: deque[int] = deque()
        self._alone: deque[int] = deque()  # to be tried again, each in a chunk of its own
        self._chunks: dict[int, _Chunk] = {}
        self._next_chunk = 0
        self._deaths: dict[int, int] = {}
        self._throws: dict[int, int] = {}
        self._workers = 0
        self._average: float | None = None
        self._out: list[Instruction] = []

    def handle(self, event: EngineEvent | ClientEvent) -> list[Instruction]:
        """What is to be done now that `event` has happened."""
        _HANDLERS[type(event)](self, event)
        # A result in the middle of a chunk makes no room: there is nothing new to hand out.
        is_amid = type(event) is Returned and event.chunk in self._chunks
        if self.state == "running" and not is_amid:
            self._dispatch()
            if self._exhausted and not (self._chunks or self._fresh or self._alone):
                self._end("complete", Tell("complete"))
        out, self._out = self._out, []
        return out

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more, unless the client says so."""
        return self.state in ("complete", "cancelled", "suspended")

    # -- from the client

    def _began(self, event: Began) -> None:
        if self.state == "new":
            self._out.append(Tell("accepted"))
            self._status()
        self._become("running")

    def _pulled_more(self, event: Pulled) -> None:
        self._is_slow = event.count < self._asked
        self._asked = 0
        for index in range(self._pulled, self._pulled + event.count):
            if index in self._done:
                self.computed += 1
                self.distributed += 1
            else:
                self._fresh.append(index)
        self._pulled += event.count
        if event.exhausted:
            self._exhausted = True
            self.total = self._pulled

    def _suspended(self, event: Suspended) -> None:
        if self.state == "running":
            self._recall_all()
            self._asked = 0
            self._become("suspended")

    def _cancelled(self, event: Cancelled) -> None:
        if self.state not in ("complete", "cancelled"):
            self._end("cancelled", Tell("cancel", (event.code, event.reason)))

    # -- from the engine

    def _capacity(self, event: Capacity) -> None:
        self._workers = event.workers
        self._out.append(Tell("workers", (event.workers,)))

    def _broken(self, event: Broken) -> None:
        if self.state == "running":
            self._end("cancelled", Tell("cancel", (event.code, event.reason)))

    def _answered(self, event: Returned | Threw | Died) -> int | None:
        """The index that an answer is for; None if it is not wanted any more."""
        chunk = self._chunks.get(event.chunk)
        if chunk is None or event.position != chunk.answered:
            if chunk is not None and event.position < chunk.answered:
                self._out.append(Tell("duplicate", (chunk.indices[event.position],)))
            return None
        chunk.answered += 1
        if chunk.answered == len(chunk.indices):
            del self._chunks[event.chunk]
        return chunk.indices[event.position]

    def _returned(self, event: Returned) -> None:
        index = self._answered(event)
        if index is None:
            return
        before = event.seconds if self._average is None else self._average
        self._average = before + WEIGHT * (event.seconds - before)
        self.computed += 1
        self._deaths.pop(index, None)
        self._throws.pop(index, None)
        self._out.append(Tell("result", (index, event.seconds, event.parcel)))
        self._status()

    def _threw(self, event: Threw) -> None:
        index = self._answered(event)
        if index is None:
            return
        self._out.append(Tell("error", (index, event.error)))
        code = event.error.get("code")
        if code in _FATAL:
            self.errors[index] = event.error
            self._out.append(Tell("failed", (index, event.error)))
            reason = f"{event.error['name']}: {event.error['message']}"
            self._end("cancelled", Tell("cancel", (code, reason)))
            return
        allowed = event.error.get("retries", self.policy.error_retries)
        count = self._throws[index] = self._throws.get(index, 0) + 1
        if count <= allowed:
            self._alone.append(index)
        else:
            self._fail(index, event.error, count)

    def _died(self, event: Died) -> None:
        chunk = self._chunks.get(event.chunk)
        index = self._answered(event)
        if index is None or chunk is None:
            return
        self._requeue(event.chunk, chunk)
        error = {
            "name": "WorkerDied",
            "message": event.reason,
            "stack": "",
            "code": event.code,
        }
        self._out.append(Tell("error", (index, error)))
        count = self._deaths[index] = self._deaths.get(index, 0) + 1
        if count <= self.policy.retries:
            self._alone.append(index)
        else:
            self._fail(index, error, count)

    def _lost(self, event: Lost) -> None:
        chunk = self._chunks.get(event.chunk)
        if chunk is not None:
            self._requeue(event.chunk, chunk)

    def _said(self, event: Said) -> None:
        chunk = self._chunks.get(event.chunk)
        if chunk is not None and event.position == chunk.answered:
            self._out.append(Tell(event.what, (chunk.indices[event.position], *event.details)))

    # -- what follows from it

    def _fail(self, index: int, error: dict[str, Any], tries: int) -> None:
        """A slice will not be tried again."""
        if tries > 1:
            error = {**error, "message": f"{error['message']} (tried {tries} times)"}
        self.errors[index] = error
        self.computed += 1
        self._out.append(Tell("failed", (index, error)))
        self._status()
        if self.policy.on_error == "cancel":
            reason = f"slice {index} failed: {error['name']}: {error['message']}"
            self._end("cancelled", Tell("cancel", ("ETOOMANYERRORS", reason)))

    def _requeue(self, number: int, chunk: _Chunk) -> None:
        """What a chunk has not answered goes back to the front, and nobody is charged."""
        self._chunks.pop(number, None)
        self._fresh.extendleft(reversed(chunk.indices[chunk.answered :]))

    def _recall_all(self) -> None:
        for number, chunk in sorted(self._chunks.items(), reverse=True):
            self._requeue(number, chunk)
            self._out.append(Recall(number))

    def _end(self, state: str, told: Tell) -> None:
        self._recall_all()
        self._become(state)
        self._out.append(told)

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._out.append(Tell("readystatechange", (state,)))

    def _status(self) -> None:
        total = self._pulled if self.total is None else self.total
        self._out.append(Tell("status", (total, self.distributed, self.computed, self.state)))

    def _chunk_size(self) -> int:
        if self._average is None:
            return 1
        fitting = self.policy.chunk_seconds / max(self._average, 1e-9)
        # The last slices are shared out, so that no worker is left alone with many of them.
        if self.total is not None and self._workers:
            remaining = self.total - self.computed
            fitting = min(fitting, remaining / (self._workers * self.policy.window))
        return max(1, min(int(fitting), MOST_SLICES))

    def _dispatch(self) -> None:
        room = self._workers * self.policy.window - len(self._chunks)
        while room > 0 and self._alone:
            self._send([self._alone.popleft()])
            room -= 1
        size = self._chunk_size()
        waits = not (self._exhausted or self._is_slow)
        while room > 0 and self._fresh and not (waits and len(self._fresh) < size):
            self._send([self._fresh.popleft() for _ in range(min(size, len(self._fresh)))])
            room -= 1
        if room > 0 and not self._exhausted and not self._asked:
            self._asked = room * size - len(self._fresh)
            self._out.append(Pull(self._asked))

    def _send(self, indices: list[int]) -> None:
        number = self._next_chunk
        self._next_chunk += 1
        self._chunks[number] = _Chunk(indices)
        self._out.append(Send(number, indices))
        for index in indices:
            # The first time, that is: every fresh index is above those handed out before.
            if index >= self._handed_out:
                self._handed_out = index + 1
                self.distributed += 1
                self._status()


_HANDLERS: Final[dict[type, Any]] = {
    Began: JobState._began,
    Pulled: JobState._pulled_more,
    Suspended: JobState._suspended,
    Cancelled: JobState._cancelled,
    Capacity: JobState._capacity,
    Broken: JobState._broken,
    Returned: JobState._returned,
    Threw: JobState._threw,
    Died: JobState._died,
    Lost: JobState._lost,
    Said: JobState._said,
}
