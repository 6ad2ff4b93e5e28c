"""The rules of the seam between driver and engines, kept by every engine.

Who writes an engine adds it to `ENGINES`.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import psutil
import pytest

from bifrost import compute
from bifrost.compute.engine import Chunk, Engine, Work, new_id
from bifrost.compute.events import Broken, Capacity, Died, Returned, Said, Threw
from bifrost.compute.policy import Policy
from bifrost.compute.work import make_work
from bifrost.protocol import parcels
from support.workers import is_busy, sandboxed, until


def local() -> Iterator[Engine]:
    engine = compute.LocalEngine(2)
    yield engine
    engine.close()


def threads() -> Iterator[Engine]:
    with ThreadPoolExecutor(2) as pool:
        yield compute.engines.find(pool)


def processes() -> Iterator[Engine]:
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield compute.engines.find(pool)


def dask() -> Iterator[Engine]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        engine = compute.engines.find(cluster)
        yield engine
        engine.close()


ENDLESS = "x => { for (;;); }"
ENGINES = [local, threads, processes, dask]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda make: make.__name__)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from request.param()


class Crew:
    """A crew, and what it reports."""

    def __init__(self, engine: Engine, source: str, *arguments: object, **policy: object) -> None:
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        work: Work = make_work(
            new_id(), source, arguments, [], {"name": "test"}, Policy().replace(**policy)
        )
        self.crew = engine.open(work, self.events.put)
        self.capacity = self.next(Capacity).workers

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.crew.close()
        self.crew.close()

    def submit(self, number: int, *inputs: object) -> None:
        self.crew.submit(Chunk(number, [parcels.pack(item) for item in inputs]))

    def next(self, *kinds: type) -> object:
        while True:
            event = self.events.get(timeout=60)
            assert not isinstance(event, Broken) or Broken in kinds, event
            if not kinds or isinstance(event, kinds):
                return event

    def values(self, count: int) -> dict:
        found = {}
        for _ in range(count):
            event = self.next(Returned)
            found[event.chunk, event.position] = parcels.unpack(event.parcel)
        return found


def test_every_slice_of_every_chunk_is_answered_in_order(engine):
    with Crew(engine, "(x, y) => x * y", 10) as crew:
        assert crew.capacity >= 1
        for number in range(5):
            crew.submit(number, *range(number + 1))
        found = crew.values(15)
        assert found == {(n, at): at * 10 for n in range(5) for at in range(n + 1)}
        for number in range(5):
            positions = [at for n, at in found if n == number]
            assert positions == sorted(positions)


def test_an_exception_is_its_slices_alone(engine):
    with Crew(engine, "x => { if (x === 1) throw new TypeError('odd'); return x }") as crew:
        crew.submit(7, 0, 1, 2)
        events = [crew.next(Returned, Threw) for _ in range(3)]
        assert [type(event) for event in events] == [Returned, Threw, Returned]
        assert [event.position for event in events] == [0, 1, 2]
        assert events[1].error["name"] == "TypeError"
        assert events[1].error["message"] == "odd"
        assert events[1].error["code"] == "EUNCAUGHT"


def test_a_death_ends_the_chunk_at_its_slice(engine):
    source = "async x => { if (x === 1) for (;;); return x }"
    with Crew(engine, source, slice_timeout=0.5) as crew:
        crew.submit(0, 0, 1, 2)
        first, second = crew.next(Returned, Died), crew.next(Returned, Died)
        assert (first.chunk, first.position) == (0, 0)
        assert (second.chunk, second.position, second.code) == (0, 1, "ESLICETOOSLOW")
        crew.submit(1, 5)
        assert crew.values(1) == {(1, 0): 5}


def test_what_slices_say_arrives_before_their_answer(engine):
    source = """x => {
        console.log('hello', x); progress(0.5); work.emit('news', [x]); return x
    }"""
    with Crew(engine, source) as crew:
        crew.submit(3, 8)
        events = []
        while not events or not isinstance(events[-1], Returned):
            events.append(crew.next())
        said = [(event.what, event.position) for event in events if isinstance(event, Said)]
        assert ("console", 0) in said
        assert ("work", 0) in said
        consoles = [event.details for event in events if getattr(event, "what", "") == "console"]
        assert consoles == [("log", "hello 8", 1)]


def test_a_chunk_can_be_cancelled_while_it_runs_or_waits(engine):
    with Crew(engine, "x => { while (x); return x }") as crew:
        for number in range(crew.capacity + 2):
            crew.submit(number, 1)
        time.sleep(0.3)
        for number in range(crew.capacity + 2):
            crew.crew.cancel(number)
        crew.crew.cancel(99)
        crew.submit(50, 0)
        assert crew.values(1) == {(50, 0): 0}


def test_a_closed_crew_leaves_no_node_behind(engine):
    with Crew(engine, "x => { while (x); return x }") as crew:
        for number in range(crew.capacity):
            crew.submit(number, 1)
        until(lambda: any(map(is_busy, sandboxed())))
    # Blank ones may be kept for the next job, but nothing runs any more.
    until(lambda: not any(map(is_busy, sandboxed())))


def test_two_jobs_share_the_workers(engine):
    with Crew(engine, "x => x + 1") as one, Crew(engine, "x => x + 2") as two:
        for number in range(6):
            one.submit(number, number)
            two.submit(number, number)
        assert one.values(6) == {(n, 0): n + 1 for n in range(6)}
        assert two.values(6) == {(n, 0): n + 2 for n in range(6)}


def test_a_node_that_is_killed_is_a_death(engine):
    source = "async x => { while (x) await null; return x }"
    with Crew(engine, source) as crew:
        crew.submit(0, 1)
        until(lambda: any(map(_has_worked, sandboxed())), 60)
        (busy,) = filter(_has_worked, sandboxed())
        busy.kill()
        died = crew.next(Died)
        assert (died.chunk, died.position, died.code) == (0, 0, "EDIED")
        crew.submit(1, 0)
        assert crew.values(1) == {(1, 0): 0}


def test_a_large_array_goes_there_and_back(engine):
    import numpy as np

    array = np.arange(1 << 18, dtype="f8")
    with Crew(engine, "x => ({x, sum: x.typedArray.reduce((a, b) => a + b)})") as crew:
        crew.submit(0, array)
        value = crew.values(1)[0, 0]
        np.testing.assert_array_equal(value["x"], array)
        assert value["sum"] == array.sum()


def test_chunks_that_an_engine_keeps_ahead_end_with_their_job(engine):
    job = compute.for_(range(20), ENDLESS, engine=engine)
    threading.Timer(1.0, job.cancel).start()
    with pytest.raises(compute.JobError, match="cancel"):
        job.exec()
    assert compute.map("x => x + 1", [1, 2], engine=engine) == [2, 3]


def test_an_executor_that_cancels_its_calls_ends_the_job():
    pool = ThreadPoolExecutor(1)
    source = "x => { const end = Date.now() + 400; while (Date.now() < end); return x }"
    job = compute.for_(range(3), source, engine=pool)
    job.on("result", lambda event: pool.shutdown(wait=False, cancel_futures=True))
    with pytest.raises(compute.JobError, match="the executor"):
        job.exec()
    pool.shutdown()


def test_what_a_killed_client_left_goes_with_the_next(tmp_path):
    script = """
from concurrent.futures import ProcessPoolExecutor
from bifrost import compute
if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        compute.map("x => { if (x < LAST) for (;;); return x }", range(2), engine=pool)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    (tmp_path / "killed.py").write_text(script.replace("LAST", "2"))
    (tmp_path / "next.py").write_text(script.replace("LAST", "0"))
    command = [sys.executable, str(tmp_path / "killed.py")]
    with subprocess.Popen(command, env=environment, start_new_session=True) as program:
        until(lambda: any(map(is_busy, sandboxed())))
        os.killpg(program.pid, signal.SIGKILL)  # also those that would clean up
    assert len(list(tmp_path.glob(".bifrost-lease-*"))) == 1
    mine = tmp_path / "bifrost-job-1.journal"
    mine.touch()
    command[-1] = str(tmp_path / "next.py")
    subprocess.run(command, env=environment, check=True)
    assert list(tmp_path.glob("*bifrost-*")) == [mine]


def _has_worked(process: psutil.Process) -> bool:
    """Whether it has done more than to start; also on a machine that has much to do."""
    try:
        return process.cpu_times().user > 1.5
    except psutil.Error:
        return False
