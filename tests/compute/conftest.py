"""Engines for the tests of jobs, and a look at what each test left behind."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest

from bifrost import compute
from support import leaks

#: Modules whose engines live as long as the module, or that use TensorFlow, which has threads.
_KEEPERS = ("test_dask", "test_conformance", "test_tfjs")


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads, processes and descriptors are as they were, once the workers are given up."""
    if request.module.__name__.rpartition(".")[2] in _KEEPERS:
        yield
        return
    before = leaks.Belongings.now()
    yield
    compute.LocalEngine.close(compute.engines.find("local"))
    gc.collect()
    leaks.check_belongings(before)


@pytest.fixture(autouse=True)
def heeds_ctrl_c() -> Iterator[None]:
    """Programs that a shell runs in the background ignore SIGINT; tests of it must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
