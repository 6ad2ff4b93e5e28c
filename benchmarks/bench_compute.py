"""Compute: what a slice costs, how soon a job begins, large arrays, all cores, and memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
from common import QUICK, Table, in_new_python, main, median, size
from samples import JsonPipe

from bifrost import compute
from bifrost.compute import Chunks, LocalEngine
from bifrost.compute.engines import find
from bifrost.compute.local import cores
from bifrost.errors import BifrostError
from bifrost.frontend import tuning
from bifrost.runtime.binaries import find_node

ROUNDS = 5
WORK = "(x) => x + 1"
#: Every slice in a chunk of its own: a round trip for each, as the peers' unbatched calls are.
SINGLY: dict[str, Any] = {"chunk_seconds": 1e-9}
#: About 10 ms of arithmetic.
BUSY = """(x) => {
  for (let i = 0; i < LOOPS; i++) x = (x * 1103515245 + 12345) % 65537;
  return x;
}"""


def measure() -> list[Table]:
    last = memory()  # while there is none that was used before, and would be used again
    return [slices(), *dask_slices(), started(), *large_arrays(), *efficiency(), last]


def plus_one(x: int) -> int:
    return x + 1


def plus_one_each(items: Sequence[int]) -> list[int]:
    return [x + 1 for x in items]


def of_job(job: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """What a job takes when its workers stand ready, as they do a moment after the last one."""

    def wait() -> None:
        time.sleep(0 if QUICK else 0.5)

    return median(lambda _: job(), rounds=rounds, budget=8, prepare=wait)


def per_slice(action: Callable[[], Any], count: int) -> float:
    return of_job(action) / count


# -- what a slice costs


def slices() -> Table:
    count = size(10_000, 50)
    table = Table(f"A slice of {count:,}, {WORK}", "floor: a round trip to bare Node for each")
    with JsonPipe(node(), lambda value: json.dumps(value).encode(), json.loads, "() => 0") as pipe:

        def ask_each() -> None:
            for x in range(count):
                pipe.send(x)

        table.add(table.floor, per_slice(ask_each, count), "one process")
    table.add("a loop in bare Node, nothing crosses", _loop_in_node(size(1_000_000, 1000)))

    engine = LocalEngine()
    workers = f"{engine.workers} workers"
    compute.map(WORK, range(100), engine=engine)
    table.add(
        "compute.map",
        per_slice(lambda: compute.map(WORK, range(count), engine=engine), count),
        f"{workers}; in chunks, as it finds best",
    )
    table.add(
        "compute.map, each slice alone",
        per_slice(lambda: compute.map(WORK, range(count), engine=engine, **SINGLY), count),
        workers,
    )
    engine.close()

    processes = f"{cores()} processes; a Python function"
    with ProcessPoolExecutor(cores()) as pool:
        for length, how in ((100, "chunks of 100"), (1, "each call alone")):
            seconds = per_slice(
                lambda: list(pool.map(plus_one, range(count), chunksize=length)),  # noqa: B023
                count,
            )
            table.add(f"ProcessPoolExecutor.map, {how}", seconds, processes)
    with multiprocessing.Pool(cores()) as calls:
        for length, how in ((0, "in chunks of its own"), (1, "each call alone")):
            seconds = per_slice(lambda: calls.map(plus_one, range(count), length or None), count)  # noqa: B023
            table.add(f"multiprocessing.Pool.map, {how}", seconds, processes)
    return table


def _loop_in_node(count: int) -> float:
    program = f"""
const work = {WORK};
const began = process.hrtime.bigint();
let last = 0;
for (let i = 0; i < {count}; i++) last = work(last);
console.log(Number(process.hrtime.bigint() - began) / 1e9 / {count}, last);
"""
    done = subprocess.run([node(), "-e", program], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def dask_slices() -> Iterator[Table]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        return
    count, batch = size(2_000, 20), size(100, 10)
    table = Table(f"A slice of {count:,}, on Dask", "floor: client.map and gather, a task for each")
    pieces = [list(range(start, start + batch)) for start in range(0, count, batch)]
    with (
        LocalCluster(n_workers=cores(), threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def bare(function: Any, items: Sequence[Any]) -> None:
            client.gather(client.map(function, items, pure=False))

        workers = f"{cores()} worker processes"
        seconds = per_slice(lambda: bare(plus_one, range(count)), count)
        table.add(table.floor, seconds, f"{workers}; a Python function")
        seconds = per_slice(lambda: bare(plus_one_each, pieces), count)
        table.add(f"the same, batches of {batch} made by hand", seconds)
        engine = find(client)
        compute.map(WORK, range(10), engine=engine)
        seconds = per_slice(lambda: compute.map(WORK, range(count), engine=engine), count)
        table.add("compute.map", seconds, "in chunks, as it finds best")
        seconds = per_slice(lambda: compute.map(WORK, range(count), engine=engine, **SINGLY), count)
        table.add("compute.map, each slice alone", seconds)
        engine.close()
    yield table


# -- how soon a job begins


def started() -> Table:
    table = Table("Start of a job", "floor: node -e 0")
    table.add(table.floor, median(lambda: subprocess.run([node(), "-e", "0"]), rounds=15))
    imported = in_new_python("from bifrost import compute; compute.map")
    table.add(
        "from bifrost import compute", imported, "in a new Python, whose own start not counted"
    )
    seconds = in_new_python(f"from bifrost import compute; compute.map('{WORK}', [1])")
    table.add("import, and compute.map of one slice", seconds, "the same, with the layers' survey")
    pool = "from concurrent.futures import ProcessPoolExecutor as Pool"
    seconds = in_new_python(f"{pool}\nwith Pool(1) as pool: list(pool.map(abs, [1]))")
    table.add(
        "import, and ProcessPoolExecutor.map of one call", seconds, "the same, a forked Python"
    )
    engine = LocalEngine(1)
    compute.map(WORK, [1], engine=engine)
    seconds = of_job(lambda: compute.map(WORK, [1], engine=engine), rounds=9)
    table.add("another job, one slice", seconds, "a blank worker stood ready")
    engine.close()
    return table


# -- large arrays


def large_arrays() -> Iterator[Table]:
    items, pieces = size(8_000_000, 10_000), 8
    array, target = np.ones(items), np.ones(items)
    megabytes = array.nbytes / 1e6
    copied = median(lambda: np.copyto(target, array), rounds=15)
    there = Table(f"{megabytes:.3g} MB of float64 as {pieces} inputs", "floor: memcpy, warm")
    back = Table(f"{megabytes:.3g} MB of float64 as {pieces} results", "floor: memcpy, warm")

    def add(table: Table, name: str, seconds: float, note: str = "") -> None:
        rate = f"{megabytes / seconds:,.0f} MB/s"
        table.add(name, seconds, f"{rate}; {note}" if note else rate)

    add(there, there.floor, copied)
    add(back, back.floor, copied)
    add(there, "a bare pipe to Node", _through_pipe(array, _SINK, True), "one process")
    add(back, "a bare pipe from Node", _through_pipe(array, _SOURCE, False), "one process")
    engine = LocalEngine()
    workers = f"{engine.workers} workers"
    compute.map("(x) => x", range(4), engine=engine)
    cut = Chunks(array, items // pieces)
    seconds = of_job(lambda: compute.map("(x) => x.typedArray[0]", cut, engine=engine))
    add(there, "compute.map", seconds, workers)
    make = f"() => new Float64Array({items // pieces}).fill(1)"
    seconds = of_job(lambda: compute.map(make, range(pieces), engine=engine))
    add(back, "compute.map", seconds, f"{workers}; with making it")
    engine.close()
    yield there
    yield back


_SINK = """
const { readSync, writeSync } = require('fs');
const bytes = Buffer.alloc(1 << 20);
for (let left = 0, n; (n = readSync(0, bytes)) > 0; left += n) {
  if (left + n === SIZE) { writeSync(1, 'x'); left = -n; }
}
"""
_SOURCE = """
const { readSync, writeSync } = require('fs');
const bytes = Buffer.alloc(SIZE);
while (readSync(0, Buffer.alloc(1)) > 0) {
  for (let at = 0; at < SIZE; ) at += writeSync(1, bytes, at);
}
"""


def _through_pipe(array: np.ndarray[Any, Any], program: str, is_there: bool) -> float:
    """Bare pipes, as large as they come."""
    whole = array.view(np.uint8).data
    target = memoryview(bytearray(len(whole)))
    command = [node(), "-e", program.replace("SIZE", str(len(whole)))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        inlet, outlet = child.stdin, child.stdout

        def carry() -> None:
            given = whole if is_there else memoryview(b"x")
            while given:
                given = given[os.write(inlet.fileno(), given) :]
            at = 0
            while at < (1 if is_there else len(target)):
                at += os.readv(outlet.fileno(), [target[at:]])

        seconds = median(carry, rounds=15)
        inlet.close()
        return seconds


# -- all cores


def efficiency() -> Iterator[Table]:
    count = size(100, 4)
    work = BUSY.replace("LOOPS", str(size(1_000_000, 1000)))
    table = Table(f"{count} slices of arithmetic", "floor: a loop in bare Node")
    loop = "const work = {}; for (let i = 0; i < {}; i++) work(i);"
    alone = median(lambda: _bare_nodes(loop.format(work, count), 1), rounds=3, budget=1)
    table.add(table.floor, alone)
    part = loop.format(work, count / cores())
    seconds = median(lambda: _bare_nodes(part, cores()), rounds=3, budget=1)
    table.add(
        f"{cores()} bare Nodes at once",
        seconds,
        f"efficiency {alone / seconds / cores():.0%}: what the machine has to give",
    )
    _with_workers(table, lambda engine: compute.for_(range(count), work, engine=engine))
    yield table
    if QUICK:
        return  # it needs npm
    table = Table(f"The demo's tuning, {len(tuning.SETTINGS)} settings", "floor: 1 worker")
    digits = _digits(4000)
    try:
        _with_workers(table, lambda engine: tuning.job(*digits, engine=engine, images=2400))
    except BifrostError as error:
        table.add("compute.for_", None, f"failed: {str(error)[:60]}")
    yield table


def _with_workers(table: Table, make: Callable[[LocalEngine], compute.Job]) -> None:
    """Add what a job takes with one worker and with as many as there are cores."""
    alone = 0.0
    for workers in (1, cores()):
        with _ready(workers) as engine:
            began = time.perf_counter()
            make(engine).exec()
            seconds = time.perf_counter() - began
        alone = alone or seconds
        name = f"compute.for_, {workers} worker{'s' if workers > 1 else ''}"
        note = "" if workers == 1 else f"efficiency {alone / seconds / workers:.0%}"
        table.add(name if table.rows else table.floor, seconds, note)


def _digits(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images that cost what digits cost: ten shapes, and noise."""
    chance = np.random.default_rng(1)
    labels = chance.integers(0, 10, count, np.uint8)
    shapes = chance.integers(0, 128, (10, 28, 28), np.uint8)
    return shapes[labels] + chance.integers(0, 128, (count, 28, 28), np.uint8), labels


# -- memory


def memory() -> Table:
    count = size(200_000, 200)
    table = Table(f"{count:,} slices from a generator, results not kept", "floor: a tenth of them")
    for part, name in ((count // 10, table.floor), (count, "all of them")):
        with _ready(cores()) as engine:
            job = compute.for_((x for x in range(part)), WORK, engine=engine)
            job.collate_results = False
            here = psutil.Process()
            before, peak, workers = here.memory_info().rss, 0, 0
            began = time.perf_counter()
            for done, _ in enumerate(job.as_completed()):
                if done % 5000 == 0:
                    peak = max(peak, here.memory_info().rss)
                    nodes = [child.memory_info().rss for child in here.children()]
                    workers = max(workers, *nodes, 0)
            seconds = time.perf_counter() - began
        grown = max(0, peak - before) / 1e6
        table.add(
            name, seconds, f"Python grew by {grown:.0f} MB; a worker has {workers / 1e6:.0f} MB"
        )
    return table


# -- what they share


@contextmanager
def _ready(workers: int) -> Iterator[LocalEngine]:
    """An engine whose workers have started."""
    engine = LocalEngine(workers)
    try:
        compute.map(
            "async () => new Promise((f) => setTimeout(f, 20))", range(workers), engine=engine
        )
        yield engine
    finally:
        engine.close()


def node() -> str:
    return str(find_node().path)


def _bare_nodes(program: str, count: int) -> None:
    children = [subprocess.Popen([node(), "-e", program]) for _ in range(count)]
    for child in children:
        child.wait()


if __name__ == "__main__":
    main(measure)
