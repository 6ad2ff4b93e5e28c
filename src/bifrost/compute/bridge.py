"""Jobs of DCP's client in Node.js: `js/compute/job.js` calls what is here.

Inputs and results pass through as parcels, so JavaScript's values stay what they are. Each
job that runs has a thread, which looks after its driver; Python's end does not wait for it.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import BifrostError, KernelDied
from ..runtime.proxy import JSFunction
from .driver import Driver
from .engine import Work
from .engines import current
from .events import Tell
from .inputs import Inputs
from .modules import publish as publish_modules
from .modules import resolve
from .policy import Policy

#: After so many seconds a thread looks whether its Node.js is still there.
_LOOK: Final = 1.0
#: In DCP a slice that failed for good ends its job.
_POLICY: Final = Policy(on_error="cancel")
#: What of the driver's news JavaScript is told, and as what.
_NEWS: Final = frozenset(
    {"accepted", "status", "result", "console", "work", "error", "duplicate", "cancel", "complete"}
)


class Run:
    """A job on its way. JavaScript may call any method at any time.

    Args:
        spec: ``id``, ``source``, ``arguments`` and ``public`` (parcels), ``requires``, ``total``,
            ``policy`` (rules by their names in camelCase).
        notify: takes a list of events, each a list of its name and its details.
    """

    def __init__(self, spec: Mapping[str, Any], notify: JSFunction) -> None:
        rules = {_snake(name): value for name, value in spec["policy"].items()}
        work = Work(
            spec["id"],
            spec["source"],
            bytes(spec["arguments"]),
            resolve(spec["requires"]),
            bytes(spec["public"]),
            _POLICY.replace(**rules),
        )
        self._notify = notify
        self._driver = Driver(work, current(), self._tell, spec["total"])
        self._fed: queue.SimpleQueue[tuple[int, list[Any], bool]] = queue.SimpleQueue()
        self._count = 0  # of inputs that the driver was given
        self._is_fetching = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start; also: go on after `cancel`."""
        if self._thread is not None:
            self._thread.join()
            self._driver.advance()  # what came too late is not to end what begins now
            self._is_fetching = False  # JavaScript that was stopped does not answer
        self._thread = threading.Thread(target=self._run, name="bifrost-job", daemon=True)
        self._thread.start()

    def feed(self, start: int, parcels: Sequence[bytes], exhausted: bool) -> None:
        """Bring inputs from `start` on, in answer to ``pull``; some may have come before."""
        self._fed.put((start, [[parcel] for parcel in parcels], exhausted))
        self._driver.poke()

    def cancel(self, reason: str, code: str = "ECANCELLED") -> None:
        """End the job; `begin` goes on with it."""
        self._driver.cancel(reason, code)

    def _run(self) -> None:
        try:
            self._look_after(self._driver)
        except KernelDied:
            pass  # who would be told has ended
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self._say([["cancel", "EENGINE", f"{type(error).__name__}: {error}"]])
        finally:
            self._driver.close()

    @property
    def _is_orphan(self) -> bool:
        """Whether the Node.js that has the client has ended."""
        return self._notify._bifrost_session.dead is not None

    def _look_after(self, driver: Driver) -> None:
        driver.begin()
        while not driver.state.is_over:
            if driver.wanted and not self._is_fetching:
                self._is_fetching = True
                self._notify([["pull", driver.wanted]])
            driver.advance(_LOOK)
            while not self._fed.empty():
                self._is_fetching = False
                self._take(*self._fed.get())
            if self._is_orphan:
                return

    def _take(self, start: int, parcels: list[Any], exhausted: bool) -> None:
        fresh = parcels[self._count - start :]
        self._count += len(fresh)
        self._driver.feed(fresh, exhausted)

    def _tell(self, told: Sequence[Tell]) -> None:
        """Pass on what happened, in one message."""
        events: list[list[Any]] = []
        for one in told:
            if one.name not in _NEWS:
                continue
            details = list(one.details)
            if one.name == "result":
                details[1] *= 1000  # milliseconds, in JavaScript
                details[2] = bytes(details[2])
            events.append([one.name, *details])
        if events:
            self._say(events)

    def _say(self, events: list[list[Any]]) -> None:
        try:
            self._notify(events)
        except BifrostError:
            if not self._is_orphan:
                raise


def start(spec: Mapping[str, Any], notify: JSFunction) -> Run:
    """Make a job of what `dcp/compute` was given; its `begin` starts it.

    Raises:
        ModuleError: what it requires is not there.
        TypeError, ValueError: there is no such rule as the policy names.
    """
    return Run(spec, notify)


def inputs(source: Any) -> Inputs:
    """The inputs that something of Python's yields, one after the other."""
    return Inputs(source)


def publish(
    name: str, version: str | None, files: Mapping[str | os.PathLike[str], str]
) -> dict[str, Any]:
    """Publish a version of a package of modules; see :func:`bifrost.compute.publish`."""
    published = publish_modules(name, version, files)
    return {
        "package": published.package,
        "version": published.version,
        "modules": list(published.modules),
    }


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
