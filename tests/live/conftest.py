"""A Node.js for each live test, and a look at what the test left behind."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from bifrost import Node
from support import leaks

#: Modules that keep kernels, their sockets, matplotlib's fonts or the `node` of the package.
_KEEPERS = ("test_magics", "test_docs", "test_demo", "test_npm", "test_cli", "test_benchmarks")


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """IPython's shell takes its place, and processes cannot be spawned after that."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads, processes, descriptors and shared memory are as they were."""
    if request.module.__name__.rpartition(".")[2] in _KEEPERS:
        yield
        return
    before = leaks.Belongings.now()
    yield
    gc.collect()
    leaks.check_belongings(before)


@pytest.fixture
def node(leaves_nothing: None) -> Iterator[Node]:
    """A Node of its own; at the end neither side may hold anything of the other's."""
    with Node(node_options=["--expose-gc"]) as one:
        yield one
        leaks.check_references(one)
