"""The sandboxed Nodes that engines start, as the operating system sees them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil


def sandboxed(among: psutil.Process | None = None) -> list[psutil.Process]:
    """The Nodes of workers among the descendants of a process; of this one if left out."""
    found = []
    for process in (among or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if len(command) > 1 and command[-2].endswith("sandbox/main.js"):
                found.append(process)
    return found


def is_busy(process: psutil.Process) -> bool:
    """Whether it computes at this moment."""
    try:
        return process.cpu_percent(0.05) > 20
    except psutil.Error:
        return False


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds; more than any machine needs for it is a failure."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
