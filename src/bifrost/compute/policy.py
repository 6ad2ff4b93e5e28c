"""What a job may use, and what becomes of slices that fail."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

Level = Literal["trusted", "standard", "strict"]
OnError = Literal["raise", "collect", "cancel"]

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a job.

    Attributes:
        retries: how often a slice is tried again whose worker died or ran out of time.
        error_retries: how often one is whose work function threw; an exception of
            JavaScript comes again as a rule, so not at all.
        on_error: what a slice that failed for good means. ``"raise"``: the others are
            finished, then `exec` raises `JobError`; ``"collect"``: the same, but the errors
            stand among the results and nothing is raised; ``"cancel"``: the job ends at once.
        slice_timeout: seconds that one slice may take; None is no limit.
        progress_timeout: seconds that a slice may take between two calls of `progress`.
        memory: bytes that one worker may use (also ``"2GB"``, ``"512MiB"``); None is the
            machine's memory shared out among its workers.
        concurrency: how many workers the job may use; None is all that there are.
        window: chunks that are under way for each worker.
        chunk_seconds: how long one chunk of slices should take; longer slices go alone.
        sandbox: how workers are confined, see docs/sandbox.md.
    """

    retries: int = 3
    error_retries: int = 0
    on_error: OnError = "raise"
    slice_timeout: float | None = None
    progress_timeout: float | None = None
    memory: int | str | None = None
    concurrency: int | None = None
    window: int = 3
    chunk_seconds: float = 0.1
    sandbox: Level = "standard"

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", _bytes(self.memory))
        for name, least in (("retries", 0), ("error_retries", 0), ("window", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name}={value!r}: it must be a whole number from {least} on")
        for name in ("slice_timeout", "progress_timeout", "concurrency", "chunk_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value!r}: it must be more than 0, or None")
        for name, choice in (("on_error", OnError), ("sandbox", Level)):
            if getattr(self, name) not in get_args(choice):
                one_of = ", ".join(map(repr, get_args(choice)))
                raise ValueError(f"{name}={getattr(self, name)!r}: it must be one of {one_of}")

    def replace(self, **changes: Any) -> Policy:
        """The same with some rules changed.

        Raises:
            TypeError: there is no such rule; the error names those there are.
        """
        names = [field.name for field in fields(self)]
        for name in changes:
            if name not in names:
                raise TypeError(f"there is no rule {name!r}: a policy has {', '.join(names)}")
        return Policy(**{name: changes.get(name, getattr(self, name)) for name in names})


def _bytes(value: int | str | None) -> int | None:
    if value is None or (isinstance(value, int) and value > 0):
        return value
    text = str(value).lower().replace(" ", "").removesuffix("b")
    number = text.rstrip("kmgi")
    try:
        return int(float(number) * _UNITS[text[len(number) :]])
    except (ValueError, KeyError):
        raise ValueError(
            f"memory={value!r}: it must be a number of bytes, or a text such as '2GB' or '512MiB'"
        ) from None
