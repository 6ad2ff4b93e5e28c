"""Random work with random faults: whatever happens, each slice is delivered once or fails.

``BIFROST_STRESS_SECONDS`` says how long each engine has of it, ``BIFROST_STRESS_SEED`` which
faults; the seed stands in what is printed when a test fails.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from bifrost import RunTimeout, compute
from support import leaks
from support.workers import sandboxed

SECONDS = float(os.environ.get("BIFROST_STRESS_SECONDS", "4"))
SEED = int(os.environ.get("BIFROST_STRESS_SEED", "0")) or random.randrange(1 << 30)

#: What a slice does stands in its input: [number, what].
WORK = """async ([x, what]) => {
    switch (what) {
        case 'slow': { const end = Date.now() + 15; while (Date.now() < end); break; }
        case 'wait': await new Promise(done => setTimeout(done, 15)); break;
        case 'throw': throw new RangeError('slice ' + x);
        case 'loop': for (;;);
        case 'hog': { const all = []; for (;;) all.push(new Array(1e6).fill(x)); }
        case 'talk': console.log('slice', x); progress(0.5); work.emit('news', x); break;
    }
    return x * 2;
}"""
HARMLESS = ["quick"] * 20 + ["slow", "wait", "talk"]
#: What a slice that cannot be done ends with.
CODES = {"throw": {"EUNCAUGHT"}, "loop": {"ESLICETOOSLOW"}, "hog": {"EMEMORY", "ESLICETOOSLOW"}}
#: What any slice may end with whose workers are killed too often.
KILLED = {"EDIED"}


class Faults:
    """One run of chance on one engine."""

    def __init__(self, engine: compute.Engine, kill: Callable[[random.Random], None]) -> None:
        self.engine = engine
        self.kill = kill
        self.random = random.Random(SEED)
        self.over = threading.Event()
        self.jobs = 0

    def run(self, seconds: float, closes: bool) -> None:
        """Run jobs, several at once, until the time is up; faults come from another thread."""
        failures: list[BaseException] = []
        until = time.monotonic() + seconds

        def work(seed: int) -> None:
            chance = random.Random(seed)
            try:
                while time.monotonic() < until and not failures:
                    self.one_job(chance, closes)
            except BaseException as error:  # the test raises it
                failures.append(error)

        def disturb() -> None:
            chance = random.Random(SEED + 99)
            while not self.over.wait(chance.random() * 0.8):
                if closes and chance.random() < 0.1:
                    self.engine.close()
                else:
                    self.kill(chance)

        threads = [threading.Thread(target=work, args=[SEED + n]) for n in range(3)]
        for thread in [*threads, disturber := threading.Thread(target=disturb)]:
            thread.start()
        for thread in threads:
            thread.join()
        self.over.set()
        disturber.join()
        if failures:
            raise failures[0]
        assert self.jobs

    def one_job(self, chance: random.Random, closes: bool) -> None:
        count = chance.choice([0, 1, 2, 10, 100, 1000])
        plan = [chance.choice(HARMLESS) for _ in range(count)]
        for _ in range(chance.choice([0, 0, 1, 2])):
            if plan:
                plan[chance.randrange(count)] = chance.choice(list(CODES))
        job = compute.for_(
            list(enumerate(plan)) if chance.random() < 0.5 else iter(enumerate(plan)),
            WORK,
            engine=self.engine,
            slice_timeout=3.0,
            retries=chance.choice([0, 1, 3]),
            memory="200MB",
            on_error=chance.choice(["raise", "raise", "collect", "cancel"]),
        )
        seen: Counter[int] = Counter()
        job.on("result", lambda event: seen.update([event.index]))
        job.on("console", lambda event: None)
        if chance.random() < 0.15:
            threading.Timer(chance.random() * 0.3, job.cancel).start()
        end = self.drive(job, chance)
        self.jobs += 1
        assert max(seen.values(), default=1) == 1, "delivered twice"
        errors = job.errors
        assert not seen.keys() & errors.keys(), "delivered, and failed"
        values = {index: v for index, v in job.results.items() if index not in errors}
        assert values == {index: index * 2 for index in seen}
        for index, error in errors.items():
            code = getattr(error, "code", None) or error.properties["code"]
            assert code in KILLED | CODES.get(plan[index], {"ESLICETOOSLOW"}), error
        state = job.status.state
        if state == "complete":
            assert sorted([*seen, *errors]) == list(range(count)), "lost"
            assert all(index in errors for index in range(count) if plan[index] in CODES)
        else:
            assert state == "cancelled"
            assert isinstance(end, compute.JobError)
            allowed = {"ECANCELLED", "ETOOMANYERRORS"} | ({"EENGINE"} if closes else set())
            assert end.code in allowed, end

    def drive(self, job: compute.Job, chance: random.Random) -> object:
        """Run a job to its end in one of the ways there are, with interruptions."""
        try:
            if chance.random() < 0.3:
                items: Iterator[object] = job.as_completed() if chance.random() < 0.5 else iter(job)
                for _ in items:
                    if chance.random() < 0.02:
                        break  # it is left; perhaps everything has come
                else:
                    return None
                del items
                with contextlib.suppress(RuntimeError):
                    return job.resume()
                return None
            run = job.exec
            while True:
                timeout = chance.choice([None, chance.random() * 0.5])
                try:
                    return run(timeout=timeout)
                except RunTimeout:
                    run = job.resume
        except compute.JobError as error:
            return error


def kill_a_node(chance: random.Random) -> None:
    # One that has had time to start: if none could, the engine would rightly say so.
    nodes = [node for node in sandboxed() if time.time() - node.create_time() > 0.7]
    if nodes:
        with contextlib.suppress(psutil.Error):
            chance.choice(nodes).kill()


def kill_a_worker(cluster: Any, chance: random.Random) -> None:
    # Dask gives a worker up that dies while it starts.
    nanny = chance.choice(list(cluster.workers.values()))
    with contextlib.suppress(psutil.Error, AttributeError):
        worker = psutil.Process(nanny.pid)
        is_up = nanny.process.status.name == "running"
        if is_up and time.time() - worker.create_time() > 1.5:
            worker.kill()


def test_local() -> None:
    print(f"BIFROST_STRESS_SEED={SEED}")
    before = leaks.Belongings.now()
    engine = compute.LocalEngine(2)
    Faults(engine, kill_a_node).run(SECONDS, closes=True)
    assert compute.map("x => x", range(10), engine=engine) == list(range(10))
    engine.close()
    gc.collect()
    leaks.check_belongings(before)


def test_dask() -> None:
    import dask
    from distributed import LocalCluster

    print(f"BIFROST_STRESS_SEED={SEED}")
    with (
        # Those that happen to be starting anew so long after they were killed, too.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        engine = compute.engines.find(cluster)

        def kill(chance: random.Random) -> None:
            if chance.random() < 0.8:
                kill_a_node(chance)
            else:
                kill_a_worker(cluster, chance)

        Faults(engine, kill).run(SECONDS, closes=False)
        assert compute.map("x => x", range(10), engine=engine) == list(range(10))
        engine.close()


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """The tests look themselves: Dask keeps threads and descriptors."""
