"""Which engine does the jobs: this machine's, unless the user says otherwise."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Executor
from typing import Any

from .engine import Engine
from .local import LocalEngine

_lock = threading.Lock()
_local: LocalEngine | None = None
_chosen: Engine | None = None
_clusters: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def use(engine: Any = "local", *arguments: Any, **options: Any) -> Engine:
    """Choose the engine of the jobs that are made from now on.

    ::

        compute.use("dask", "tls://scheduler:8786")
        compute.use(client)  # a distributed.Client or LocalCluster
        compute.use("local", workers=4)
        compute.use(ProcessPoolExecutor(8))  # anything that is a concurrent.futures.Executor

    Args:
        engine: ``"local"``, ``"dask"``, or an object that is one of the above.
        arguments, options: what that engine takes.

    Raises:
        TypeError, ValueError: there is no such engine.
        ImportError: what it needs is not installed; the error says how to get it.
    """
    global _chosen
    chosen = find(engine, *arguments, **options)
    with _lock:
        _chosen = chosen
    return chosen


def current() -> Engine:
    """The engine of jobs that name none."""
    return find("local") if _chosen is None else _chosen


def find(engine: Any, *arguments: Any, **options: Any) -> Engine:
    """The engine that `engine` means; see :func:`use`."""
    global _local
    if engine is None:
        return current()
    if engine == "local":
        if arguments or options:
            return LocalEngine(*arguments, **options)
        with _lock:
            if _local is None:
                _local = LocalEngine()
            return _local
    if engine == "dask" or type(engine).__module__.partition(".")[0] == "distributed":
        return _on_dask(engine, *arguments, **options)
    if isinstance(engine, Executor):
        from .futures import ExecutorEngine

        return ExecutorEngine(engine, *arguments, **options)
    if isinstance(engine, str):
        raise ValueError(f"there is no engine {engine!r}: 'local' or 'dask'")
    if isinstance(engine, Engine):
        return engine
    raise TypeError(
        f"a {type(engine).__name__} is no engine: give 'local', 'dask' and an address, a"
        " distributed.Client, or a concurrent.futures.Executor"
    )


def _on_dask(engine: Any, *arguments: Any, **options: Any) -> Engine:
    """A Dask engine; always the same for a client or cluster that is given, while it works."""
    from .dask import DaskEngine

    if engine == "dask":
        return DaskEngine(*arguments, **options)
    known = _clusters.get(engine)
    if known is None or known.client.status == "closed" or options:
        known = _clusters[engine] = DaskEngine(engine, **options)
    return known
