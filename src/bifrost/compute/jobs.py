"""A job, as Python programs see it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar, overload

from ..errors import BifrostError, JobError, RunTimeout, ShareError
from ..protocol import parcels
from ..runtime.interrupts import CtrlC
from .driver import Driver
from .engine import Engine, new_id
from .events import Tell
from .failures import error_of
from .inputs import Inputs
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
from .policy import Policy
from .progress import ProgressBar, is_watched
from .results import Results
from .work import make_work, source_of

_F = TypeVar("_F", bound=Callable[..., Any])
#: Seconds after which inputs that come slowly are sent, though more were wanted.
_PATIENCE: Final = 0.05


@dataclass
class Public:
    """What everybody may know of a job; work functions see it as `work.job.public`."""

    name: str = "Bifrost job"
    description: str = ""
    link: str = ""


class Job:
    """A JavaScript function and the inputs it is to be called with, on many workers.

    Made by :func:`bifrost.compute.for_`. :meth:`exec` runs it and returns the results in
    order; iterating over the job gives them one by one, while the others are computed.
    Inputs are pulled only as they are needed, and with `collate_results = False` results
    are forgotten once they have been handed out, so that a job may be endless.

    Attributes:
        id: 22 letters and digits.
        public: a name, a description and a link, for people.
        policy: the job's rules, until it is started.
        collate_results: whether `results` keeps what came.
    """

    def __init__(
        self, inputs: Any, work: Any, arguments: Sequence[Any], engine: Engine, policy: Policy
    ) -> None:
        self.id: Final = new_id()
        self.public = Public()
        self.policy = policy
        self.collate_results = True
        self._source = source_of(work)
        self._arguments = list(arguments)
        self._inputs = Inputs(inputs)
        self._engine = engine
        self._requires: list[str] = []
        self._listeners = Listeners()
        self._told: deque[Tell] = deque()
        self._kept: Iterator[tuple[int, bytes]] = iter(())  # a journal's results
        self._values: dict[int, Any] = {}
        self._errors: dict[int, BifrostError] = {}
        self._driver: Driver | None = None
        self._iterator: Iterator[Any] | None = None
        self._items: AsyncIterator[Any] | None = None
        self._coming: asyncio.Future[Any] | None = None  # the next of them
        self._feeding: asyncio.Future[None] | None = None
        self._index = 0
        self._cancelled: tuple[str, str] | None = None
        self._bar: ProgressBar | None = None
        self._workers = 0
        self._early: dict[int, Any] = {}  # results that wait for their turn in a loop
        self._following = 0
        self._lock = threading.Lock()  # between threads that start, run or cancel the job
        self._thread: int | None = None  # who runs it

    # -- before it starts

    def requires(self, *names: str | Sequence[str]) -> Job:
        """Name the modules that the work function may `require`; may be called repeatedly.

        Args:
            names: published modules such as ``"aistensorflow/tfjs"``, and npm packages such as
                ``"npm:lodash"``, which are bundled here and sent to the workers.
        """
        if self._driver is not None:
            raise RuntimeError("the job has been started: name its modules before")
        for name in names:
            self._requires.extend([name] if isinstance(name, str) else name)
        return self

    @overload
    def on(self, event: str, function: Callable[..., Any]) -> Job: ...
    @overload
    def on(self, event: str) -> Callable[[_F], _F]: ...
    def on(self, event: str, function: Callable[..., Any] | None = None) -> Any:
        """Have a function called at each event of a kind; also a decorator, ``@job.on("result")``.

        It is called where the job is run: in the thread that waits in `exec` or iterates, or
        in the event loop. What it raises stops the job, which :meth:`resume` continues.

        Args:
            event: ``accepted`` and ``complete`` (called without arguments), ``status``
                (:class:`Status`), ``result`` (:class:`SliceResult`), ``error``
                (:class:`SliceFailure`), ``console`` (:class:`ConsoleMessage`; without a listener
                it is printed), ``work`` (:class:`WorkEvent`), ``progress``
                (:class:`SliceProgress`), ``duplicate`` (an index), ``workers`` (their number),
                ``readystatechange`` (the state), ``cancel`` (code, reason). In any case.

        Raises:
            ValueError: there is no such event; the error lists those there are.
        """
        if function is None:

            def listen(function: _F) -> _F:
                self._listeners.add(event, function)
                return function

            return listen
        self._listeners.add(event, function)
        return self

    def off(self, event: str, function: Callable[..., Any]) -> Job:
        """Have a function called no more."""
        self._listeners.remove(event, function)
        return self

    # -- what it has come to

    @property
    def results(self) -> Results:
        """The results that have come so far; they stay when the job fails or is cancelled."""
        total = self._inputs.length
        if total is None and self._driver is not None:
            total = self._driver.state.total
        return Results(self._values, total)

    @property
    def errors(self) -> dict[int, BifrostError]:
        """The error of each slice that failed for good, by the index of its input."""
        return dict(self._errors)

    @property
    def status(self) -> Status:
        """How far the job is."""
        if self._driver is None:
            return Status(self._inputs.length or 0, 0, 0, "new")
        state = self._driver.state
        total = state.total if state.total is not None else self._index
        return Status(total, state.distributed, state.computed, state.state)

    def __repr__(self) -> str:
        status = self.status
        return f"<Job {self.id} {status.state}: {status.computed} of {status.total} slices>"

    # -- running

    def exec(
        self,
        offer: Any = None,
        keystore: Any = None,
        *,
        timeout: float | None = None,
        journal: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
    ) -> Any:
        """Run the job and return its results, in the order of the inputs.

        In a coroutine (also: in a notebook cell that awaits) write ``await job.exec()``; the
        event loop goes on meanwhile. Elsewhere it blocks. Ctrl-C and `timeout` stop the
        workers; what came stays in `results`, and :meth:`resume` goes on.

        Args:
            offer, keystore: accepted as DCP has them, and without a meaning here.
            timeout: seconds to wait; None is as long as it takes.
            journal: a file that results are kept in. With the same journal, a Python that
                starts again computes only what is not in it.
            progress: whether to show a bar; by default where there is somebody to see it.

        Raises:
            JobError: slices failed, or the job was cancelled. It has the results that came,
                the errors by index, and the first of them as its cause.
            RunTimeout: the time was up.
            ShareError: an input or argument cannot be sent; the path begins with its index.
            JournalError: the journal is another job's.
            SandboxError: this platform cannot confine the workers as the policy asks.
        """
        __tracebackhide__ = True  # in pytest and IPython
        self._start(journal)
        deadline = None if timeout is None else time.monotonic() + timeout
        caller = sys._getframe(1).f_code.co_flags
        if caller & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR) and _has_loop():
            return self._exec_async(deadline, progress)
        deque(self._run(deadline, progress), maxlen=0)
        return self._outcome()

    def resume(self, *, timeout: float | None = None, progress: bool | None = None) -> Any:
        """Go on with a job that was interrupted, or ran out of time; like `exec`."""
        if not self._has_more:
            raise RuntimeError(f"the job is {self.status.state}, not suspended")
        deadline = None if timeout is None else time.monotonic() + timeout
        caller = sys._getframe(1).f_code.co_flags
        if caller & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR) and _has_loop():
            return self._exec_async(deadline, progress)
        deque(self._run(deadline, progress), maxlen=0)
        return self._outcome()

    def cancel(self, reason: str = "") -> None:
        """End the job, from any thread; who waits for it gets a `JobError`. Results stay."""
        self._start(None, again=True)
        driver = self._driver
        assert driver is not None
        with self._lock:
            driver.cancel(reason or "job.cancel() was called")
            if self._thread is not None:
                return  # who runs it will see to it
            driver.advance()
        deque(self._take_told(), maxlen=0)
        self._early.clear()

    def as_completed(self, *, progress: bool | None = False) -> Iterator[tuple[int, Any]]:
        """Run the job and hand out (index, result) as the results come.

        Leaving the loop stops the workers; a new one goes on. Slices that failed are left
        out, and at the end raise `JobError`, as the policy says.
        """
        self._start(None)
        yield from self._run(None, progress)
        self._outcome()

    def __iter__(self) -> Iterator[Any]:
        """Run the job and hand out the results in the order of the inputs."""
        self._start(None)
        yield from self._in_turn()
        for index, value in self._run(None, False):
            self._early[index] = value
            yield from self._in_turn()
        self._outcome()

    def _in_turn(self) -> Iterator[Any]:
        while self._following in self._early or self._following in self._errors:
            self._following += 1
            if self._following - 1 in self._early:
                yield self._early.pop(self._following - 1)

    async def __aiter__(self) -> AsyncIterator[tuple[int, Any]]:
        """Like `as_completed`, in an event loop."""
        self._start(None)
        async for item in self._run_async(None, False):
            yield item
        self._outcome()

    # -- how it is run

    @property
    def _has_more(self) -> bool:
        """Whether it can be gone on with: its engine may be done before its results are taken."""
        is_suspended = self._driver is not None and self._driver.state.state == "suspended"
        return is_suspended or bool(self._told or self._early)

    def _start(self, journal: str | os.PathLike[str] | None, again: bool = False) -> None:
        """Make the driver, the first time."""
        with self._lock:
            if self._driver is None:
                self._driver = self._make_driver(journal)
            elif not (again or (self._has_more and journal is None)):
                raise RuntimeError(
                    f"the job is {self.status.state}: a job runs once;"
                    " make another with compute.for_"
                )

    def _make_driver(self, journal: str | os.PathLike[str] | None) -> Driver:
        work = make_work(
            self.id, self._source, self._arguments, self._requires, asdict(self.public), self.policy
        )
        kept = None if journal is None else Journal(journal, work)
        if kept is not None:
            self._kept = kept.results()
        return Driver(work, self._engine, self._told.extend, self._inputs.length, kept)

    def _run(self, deadline: float | None, progress: bool | None) -> Iterator[tuple[int, Any]]:
        """Run the job in this thread, handing out what comes."""
        driver = self._enter(progress)
        try:
            if driver.state.state in ("new", "suspended"):
                self._calmly(driver.begin)
            while True:
                yield from self._take_told()
                if driver.state.is_over:
                    return
                wait = _left(deadline)
                if driver.wanted:
                    self._feed(driver.wanted)
                    wait = 0.0
                self._calmly(driver.advance, wait)
                self._check(deadline)
        finally:
            self._leave()

    async def _run_async(
        self, deadline: float | None, progress: bool | None
    ) -> AsyncIterator[tuple[int, Any]]:
        """The same in an event loop, which goes on meanwhile."""
        driver = self._enter(progress)
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        driver.wake = lambda: _call_soon(loop, news.set)
        is_async = isinstance(self._inputs.source, AsyncIterable)
        try:
            if driver.state.state in ("new", "suspended"):
                driver.begin()
            while True:
                for item in self._take_told():
                    yield item
                if driver.state.is_over:
                    return
                if driver.wanted and not is_async:
                    self._feed(driver.wanted)
                    await asyncio.sleep(0)
                else:
                    if driver.wanted and self._feeding is None:
                        self._feeding = asyncio.ensure_future(self._feed_async(driver.wanted))
                    if self._feeding is not None:
                        self._feeding.add_done_callback(lambda _: news.set())
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(news.wait(), _left(deadline))
                    if self._feeding is not None and self._feeding.done():
                        feeding, self._feeding = self._feeding, None
                        feeding.result()
                news.clear()
                driver.advance()
                self._check(deadline)
        finally:
            driver.wake = None
            self._leave()

    def _calmly(self, action: Callable[..., object], *arguments: Any) -> None:
        """Do a step of the driver whole: Ctrl-C is raised behind it, or if it comes twice."""
        assert self._driver is not None

        def insist() -> None:
            raise KeyboardInterrupt

        with CtrlC(self._driver.poke, insist) as ctrl_c:
            ctrl_c.direct = False
            action(*arguments)
        if ctrl_c.error is not None:
            raise ctrl_c.error

    def _enter(self, progress: bool | None) -> Driver:
        assert self._driver is not None
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("the job is running already")
            self._thread = threading.get_ident()
        if progress or (progress is None and is_watched()):
            self._bar = ProgressBar(self.public.name)
        return self._driver

    def _leave(self) -> None:
        """Nobody waits any more: if the job is not over, stop its workers."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
        if self._thread == threading.get_ident():
            self._suspend()
        else:  # a garbage collector's, in the middle of anything: it must not wait here
            threading.Thread(target=self._suspend, name="bifrost-leave").start()

    def _suspend(self) -> None:
        driver = self._driver
        assert driver is not None
        try:
            if driver.state.state == "running":
                self._calmly(driver.suspend)
        finally:
            self._thread = None

    def _check(self, deadline: float | None) -> None:
        assert self._driver is not None
        if deadline is not None and time.monotonic() > deadline and not self._driver.state.is_over:
            status = self.status
            raise RunTimeout(
                f"{status.computed} of {status.total} slices were done when the time was up;"
                " job.resume() goes on"
            )

    async def _exec_async(self, deadline: float | None, progress: bool | None) -> Results:
        async for _ in self._run_async(deadline, progress):
            pass
        return self._outcome()

    def _feed(self, count: int) -> None:
        """Pull up to `count` inputs, fewer if they come slowly."""
        assert self._driver is not None
        if self._iterator is None:
            self._iterator = iter(self._inputs)
        pulled: list[parcels.Parcel] = []
        exhausted = False
        until = time.monotonic() + _PATIENCE
        with CtrlC(self._driver.poke, self._driver.poke) as ctrl_c:
            # A generator may take its time, and does not survive Ctrl-C. Where the number of
            # inputs is known they are there, and none may be lost between here and the driver.
            ctrl_c.direct = self._inputs.length is None
            try:
                while len(pulled) < count and ctrl_c.error is None:
                    try:
                        value = next(self._iterator)
                    except StopIteration:
                        exhausted = True
                        break
                    pulled.append(self._packed(value, len(pulled)))
                    if time.monotonic() > until:
                        break
            except BaseException as error:
                ctrl_c.direct = False
                self._give_up(error)
                raise
            ctrl_c.direct = False
            self._index += len(pulled)
            self._driver.feed(pulled, exhausted)
        if ctrl_c.error is not None:
            raise ctrl_c.error

    async def _feed_async(self, count: int) -> None:
        """The same of asynchronous inputs, while results are handed out."""
        assert self._driver is not None
        if self._items is None:
            self._items = aiter(self._inputs.source)
        pulled: list[parcels.Parcel] = []
        exhausted = False
        until = time.monotonic() + _PATIENCE
        try:
            while len(pulled) < count and not exhausted:
                if self._coming is None:
                    self._coming = asyncio.ensure_future(_following(self._items))
                patience = max(0.0, until - time.monotonic()) if pulled else None
                if not (await asyncio.wait({self._coming}, timeout=patience))[0]:
                    break
                coming, self._coming = self._coming, None
                value = coming.result()
                if value is _END:
                    exhausted = True
                else:
                    pulled.append(self._packed(value, len(pulled)))
        except BaseException as error:
            self._give_up(error)
            raise
        self._index += len(pulled)
        self._driver.feed(pulled, exhausted)

    def _packed(self, value: Any, position: int) -> parcels.Parcel:
        try:
            return parcels.pack(value)
        except ShareError as error:
            path = f"$[{self._index + position}]{error.path[1:]}"
            raise ShareError(path, error.kind, error.advice) from None

    def _give_up(self, error: BaseException) -> None:
        """The inputs are at fault, and cannot be gone on with."""
        assert self._driver is not None
        self._driver.cancel(f"its inputs raised {error!r}")
        self._driver.advance()

    # -- what happens

    def _take_told(self) -> Iterator[tuple[int, Any]]:
        """Tell listeners what happened; hand out the results."""
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

    def _hand_out(
        self, index: int, seconds: float, value: Any, is_value: bool
    ) -> Iterator[tuple[int, Any]]:
        if not is_value:
            self._listeners.call("error", SliceFailure(index, value))
            return
        if self._listeners.has("result"):
            self._listeners.call("result", SliceResult(index, value, seconds))
        yield index, value

    def _keep(self, index: int, parcel: bytes) -> tuple[Any, bool]:
        """Unpack a result; return it, or the error that it is, and which of the two."""
        try:
            value = parcels.unpack(parcel)
        except BifrostError as error:  # Python has no such value: a Map with an object as key, say
            self._errors[index] = error
            return error, False
        if self.collate_results:
            self._values[index] = value
        return value, True

    def _tell(self, told: Tell) -> None:
        name, details = told.name, told.details
        call = self._listeners.call
        if name == "status":
            if self._bar is not None:
                total = None if self._driver is None else self._driver.state.total
                self._bar.status(total, details[2])
            if self._listeners.has("status"):
                call("status", Status(*details))
        elif name == "failed":
            index, parts = details
            self._errors[index] = error_of(parts, self.id, self._source)
            if self._bar is not None:
                self._bar.note(failed=len(self._errors))
            if self.policy.on_error == "collect" and self.collate_results:
                self._values[index] = self._errors[index]
        elif name == "error":
            call("error", SliceFailure(details[0], error_of(details[1], self.id, self._source)))
        elif name == "console":
            if self._listeners.has("console"):
                call("console", ConsoleMessage(*details))
            else:
                print(details[2], file=sys.stderr if details[1] in ("warn", "error") else None)
        elif name == "work":
            if self._listeners.has("work"):
                call("work", WorkEvent(details[0], details[1], parcels.unpack(details[2])))
        elif name == "progress":
            call("progress", SliceProgress(*details))
        else:
            if name == "workers" and self._bar is not None:
                self._bar.note(workers=details[0])
            elif name == "cancel":
                self._cancelled = details
            call(name, *details)

    def _outcome(self) -> Results:
        """The results, or the error that there are not all of them."""
        __tracebackhide__ = True
        self._early.clear()  # `results` has them
        if self._cancelled is not None:
            code, reason = self._cancelled
            raise JobError(code, reason, dict(self._errors), self.results) from self._first()
        if self._errors and self.policy.on_error != "collect":
            index, error = min(self._errors.items())
            raise JobError(
                "ETOOMANYERRORS",
                f"{len(self._errors)} of {self.status.total} slices failed; the first is"
                f" number {index}: {error}",
                dict(self._errors),
                self.results,
            ) from error
        return self.results

    def _first(self) -> BifrostError | None:
        return min(self._errors.items())[1] if self._errors else None


_END: Final = object()


async def _following(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


def _left(deadline: float | None) -> float | None:
    """The seconds until a deadline, or as many of them as can be waited for at once."""
    return None if deadline is None else min(max(deadline - time.monotonic(), 0.001), 86_400.0)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        pass  # the loop has been closed: nobody waits
