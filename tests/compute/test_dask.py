"""Jobs on a real Dask cluster, and what may happen to one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import cloudpickle
import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from bifrost import BifrostError, compute
from bifrost.compute.dask import DaskEngine
from support.workers import is_busy, sandboxed, until

BUSY = "x => { const end = Date.now() + 20; while (Date.now() < end); return x.length ?? x }"
#: Inputs of a job, and a further argument: what goes within Dask's tasks, and what does not.
SIZES = pytest.mark.parametrize(
    ("inputs", "argument"),
    [(range(150), ""), (["x" * (50_000 + n) for n in range(150)], "z" * 200_000)],
    ids=["small", "large"],
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def engine(cluster: LocalCluster) -> Iterator[DaskEngine]:
    engine = compute.engines.find(cluster)
    yield engine
    engine.close()


def test_the_same_code_on_another_engine(engine):
    work, inputs = "(x, y) => ({x, y})", [1, "a", np.arange(3)]
    here = compute.map(work, inputs, {"k": 5})
    there = compute.map(work, inputs, {"k": 5}, engine=engine)
    np.testing.assert_equal(there, here)


HIDING = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "bifrost":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
from distributed.cli.dask_worker import main
main()
"""


def test_workers_without_bifrost_are_a_clear_error():
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
        command = [sys.executable, "-c", HIDING, cluster.scheduler_address, *options]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as worker:
            engine = compute.engines.find(cluster)
            assert compute.engines.find(cluster) is engine
            engine.client.wait_for_workers(1)
            with pytest.raises(BifrostError, match="install this version of Bifrost"):
                compute.map("x => x", [1], engine=cluster)
            engine.close()
            worker.kill()


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_job_waits_for_workers_that_are_not_there_yet(size):
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=None) as cluster:
        job = compute.for_(range(3), "x => x", "z" * size, engine=cluster)
        numbers = []

        @job.on("workers")
        def scale(number):
            numbers.append(number)
            if number == 0:
                cluster.scale(1)

        assert job.exec(timeout=60) == [0, 1, 2]
        assert numbers[0] == 0
        compute.engines.find(cluster).close()


def test_use_chooses_it(cluster):
    before = compute.current()
    try:
        engine = compute.use("dask", cluster.scheduler_address)
        assert "Dask" in engine.name
        assert compute.map("x => x + 1", range(3)) == [1, 2, 3]
        engine.close()
        with Client(cluster) as client:
            compute.use(client)
            assert compute.map("x => x + 2", range(3)) == [2, 3, 4]
            assert client.status == "running"
    finally:
        compute.use(before)


def test_what_slices_say_comes_while_they_run(engine):
    source = """async x => {
        console.log('begun'); progress(0.5); work.emit('half', x);
        await new Promise(f => setTimeout(f, 1500));
        console.log('done'); return x;
    }"""
    said = []
    job = compute.for_([7], source, engine=engine)
    began = time.monotonic()
    for name in ("console", "work"):
        job.on(name, lambda event: said.append((time.monotonic() - began, event)))
    results = job.exec()
    ended = time.monotonic() - began
    assert results == [7]
    assert [getattr(event, "message", event.index) for _, event in said] == ["begun", 0, "done"]
    assert said[0][0] < ended - 1


def test_jobs_leave_no_trace_on_the_scheduler(engine):
    def traces(dask_scheduler):
        return len(dask_scheduler.get_events()), len(dask_scheduler.tasks)

    def run():
        job = compute.for_(range(3), "x => { console.log('said'); return x }", engine=engine)
        job.on("console", seen.append)
        assert job.exec() == [0, 1, 2]

    seen = []
    run()
    until(lambda: engine.client.run_on_scheduler(traces)[1] == 0)
    before = engine.client.run_on_scheduler(traces)
    for _ in range(5):
        run()
    assert len(seen) == 18
    until(lambda: engine.client.run_on_scheduler(traces) == before)


@SIZES
def test_a_worker_that_is_killed_costs_nothing_but_time(cluster, engine, inputs, argument):
    job = compute.for_(inputs, BUSY, argument, engine=engine)
    seen = []

    @job.on("result")
    def kill(event):
        seen.append(event.index)
        if len(seen) == 30:
            pid = next(iter(engine.client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)

    assert job.exec() == [len(x) if isinstance(x, str) else x for x in inputs]
    assert sorted(seen) == list(range(150))


def test_large_data_does_not_stay(engine):
    def logged(dask_scheduler):
        comms = dask_scheduler.stream_comms.values()
        return len(cloudpickle.dumps([list(comm.recent_message_log) for comm in comms]))

    before = engine.client.run_on_scheduler(logged)
    inputs = (np.full(200_000, x, dtype="u1") for x in range(100))
    job = compute.for_(inputs, "(x, y) => x.get(7) + y.length", "z" * 100_000, engine=engine)
    assert job.exec() == [x + 100_000 for x in range(100)]
    assert engine.client.run_on_scheduler(logged) < before + 1_000_000


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_input_that_kills_dasks_workers_is_given_up(tmp_path, size):
    (tmp_path / "poison.py").write_text(POISON)
    with (
        dask.config.set({"distributed.worker.preload": [str(tmp_path / "poison.py")]}),
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        job = compute.for_(["POISON" + "x" * size], "x => x.length", engine=cluster, retries=0)
        with pytest.raises(compute.JobError, match="the Dask workers died of it") as caught:
            job.exec(timeout=90)
        assert caught.value.errors[0].code == "EDIED"
        compute.engines.find(cluster).close()


#: Runs in Dask's workers.
POISON = """
import os
import bifrost.compute.hosting as hosting

run = hosting.Host.run

def poisoned(self, work, job, parcels, *rest):
    if parcels and any(b"POISON" in bytes(parcel) for parcel in parcels):
        os._exit(1)
    return run(self, work, job, parcels, *rest)

hosting.Host.run = poisoned
"""


def test_workers_may_join_late(cluster, engine):
    job = compute.for_(range(150), BUSY, engine=engine)
    capacities = []
    job.on("workers", capacities.append)
    threading.Timer(0.5, cluster.scale, [3]).start()
    assert job.exec() == list(range(150))
    cluster.scale(2)
    assert max(capacities) >= 2


def test_a_poisoned_slice_is_given_up_and_the_cluster_lives(engine):
    source = "x => { if (x === 2) for (;;); return x }"
    job = compute.for_(range(5), source, engine=engine, slice_timeout=0.5, retries=1)
    with pytest.raises(compute.JobError, match="tried 2 times") as caught:
        job.exec()
    assert caught.value.errors[2].code == "ESLICETOOSLOW"
    assert list(job.results) == [0, 1, 3, 4]
    assert compute.map("x => x", [1], engine=engine) == [1]


def test_cancel_frees_the_workers(engine):
    job = compute.for_(range(50), "x => { for (;;); }", engine=engine)
    threading.Timer(1.5, job.cancel).start()
    with pytest.raises(compute.JobError, match="cancel"):
        job.exec()
    assert compute.map("x => x", [1, 2], engine=engine, timeout=30) == [1, 2]


def test_a_client_that_is_killed_leaves_nothing_running(cluster):
    script = f"""
from bifrost import compute
compute.use("dask", {cluster.scheduler_address!r})
job = compute.for_(range(4), "x => {{ console.log('busy'); for (;;); }}")
job.on("console", lambda event: print("busy", flush=True))
job.exec()
"""
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with program:
        assert program.stdout.readline() == "busy\n"
        program.kill()
    until(lambda: not any(map(is_busy, sandboxed())), 30)


def free_port() -> int:
    """Not one that a connection may take while the scheduler that had it is gone."""
    while True:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", random.randrange(15_000, 30_000)))
            return int(free.getsockname()[1])


@SIZES
def test_a_scheduler_that_is_killed_and_comes_back(inputs, argument):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"

    def scheduler():
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        return subprocess.Popen(
            [*command, "--port", str(port), "--no-dashboard"], stderr=subprocess.DEVNULL
        )

    def worker():
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
        return subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.DEVNULL)

    programs = [scheduler(), worker()]
    engine = None
    try:
        engine = compute.engines.find("dask", address)
        job = compute.for_(inputs, BUSY, argument, engine=engine)
        seen = []

        @job.on("result")
        def kill(event):
            seen.append(event.index)
            if len(seen) == 20:
                programs[0].kill()
                programs[0].wait()
                programs.append(scheduler())
                programs.append(worker())

        job.exec(timeout=90)
        assert sorted(seen) == list(range(150))
    finally:
        if engine is not None:
            engine.close()
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait(20)
