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
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any, Final, TypeVar, overload

from ..errors import BifrostError, RunTimeout
from ..runtime.interrupts import CtrlC
from .arrivals import Arrivals
from .driver import Driver
from .engine import Engine, new_id
from .feeding import Feeder
from .inputs import Inputs
from .journal import Journal
from .listeners import Status
from .policy import Policy
from .progress import ProgressBar, is_watched
from .results import Results
from .work import make_work, source_of

_F = TypeVar("_F", bound=Callable[..., Any])

#: Code with a frame of its own within a function. (What IPython runs as `<cell line: 1>` is none.)
_INLINE: Final = frozenset({"<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


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
    """

    def __init__(
        self, inputs: Any, work: Any, arguments: Sequence[Any], engine: Engine, policy: Policy
    ) -> None:
        __tracebackhide__ = True
        self.id: Final = new_id()
        self.public = Public()
        self.policy = policy
        self._source = source_of(work)
        self._arguments = list(arguments)
        self._inputs = Inputs(inputs)
        self._engine = engine
        self._requires: list[str] = []
        self._arrivals = Arrivals(self.id, self._source, self._inputs.length)
        self._driver: Driver | None = None
        self._feeder: Feeder | None = None
        self._feeding: asyncio.Future[None] | None = None
        self._lock = threading.Lock()  # between threads that start, run or cancel the job
        self._thread: int | None = None  # who runs it
        self._was_started = False  # by somebody who waits for it

    # -- before it starts

    @property
    def policy(self) -> Policy:
        """The job's rules; they can be others until it is started."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        __tracebackhide__ = True
        if not isinstance(policy, Policy):
            raise TypeError(
                f"a policy is a compute.Policy, not {policy!r}: say"
                " `job.policy = job.policy.replace(retries=1)` or `compute.Policy(retries=1)`"
            )
        self._policy = policy

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
            TypeError: it is no function, or an asynchronous one.
        """
        __tracebackhide__ = True
        if function is None:

            def listen(function: _F) -> _F:
                __tracebackhide__ = True
                self._arrivals.listeners.add(event, function)
                return function

            return listen
        self._arrivals.listeners.add(event, function)
        return self

    def off(self, event: str, function: Callable[..., Any]) -> Job:
        """Have a function called no more."""
        self._arrivals.listeners.remove(event, function)
        return self

    # -- what it has come to

    @property
    def collate_results(self) -> bool:
        """Whether `results` keeps what came: true, unless it is set to false."""
        return self._arrivals.keeps

    @collate_results.setter
    def collate_results(self, keeps: bool) -> None:
        self._arrivals.keeps = keeps

    @property
    def results(self) -> Results:
        """The results that have come so far; they stay when the job fails or is cancelled."""
        total = self._inputs.length
        if total is None and self._driver is not None:
            total = self._driver.state.total
        return Results(self._arrivals.values, total)

    @property
    def errors(self) -> dict[int, BifrostError]:
        """The error of each slice that failed for good, by the index of its input."""
        return dict(self._arrivals.errors)

    @property
    def status(self) -> Status:
        """How far the job is."""
        if self._driver is None:
            return Status(self._inputs.length or 0, 0, 0, "new")
        state = self._driver.state
        total = state.total if state.total is not None else self._pulled
        return Status(total, state.distributed, state.computed, state.state)

    @property
    def _pulled(self) -> int:
        return 0 if self._feeder is None else self._feeder.count

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
        event loop goes on meanwhile. Elsewhere it blocks; ``await job`` never does, whoever
        made the awaitable. Ctrl-C and `timeout` stop the workers; what came stays in `results`,
        and :meth:`resume` goes on.

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
            ShareError: an input or argument cannot be sent; the path begins with ``inputs[7]``.
            JournalError: the journal is another job's.
            SandboxError: this platform cannot confine the workers as the policy asks.
        """
        __tracebackhide__ = True  # in pytest and IPython
        self._start(journal)
        return self._finish(timeout, progress, sys._getframe(1))

    def __await__(self) -> Generator[Any, None, Results]:
        """Run the job in an event loop, as ``await job.exec()`` does in a coroutine."""
        self._start(None)
        return self._exec_async(None, None).__await__()

    def resume(self, *, timeout: float | None = None, progress: bool | None = None) -> Any:
        """Go on with a job that was interrupted, or ran out of time; like `exec`."""
        __tracebackhide__ = True
        if not self._has_more:
            raise RuntimeError(f"the job is {self.status.state}, not suspended")
        return self._finish(timeout, progress, sys._getframe(1))

    def cancel(self, reason: str = "") -> None:
        """End the job, from any thread; who waits for it gets a `JobError`. Results stay."""
        with self._lock:
            if self._driver is None:  # who runs it yet will hear of it
                self._arguments, self._requires = [], []  # not to be fetched: it never runs
                self._driver = self._make_driver(None)
            driver = self._driver
            driver.cancel(reason or "job.cancel() was called")
            if self._thread is not None:
                return  # who runs it will see to it
            driver.advance()
        self._arrivals.drain()

    def as_completed(self, *, progress: bool | None = False) -> Iterator[tuple[int, Any]]:
        """Run the job and hand out (index, result) as the results come.

        Leaving the loop stops the workers; a new one goes on. Slices that failed are left
        out, and at the end raise `JobError`, as the policy says.
        """
        __tracebackhide__ = True
        self._start(None)
        yield from self._run(None, progress)
        self._outcome()

    def __iter__(self) -> Iterator[Any]:
        """Run the job and hand out the results in the order of the inputs."""
        __tracebackhide__ = True
        self._start(None)
        yield from self._arrivals.in_turn(self._run(None, False))
        self._outcome()

    async def __aiter__(self) -> AsyncIterator[tuple[int, Any]]:
        """Like `as_completed`, in an event loop."""
        __tracebackhide__ = True
        self._start(None)
        async for item in self._run_async(None, False):
            yield item
        self._outcome()

    # -- how it is run

    @property
    def _has_more(self) -> bool:
        """Whether it can be gone on with: its engine may be done before its results are taken."""
        is_suspended = self._driver is not None and self._driver.state.state == "suspended"
        return is_suspended or self._arrivals.are_waiting

    def _start(self, journal: str | os.PathLike[str] | None) -> None:
        """Make the driver, the first time."""
        __tracebackhide__ = True
        with self._lock:
            if self._was_started and not (self._has_more and journal is None):
                state = self.status.state
                results = " its results are in job.results;" if state == "complete" else ""
                raise RuntimeError(
                    f"the job is {state}: a job runs once;{results} make another with compute.for_"
                )
            if self._driver is None:
                self._driver = self._make_driver(journal)
            self._was_started = True

    def _make_driver(self, journal: str | os.PathLike[str] | None) -> Driver:
        __tracebackhide__ = True
        work = make_work(
            self.id, self._source, self._arguments, self._requires, asdict(self.public), self.policy
        )
        kept = None if journal is None else Journal(journal, work, self._inputs.length)
        if kept is not None:
            self._arrivals.restore(kept)
        self._arrivals.collects_errors = self.policy.on_error == "collect"
        driver = Driver(work, self._engine, self._arrivals.tell, self._inputs.length, kept)
        self._feeder = Feeder(self._inputs, driver, kept)
        return driver

    def _run(self, deadline: float | None, progress: bool | None) -> Iterator[tuple[int, Any]]:
        """Run the job in this thread, handing out what comes."""
        __tracebackhide__ = True
        driver, feeder = self._enter(progress)
        try:
            if driver.state.state in ("new", "suspended"):
                self._calmly(driver.begin)
            while True:
                yield from self._arrivals.take()
                if driver.state.is_over:
                    return
                wait = _left(deadline)
                if driver.wanted:
                    feeder.feed()
                    wait = 0.0
                self._calmly(driver.advance, wait)
                self._check(deadline)
        finally:
            self._leave()

    async def _run_async(
        self, deadline: float | None, progress: bool | None
    ) -> AsyncIterator[tuple[int, Any]]:
        """The same in an event loop, which goes on meanwhile."""
        __tracebackhide__ = True
        driver, feeder = self._enter(progress)
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        driver.wake = lambda: _call_soon(loop, news.set)
        try:
            if driver.state.state in ("new", "suspended"):
                driver.begin()
            while True:
                for item in self._arrivals.take():
                    yield item
                if driver.state.is_over:
                    return
                if driver.wanted and not feeder.is_async:
                    feeder.feed()
                    await asyncio.sleep(0)
                else:
                    if driver.wanted and self._feeding is None:
                        self._feeding = asyncio.ensure_future(feeder.feed_async())
                    if self._feeding is not None:
                        self._feeding.add_done_callback(lambda _: news.set())
                    with contextlib.suppress(TimeoutError):
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
        __tracebackhide__ = True
        assert self._driver is not None

        def insist() -> None:
            raise KeyboardInterrupt

        with CtrlC(self._driver.poke, insist) as ctrl_c:
            ctrl_c.direct = False
            action(*arguments)
        if ctrl_c.error is not None:
            raise ctrl_c.error

    def _enter(self, progress: bool | None) -> tuple[Driver, Feeder]:
        assert self._driver is not None
        assert self._feeder is not None
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("the job is running already")
            self._thread = threading.get_ident()
        if progress or (progress is None and is_watched()):
            self._arrivals.bar = ProgressBar(self.public.name, self._inputs.length)
        return self._driver, self._feeder

    def _leave(self) -> None:
        """Nobody waits any more: if the job is not over, stop its workers."""
        bar, self._arrivals.bar = self._arrivals.bar, None
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
        __tracebackhide__ = True
        assert self._driver is not None
        if deadline is not None and time.monotonic() > deadline and not self._driver.state.is_over:
            status = self.status
            raise RunTimeout(
                f"{status.computed} of {status.total} slices were done when the time was up;"
                " a job of compute.for_ goes on with job.resume()"
            )

    def _finish(self, timeout: float | None, progress: bool | None, caller: FrameType) -> Any:
        """Run the job to its end; for a coroutine that calls, something to await."""
        __tracebackhide__ = True
        deadline = None if timeout is None else time.monotonic() + timeout
        if _is_in_coroutine(caller) and _has_loop():
            return self._exec_async(deadline, progress)
        deque(self._run(deadline, progress), maxlen=0)
        return self._outcome()

    async def _exec_async(self, deadline: float | None, progress: bool | None) -> Results:
        __tracebackhide__ = True
        async for _ in self._run_async(deadline, progress):
            pass
        return self._outcome()

    def _outcome(self) -> Results:
        """The results, or the error that there are not all of them."""
        __tracebackhide__ = True
        return self._arrivals.outcome(self.results)


def _left(deadline: float | None) -> float | None:
    """The seconds until a deadline, or as many of them as can be waited for at once."""
    return None if deadline is None else min(max(deadline - time.monotonic(), 0.001), 86_400.0)


def _is_in_coroutine(frame: FrameType) -> bool:
    """Whether a coroutine's own code runs there, perhaps in a comprehension or lambda of it."""
    while frame.f_code.co_name in _INLINE and frame.f_back is not None:
        frame = frame.f_back
    return bool(frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))


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
