"""Any `concurrent.futures.Executor` as an engine: process pools, loky, MPI, clusters."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import tempfile
import threading
import weakref
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any, Final

from .engine import Chunk, Report, Work
from .events import Broken, Capacity, Lost
from .hosting import Answer, Host, events_of
from .local import cores
from .sandbox import require


class ExecutorEngine:
    """Runs chunks as calls of an executor, in workers that its processes start.

    Args:
        executor: it stays the caller's to shut down.
        workers: how many calls it does at once; asked of it if left out.
    """

    def __init__(self, executor: Executor, workers: int | None = None) -> None:
        self._executor = executor
        self.workers = workers or getattr(executor, "_max_workers", None) or cores()

    @property
    def name(self) -> str:
        """For people: what it is and where."""
        return f"{type(self._executor).__name__}, {self.workers} workers"

    def open(self, work: Work, report: Report) -> _Crew:
        """Begin to work for a job.

        Raises:
            SandboxError: this platform cannot confine workers as the job's policy asks.
        """
        require(work.policy.sandbox)
        crew = _Crew(self._executor, work, report)
        report(Capacity(min(self.workers, work.policy.concurrency or self.workers)))
        return crew

    def close(self) -> None:
        """Nothing: the executor is the caller's."""


class _Crew:
    def __init__(self, executor: Executor, work: Work, report: Report) -> None:
        self._executor = executor
        self._work = work
        self._report = report
        self._lock = threading.Lock()
        self._futures: dict[int, Future[Any]] = {}
        self._lease = _Lease()

    def submit(self, chunk: Chunk) -> None:
        self._submit(chunk.number, [b"".join(parcel) for parcel in chunk.parcels], None)

    def _submit(self, number: int, parcels: list[bytes], work: Work | None) -> None:
        try:
            future = self._executor.submit(
                _run, work, self._work.id, number, parcels, self._lease.place, self._lease.path
            )
        except Exception as error:  # noqa: BLE001 - it has been shut down, or is broken
            self._report(Broken("EENGINE", f"the executor takes no calls: {error}"))
            return
        with self._lock:
            self._futures[number] = future
        future.add_done_callback(lambda future: self._done(number, parcels, future))

    def _done(self, number: int, parcels: list[bytes], future: Future[Any]) -> None:
        with self._lock:
            if self._futures.pop(number, None) is None:
                return
        if future.cancelled():
            self._report(Broken("EENGINE", "the executor has cancelled its calls"))
            return
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            self._report(Broken("EENGINE", f"the executor is broken: {error}"))
        elif error is not None:
            self._report(Lost(number, str(error)))
        elif (answer := future.result()) is None:  # that process sees the job for the first time
            self._submit(number, parcels, self._work)
        else:
            for event in events_of(answer, number):
                self._report(event)

    def cancel(self, number: int) -> None:
        with self._lock:
            future = self._futures.pop(number, None)
        if future is None or not future.cancel():
            self._lease.exclude(number)

    def close(self) -> None:
        with self._lock:
            futures, self._futures = self._futures, {}
        for future in futures.values():
            future.cancel()
        self._lease.end()
        _forget(self._work.id)


#: How the names of leases begin and end: nobody else has such files, so they can be swept up.
_LEASE: Final = (".bifrost-lease-", ".lock")


class _Lease:
    """Says to processes of this machine what of a job is still wanted.

    A file that its owner has locked -- the lock ends with the owner, however that ends -- with
    the numbers of the chunks that are not wanted any more.
    """

    def __init__(self) -> None:
        for path in Path(tempfile.gettempdir()).glob("*".join(_LEASE)):
            with contextlib.suppress(OSError):
                _is_wanted(str(path))  # those of owners that were killed go
        while True:
            self._fd, self.path = tempfile.mkstemp(_LEASE[1], _LEASE[0])
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if os.fstat(self._fd).st_nlink:  # nobody took it for one of those
                break
            os.close(self._fd)
        self.place = _place(self.path)
        _leases.add(self)

    def exclude(self, number: int) -> None:
        os.write(self._fd, b"%d\n" % number)

    def end(self) -> None:
        if self._fd >= 0:
            Path(self.path).unlink(missing_ok=True)
            self.let_go()

    def let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_leases: weakref.WeakSet[_Lease] = weakref.WeakSet()


def _after_fork() -> None:
    """A process of a pool that holds its client's lock would not see the client end."""
    for lease in _leases:
        lease.let_go()


os.register_at_fork(after_in_child=_after_fork)


def _place(path: str) -> str:
    """The folder of a file, told from those of the same name on other machines."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        boot = platform.node()
    try:
        folder = Path(path).parent.stat()
    except OSError:
        return ""
    return f"{boot}/{folder.st_dev}/{folder.st_ino}"


# -- in the executor's processes

_host: Host | None = None
_host_pid = 0
_host_lock = threading.Lock()


def _here() -> Host:
    global _host, _host_pid
    with _host_lock:
        if _host is None or _host_pid != os.getpid():
            _host, _host_pid = Host(), os.getpid()
        return _host


def _forget(job: str) -> None:
    if _host is not None and _host_pid == os.getpid():
        _host.forget(job)


def _run(
    work: Work | None, job: str, number: int, parcels: list[bytes], place: str, path: str
) -> Answer | None:
    """Do a chunk; None if the work is needed for that."""
    host = _here()
    if place != _place(path):  # another machine's: it cannot be asked
        return host.run(work, job, parcels, lambda: True)
    if not _is_wanted(path, number):  # executors keep calls ahead that they cannot take back
        return [("Lost", "it is not wanted any more")]
    answer = host.run(work, job, parcels, lambda: _is_wanted(path, number))
    if not _is_wanted(path):
        host.forget(job)
    return answer


def _is_wanted(lease: str, number: int | None = None) -> bool:
    """Whether somebody wants a job, and this chunk of it."""
    try:
        with Path(lease).open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(lease).unlink()  # its owner was killed
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return number is None or b"%d" % number not in Path(lease).read_bytes().split()
