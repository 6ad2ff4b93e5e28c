"""The progress of a job, as a bar in a terminal or a notebook, and nothing anywhere else."""

from __future__ import annotations

import sys
from typing import Any


def is_watched() -> bool:
    """Whether somebody can see a bar: a notebook, or a terminal at standard error."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and type(shell).__name__ == "ZMQInteractiveShell":
        return True
    return bool(sys.stderr is not None and sys.stderr.isatty())


class ProgressBar:
    """Shows slices done, their rate, how many failed and how many workers there are.

    Args:
        name: what stands before it.
        total: how many slices there are, if that is known.
        delay: seconds before it appears; a short job needs none.
    """

    def __init__(self, name: str, total: int | None = None, delay: float = 0.5) -> None:
        # Its monitor is a thread that would stay for good.
        kind = type("Bar", (_bar_class(),), {"monitor_interval": 0})
        often = 0.1
        if not is_watched():
            delay, often = 0.0, 5.0  # a log needs no animation
        self._bar: Any = kind(
            desc=name,
            total=total,
            unit=" slices",
            delay=delay,
            mininterval=often,
            dynamic_ncols=True,
        )
        self._facts: dict[str, Any] = {}

    def status(self, total: int | None, done: int) -> None:
        """So many slices are done, of so many (None: nobody knows)."""
        if self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def note(self, **facts: Any) -> None:
        """Things to show behind the bar."""
        self._facts.update(facts)
        self._bar.set_postfix(self._facts, refresh=False)

    def close(self) -> None:
        self._bar.close()


def _bar_class() -> Any:
    """tqdm's bar for where we are; the one for notebooks needs ipywidgets."""
    from tqdm import tqdm

    if "IPython" not in sys.modules:
        return tqdm
    try:
        import ipywidgets  # noqa: F401
        from tqdm.autonotebook import tqdm as notebook
    except ImportError:
        return tqdm
    return notebook
