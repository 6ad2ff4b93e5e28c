"""Pipes to a child process that is about to be started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def pipes_to_child(*child_reads: bool) -> Iterator[tuple[list[int], list[int]]]:
    """Make a pipe for each argument, and start the child within: (its ends, our ends).

    Its ends are closed afterwards, for it has them then; ours stay open unless it failed.

    Args:
        child_reads: for each pipe, whether the child reads from it; else it writes.
    """
    theirs: list[int] = []
    ours: list[int] = []
    try:
        for reads in child_reads:
            read, write = os.pipe()
            theirs.append(read if reads else write)
            ours.append(write if reads else read)
        yield theirs, ours
    except BaseException:
        for fd in ours:
            os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)
