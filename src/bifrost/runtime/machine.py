"""What the machine has, as far as this process may use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

#: Where the system does not say how much memory it has, in bytes.
_GUESS: Final = 4 << 30


def memory_size() -> int:
    """Return the memory of this machine, or of the control group we are in, in bytes."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = _GUESS
    limit = cgroup_limit()
    return total if limit is None else min(total, limit)


def cgroup_limit() -> int | None:
    """Return the smallest memory limit of the control groups this process is in, in bytes."""
    limits = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":  # version 2
            top, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            top, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        inner = top / group.lstrip("/")
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(top):
                break
            text = _read(folder / name)
            if text.isdigit() and int(text) < 1 << 60:  # version 1 says "none" by a huge number
                limits.append(int(text))
    return min(limits, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
