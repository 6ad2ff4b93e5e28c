"""Workers as a `concurrent.futures.Executor`."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from ..errors import BifrostError, JobError
from ..protocol import parcels
from .driver import Driver
from .engine import Engine, Work, new_id
from .engines import find
from .events import Tell
from .failures import error_of
from .policy import Policy
from .work import make_work, pack, source_of

Future = concurrent.futures.Future
#: Functions that are kept at workers though nobody calls them just now.
MOST_IDLE: Final = 4


class Executor(concurrent.futures.Executor):
    """Calls JavaScript functions on many workers, each call a `Future`.

    ::

        with compute.Executor() as pool:
            futures = [pool.submit("(a, b) => a ** b", n, 2) for n in range(10)]
            for future in concurrent.futures.as_completed(futures):
                print(future.result())

    Args:
        engine: see :func:`bifrost.compute.use`.
        requires: modules that the functions may `require`.
        policy: rules of :class:`Policy`.
    """

    def __init__(self, engine: Any = None, *, requires: Sequence[str] = (), **policy: Any) -> None:
        self._engine = find(engine)
        self._requires = list(requires)
        self._policy = Policy().replace(**policy)
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._is_shut_down = False
        # Who forgets to shut it down leaves no threads either.
        weakref.finalize(self, _finish, self._lanes).atexit = False

    def submit(self, work: Any, /, *arguments: Any) -> Future[Any]:  # type: ignore[override]
        """Call a JavaScript function (its source, or a function of Node's) on some worker.

        Raises:
            ShareError: an argument cannot be sent.
        """
        source = source_of(work)
        parcel = pack(list(arguments), "arguments")
        future: Future[Any] = Future()
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            lane = self._lanes.get(source)
            if lane is None or not lane.is_alive():  # also after a fork
                self._retire()
                spread = f"(items) => ({source})(...items)"
                made = make_work(
                    new_id(), spread, [], self._requires, {"name": "executor"}, self._policy
                )
                lane = self._lanes[source] = _Lane(made, self._engine)
            lane.submit(future, parcel)
        return future

    def _retire(self) -> None:
        """Let functions that are not called just now go, except the newest."""
        idle = [source for source, lane in self._lanes.items() if lane.is_idle]
        for source in idle[:-MOST_IDLE]:
            self._lanes.pop(source).finish(False)

    def map(
        self,
        work: Any,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """Call a function with the items of some iterables, in order; see `Executor.map`.

        `chunksize` is accepted and ignored: calls are put together by how long they take.
        """
        return super().map(work, *iterables, timeout=timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end the workers when the last one is done."""
        with self._lock:
            self._is_shut_down = True
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.finish(cancel_futures)
        if wait:
            for lane in lanes:
                lane.join()


def _finish(lanes: dict[str, _Lane]) -> None:
    for lane in lanes.values():
        lane.finish(False)


class _Lane(threading.Thread):
    """The calls of one function: a job whose inputs come as they are submitted."""

    def __init__(self, work: Work, engine: Engine) -> None:
        super().__init__(name="bifrost-executor", daemon=True)
        self._work = work
        self._driver = Driver(work, engine, self._take, None)
        self._waiting: deque[tuple[Future[Any], parcels.Parcel]] = deque()
        self._futures: dict[int, Future[Any]] = {}
        self._count = 0
        self._is_finishing = False
        self._failure: BaseException | None = None
        self._is_over = False

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._futures)

    def submit(self, future: Future[Any], parcel: parcels.Parcel) -> None:
        self._waiting.append((future, parcel))
        if self.ident is None:
            self.start()
        self._driver.poke()
        if self._is_over:  # it failed just now
            self._refuse()

    def finish(self, cancel: bool) -> None:
        self._is_finishing = True
        if cancel:
            for future, _ in tuple(self._waiting):
                future.cancel()
        self._driver.poke()

    def run(self) -> None:
        driver = self._driver
        try:
            driver.begin()
            while not driver.state.is_over:
                if driver.wanted and (self._waiting or self._is_finishing):
                    self._feed(driver.wanted)
                    driver.advance()
                else:
                    driver.advance(None)
        except BaseException as error:  # noqa: BLE001 - every waiting future gets it
            self._failure = error
        finally:
            self._is_over = True
            driver.close()
            self._refuse()

    def _refuse(self) -> None:
        """Give every future that is still there what ended the job."""
        failure = self._failure or JobError("ECANCELLED", "the executor has ended", {}, None)
        while self._futures:
            self._futures.popitem()[1].set_exception(failure)
        with contextlib.suppress(IndexError):
            while True:
                future, _ = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_exception(failure)

    def _feed(self, most: int) -> None:
        pulled: list[parcels.Parcel] = []
        while self._waiting and len(pulled) < most:
            future, parcel = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                self._futures[self._count] = future
                self._count += 1
                pulled.append(parcel)
        self._driver.feed(pulled, self._is_finishing and not self._waiting)

    def _take(self, told: Sequence[Tell]) -> None:
        for item in told:
            if item.name == "result":
                index, _, parcel = item.details
                self._settle(self._futures.pop(index), parcel)
            elif item.name == "failed":
                index, parts = item.details
                self._futures.pop(index).set_exception(
                    error_of(parts, self._work.id, self._work.source)
                )
            elif item.name == "cancel":
                code, reason = item.details
                self._failure = JobError(code, reason, {}, None)

    def _settle(self, future: Future[Any], parcel: bytes) -> None:
        try:
            value = parcels.unpack(parcel)
        except BifrostError as error:
            future.set_exception(error)
        else:
            future.set_result(value)
