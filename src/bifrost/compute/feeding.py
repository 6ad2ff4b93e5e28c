"""Brings the inputs of a job to its driver, as they are wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any, Final

from ..errors import JournalError
from ..protocol.parcels import Parcel
from ..runtime.interrupts import CtrlC
from .driver import Driver
from .inputs import Inputs
from .journal import Journal
from .work import pack

#: Seconds after which inputs that come slowly are sent, though more were wanted.
_PATIENCE: Final = 0.05
_END: Final = object()


class Feeder:
    """Pulls inputs and packs them.

    Attributes:
        count: how many it has pulled.
        is_async: whether they come from an asynchronous iterable, and so by `feed_async`.
    """

    def __init__(self, inputs: Inputs, driver: Driver, journal: Journal | None = None) -> None:
        self.count = 0
        self.is_async = isinstance(inputs.source, AsyncIterable)
        self._inputs = inputs
        self._driver = driver
        self._journal = journal
        self._iterator: Iterator[Any] | None = None
        self._items: AsyncIterator[Any] | None = None
        self._coming: asyncio.Future[Any] | None = None  # the next of them

    def feed(self) -> None:
        """Bring what the driver wants, or less if it comes slowly.

        Raises:
            ShareError: an input cannot be sent; the job has been cancelled.
            JournalError: its journal is that of other inputs; likewise.
        """
        __tracebackhide__ = True
        if self._iterator is None:
            self._iterator = iter(self._inputs)
        driver = self._driver
        pulled: list[Parcel] = []
        exhausted = False
        until = time.monotonic() + _PATIENCE
        with CtrlC(driver.poke, driver.poke) as ctrl_c:
            # A generator may take its time, and does not survive Ctrl-C. Where the number of
            # inputs is known they are there, and none may be lost between here and the driver.
            ctrl_c.direct = self._inputs.length is None
            try:
                while len(pulled) < driver.wanted and ctrl_c.error is None:
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
            self._bring(pulled, exhausted)
        if ctrl_c.error is not None:
            raise ctrl_c.error

    async def feed_async(self) -> None:
        """The same of asynchronous inputs; results can be handed out meanwhile."""
        __tracebackhide__ = True
        if self._items is None:
            self._items = aiter(self._inputs.source)
        pulled: list[Parcel] = []
        exhausted = False
        until = time.monotonic() + _PATIENCE
        try:
            while len(pulled) < self._driver.wanted and not exhausted:
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
        self._bring(pulled, exhausted)

    def _bring(self, pulled: list[Parcel], exhausted: bool) -> None:
        __tracebackhide__ = True
        self.count += len(pulled)
        try:
            if exhausted and self._journal is not None:
                self._journal.check_total(self.count)
            self._driver.feed(pulled, exhausted)
        except JournalError as error:
            self._give_up(error)
            raise

    def _packed(self, value: Any, position: int) -> Parcel:
        __tracebackhide__ = True
        return pack(value, f"inputs[{self.count + position}]")

    def _give_up(self, error: BaseException) -> None:
        """The inputs are at fault, and cannot be gone on with."""
        self._driver.cancel(f"its inputs raised {error!r}")
        self._driver.advance()


async def _following(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)
