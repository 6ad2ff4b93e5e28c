"""A Dask cluster as an engine (the extra ``dask``): chunks are Dask tasks.

Each Dask worker has one pool of sandboxed Nodes, which a worker plugin puts there, on
workers that join late as well. The chunks depend on the work (function, arguments, modules),
so Dask sends it to each worker once. Large data is scattered, and not within tasks: Dask
keeps the last thousand messages that had those. What a slice says while it runs comes as
Dask's logged events.

A task whose worker is lost is Dask's to repeat. What the client must see to is the loss of
what was scattered, and of the scheduler, which forgets every task: then chunks are `Lost`,
and sent again, to the scheduler that comes in its place.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Final

from distributed import Client, Future, KilledWorker, WorkerPlugin, get_worker

from ..errors import BifrostError
from ..protocol import parcels
from .engine import Chunk, Report, Work, new_id
from .events import Broken, Capacity, Died, EngineEvent, Lost, Said
from .hosting import Answer, Host, events_of

_PLUGIN: Final = "bifrost"
#: Seconds between two looks at how many workers there are.
_LOOK: Final = 0.5
#: So many bytes are large.
_LARGE: Final = 1 << 15


class DaskEngine:
    """Runs chunks on a Dask cluster.

    Args:
        cluster: a `distributed.Client`, a cluster such as `LocalCluster`, the address of a
            scheduler, or None for Dask's own default (what ``DASK_SCHEDULER_ADDRESS`` says, or a
            new cluster on this machine).
        options: what `distributed.Client` takes, such as ``security``.
    """

    def __init__(self, cluster: Any = None, **options: Any) -> None:
        self._owns = not isinstance(cluster, Client)
        if isinstance(cluster, Client):
            self._client = cluster
        else:
            given = () if cluster is None else (cluster,)
            self._client = Client(*given, **options)
        self._talk = _Talk(self._client)

    @property
    def client(self) -> Client:
        """The client of the cluster."""
        return self._client

    @property
    def name(self) -> str:
        """For people: what it is and where."""
        scheduler = self._client.scheduler
        return f"Dask, {scheduler.address}" if scheduler is not None else "Dask, closed"

    def open(self, work: Work, report: Report) -> _Crew:
        """Begin to work for a job.

        Raises:
            BifrostError: the client has been closed.
        """
        if self._client.status not in ("running", "connecting"):
            raise BifrostError(
                f"the Dask client is {self._client.status}: call compute.use('dask', ...) anew"
            )
        return _Crew(self._client, self._talk, work, report)

    def close(self) -> None:
        """Close the client, if it is the engine's own."""
        if self._owns:
            self._client.close()


class _Talk:
    """What slices say while they run: Dask's logged events.

    All jobs of an engine have one topic, for schedulers and clients keep each topic for good.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.topic: Final = f"bifrost-{new_id()}"
        self._listeners: dict[str, Callable[..., None]] = {}  # by job

    def add(self, job: str, listener: Callable[..., None]) -> None:
        self._listeners[job] = listener
        self.subscribe()  # perhaps another scheduler has come meanwhile

    def remove(self, job: str) -> None:
        self._listeners.pop(job, None)

    def subscribe(self) -> None:
        """Ask the scheduler for the events; anew after one was lost."""
        self._client.subscribe_topic(self.topic, self._hear)

    def _hear(self, event: Any) -> None:
        _, (job, *said) = event
        if (listener := self._listeners.get(job)) is not None:
            listener(*said)


class _Crew:
    def __init__(self, client: Client, talk: _Talk, work: Work, report: Report) -> None:
        self._client = client
        self._talk = talk
        self._work = work
        self._report = report
        self._lock = threading.Lock()
        self._futures: dict[int, Future[Any]] = {}
        self._heard: dict[int, int] = {}  # by chunk: how much of what it said has been reported
        self._carried: Future[Any] | None = None
        self._carries = 0
        # Not once that has failed, or some was lost: Dask counts whose worker died of a task only
        # if all the task needs can be had again.
        self._scatters = True
        self._is_prepared = False
        self._is_closed = threading.Event()
        self._name = _slug(parcels.unpack(work.public).get("name", ""))
        self._prepare()
        talk.add(work.id, self._hear)
        self._watcher = threading.Thread(target=self._watch, name="bifrost-dask", daemon=True)
        self._watcher.start()

    def _prepare(self) -> None:
        """Put on the cluster what a job needs there; again after a scheduler was lost."""
        try:
            self._client.register_plugin(_Pool(), name=_PLUGIN)
        except Exception as error:
            advice = "install this version of Bifrost in the workers' environment, too"
            reason = f"{error}; {advice}" if "'bifrost" in str(error) else str(error)
            raise BifrostError(f"the Dask cluster cannot run jobs: {reason}") from error
        self._carry()
        self._is_prepared = True

    def _carry(self) -> Future[Any]:
        """Bring the work to the cluster, if it is not there (any more)."""
        if self._carried is None or self._carried.status in ("error", "lost", "cancelled"):
            self._carries += 1
            key = f"bifrost-work-{self._work.id}-{self._carries}"
            self._carried = self._scattered(
                self._work, self._work.size, broadcast=True
            ) or self._client.submit(_carry, self._work, key=key, pure=False)
        return self._carried

    def _scattered(self, value: Any, size: int, broadcast: bool = False) -> Future[Any] | None:
        """Put large data on the cluster. None if it is not large, or has to be within its task."""
        if size <= _LARGE or not self._scatters or not self._threads():
            return None
        futures: list[Future[Any]]
        try:
            futures = self._client.scatter([value], hash=False, broadcast=broadcast, timeout=1)
        except Exception:  # noqa: BLE001 - no worker takes any now
            self._scatters = False
            return None
        return futures[0]

    def submit(self, chunk: Chunk) -> None:
        data: Any = [b"".join(parcel) for parcel in chunk.parcels]
        number = chunk.number
        try:
            data = self._scattered(data, sum(map(len, data))) or data
            future = self._client.submit(
                _run,
                self._carry(),
                self._talk.topic,
                number,
                data,
                key=f"{self._name}-0{self._work.id}-{number}",
                pure=False,
            )
        except Exception as error:  # noqa: BLE001 - the connection is lost, or the client closed
            self._report(Lost(number, str(error)))
            return
        with self._lock:
            self._futures[number] = future
            self._heard[number] = 0
        future.add_done_callback(lambda future: self._done(number, future))

    def _done(self, number: int, future: Future[Any]) -> None:
        with self._lock:
            if self._futures.get(number) is not future:
                return  # cancelled, or reported as lost
        try:
            answer: Answer = future.result()
        except Exception as error:  # noqa: BLE001 - `_fail` knows them
            self._fail(number, future.key, error)
            return
        with self._lock:
            if self._futures.pop(number, None) is None:
                return
            heard = self._heard.pop(number, 0)
        for event in events_of(answer, number):
            if isinstance(event, Said):
                heard -= 1
                if heard >= 0:
                    continue  # it came as a logged event already
            self._report(event)

    def _fail(self, number: int, key: Any, error: Exception) -> None:
        """A task has no result: its workers died, its connection was lost, or it cannot work."""
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, KilledWorker) and error.task == key:
            # Dask's workers end with it, again and again: perhaps its input is too large for them.
            self._end(number, Died(number, 0, "EDIED", f"the Dask workers died of it: {reason}"))
        elif isinstance(error, (KilledWorker, CancelledError, OSError)):
            self._scatters = False
            self._is_prepared = False  # a scheduler may have come in another's place, unseen
            self._end(number, Lost(number, reason))
        else:
            self._end(number, Broken("EENGINE", f"a Dask worker failed: {reason}"))

    def _end(self, number: int, event: EngineEvent) -> None:
        """Report what became of a chunk, if it is wanted."""
        with self._lock:
            self._heard.pop(number, None)
            if self._futures.pop(number, None) is None:
                return
        self._report(event)

    def _hear(self, number: int, at: int, position: int, what: str, details: list[Any]) -> None:
        """What a slice says while it runs."""
        with self._lock:
            if self._heard.get(number) != at:
                return
            self._heard[number] = at + 1
        self._report(Said(number, position, what, tuple(details)))

    def cancel(self, number: int) -> None:
        with self._lock:
            future = self._futures.pop(number, None)
            self._heard.pop(number, None)
        if future is not None:
            with contextlib.suppress(Exception):
                future.cancel()  # the worker looks whether its task is still wanted

    def close(self) -> None:
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        with self._lock:
            futures, self._futures = list(self._futures.values()), {}
        self._talk.remove(self._work.id)
        with contextlib.suppress(Exception):
            self._client.cancel(futures)
            if self._client.status == "running":
                self._client.run(_forget, self._work.id, wait=False)
        self._carried = None
        if threading.current_thread() is not self._watcher:
            self._watcher.join()

    def _watch(self) -> None:
        """Report how many workers there are, and that a scheduler is gone, or back."""
        workers = -1
        while True:
            threads = self._threads()
            if threads is None:
                if self._client.status == "closed":
                    if not self._is_closed.is_set():
                        self._report(Broken("EENGINE", "the Dask client was closed"))
                    return
                self._is_prepared = False
                for number in tuple(self._futures):
                    self._end(number, Lost(number, "the Dask scheduler is gone"))
                threads = 0
            elif not self._is_prepared:
                with contextlib.suppress(Exception):
                    self._prepare()
                    self._talk.subscribe()
                if not self._is_prepared:
                    threads = 0
            limit = self._work.policy.concurrency
            threads = threads if limit is None else min(threads, limit)
            if threads != workers:
                workers = threads
                self._report(Capacity(workers))
            if self._is_closed.wait(_LOOK):
                return

    def _threads(self) -> int | None:
        """The threads of all workers: each works with a Node of its own. None: no scheduler."""
        if self._client.status != "running":
            return None
        try:
            return int(sum(self._client.nthreads().values()))
        except Exception:  # noqa: BLE001 - the connection broke just now
            return None


def _slug(name: str) -> str:
    """A job's name as Dask's dashboard groups its tasks by it."""
    return re.sub(r"[^a-z]+", "_", name.lower()).strip("_") or "bifrost_job"


# -- on Dask's workers


class _Pool(WorkerPlugin):
    """The sandboxed Nodes of one Dask worker."""

    name = _PLUGIN
    idempotent = True

    def setup(self, worker: Any) -> None:
        self.host = Host()

    def teardown(self, worker: Any) -> None:
        self.host.close()


def _carry(work: Work) -> Work:
    return work


def _run(work: Work, topic: str, number: int, data: list[bytes]) -> Answer:
    worker = get_worker()
    host = _host_of(worker)
    key = worker.get_current_task()
    heard = 0

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    def say(said: Said) -> None:
        nonlocal heard
        told = (work.id, number, heard, said.position, said.what, list(said.details))
        worker.log_event(topic, told)
        heard += 1

    answer = host.run(work, work.id, data, is_wanted, say)
    assert answer is not None
    return answer


async def _forget(job: str, dask_worker: Any) -> None:
    if _PLUGIN in dask_worker.plugins:
        _host_of(dask_worker).forget(job)


def _host_of(worker: Any) -> Host:
    plugin = worker.plugins.get(_PLUGIN)
    if plugin is None:  # it joined a scheduler that has come back before the client did
        raise ConnectionError("this Dask worker is not prepared yet")
    assert isinstance(plugin, _Pool)
    return plugin.host
