"""Heavy work, written in JavaScript, spread over many sandboxed workers.

>>> from bifrost import compute
>>> compute.map("x => x * x", range(5))
[0, 1, 4, 9, 16]

A job calls a JavaScript function once for each input, on this machine's cores or on a Dask
cluster (:func:`use`). :func:`map` is for the common case; :func:`for_` makes a job with
events, modules, results as they complete. Values cross as they do elsewhere in Bifrost.
"""

from __future__ import annotations

from typing import Any

from ..errors import JobError, JournalError, SandboxError, SliceError
from .engine import Engine
from .engines import current, find, use
from .executor import Executor
from .inputs import Chunks
from .jobs import Job
from .listeners import (
    ConsoleMessage,
    SliceFailure,
    SliceProgress,
    SliceResult,
    Status,
    WorkEvent,
)
from .local import LocalEngine
from .modules import publish
from .policy import Policy
from .ranges import Distribution, MultiRange, Range, SparseRange
from .remote import RemoteDataPattern, RemoteDataSet
from .results import Results

__all__ = [
    "Chunks",
    "ConsoleMessage",
    "Distribution",
    "Engine",
    "Executor",
    "Job",
    "JobError",
    "JournalError",
    "LocalEngine",
    "MultiRange",
    "Policy",
    "Range",
    "RemoteDataPattern",
    "RemoteDataSet",
    "Results",
    "SandboxError",
    "SliceError",
    "SliceFailure",
    "SliceProgress",
    "SliceResult",
    "SparseRange",
    "Status",
    "WorkEvent",
    "current",
    "do",
    "for_",
    "map",
    "publish",
    "use",
]


def for_(*inputs_work_arguments: Any, engine: Any = None, **policy: Any) -> Job:
    """Make a job: a JavaScript function, to be called with each of some inputs.

    ``for_(inputs, work, *arguments)`` or, as in DCP, ``for_(start, end, work, *arguments)`` and
    ``for_(start, end, step, work, *arguments)`` with the end included.

    ::

        job = compute.for_(range(100), "async (n, base) => { progress(); return n ** base }", 2)
        results = job.exec()

    Args:
        inputs: a list, `range`, generator or other iterable, also an asynchronous one; a NumPy
            array (by rows) or DataFrame; :class:`Range`, :class:`MultiRange`,
            :class:`SparseRange`, :class:`Distribution`, :class:`Chunks`, :class:`RemoteDataSet`.
            They are pulled as they are needed.
        work: JavaScript that evaluates to a function, or a function of Node's. It is sent as
            its source: variables around it do not go with it; give them as arguments.
        arguments: what the function gets behind each input; sent once to each worker. Each
            address of a RemoteDataSet among them is one, fetched when the job begins.
        engine: see :func:`use`, which chooses it for all jobs.
        policy: rules of :class:`Policy`, such as ``retries=1`` or ``memory="1GB"``.

    Raises:
        TypeError: the inputs are none, or the work function is none, or there is no such rule.
    """
    __tracebackhide__ = True
    inputs, work, arguments = _parts(inputs_work_arguments)
    return Job(inputs, work, arguments, find(engine), Policy().replace(**policy))


def do(count: int, work: Any, *arguments: Any, engine: Any = None, **policy: Any) -> Job:
    """Make a job that calls a function `count` times, with 0, 1, 2, ...; see :func:`for_`."""
    __tracebackhide__ = True
    return for_(range(count), work, *arguments, engine=engine, **policy)


def map(  # noqa: A001
    work: Any,
    inputs: Any,
    *arguments: Any,
    requires: Any = (),
    engine: Any = None,
    timeout: float | None = None,
    progress: bool | None = None,
    **policy: Any,
) -> Any:
    """Call a JavaScript function with each input, on many workers, and return the results.

    >>> compute.map("(x, y) => x * y", [1, 2, 3], 10)
    [10, 20, 30]

    Args:
        work, inputs, arguments, engine, policy: see :func:`for_`.
        requires: modules that the function may `require`.
        timeout, progress: see :meth:`Job.exec`.

    Returns:
        A list with a result for each input, in order.

    Raises:
        JobError: some failed. It has the results of the others.
    """
    __tracebackhide__ = True  # in pytest and IPython
    job = for_(inputs, work, *arguments, engine=engine, **policy).requires(requires)
    return list(job.exec(timeout=timeout, progress=progress))


def _parts(given: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
    """Inputs, work and arguments of a call of `for_`, in whichever form."""
    __tracebackhide__ = True
    numbers = 0
    while numbers < min(3, len(given)) and type(given[numbers]) in (int, float):
        numbers += 1
    if numbers >= 2 and len(given) > numbers:
        return Range(*given[:numbers]), given[numbers], list(given[numbers + 1 :])
    if len(given) < 2:
        raise TypeError("compute.for_(inputs, work, *arguments): both inputs and work are needed")
    return given[0], given[1], list(given[2:])
