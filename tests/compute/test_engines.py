"""Engines at bad moments: closed, forked, left and asked again."""

from __future__ import annotations

import os
import threading
import time

import pytest

from bifrost import compute
from bifrost.compute import local
from bifrost.compute.engine import Chunk, new_id
from bifrost.compute.events import Broken, Lost, Returned
from bifrost.compute.policy import Policy
from bifrost.compute.work import make_work

ENDLESS = "x => { for (;;); }"


class Instant:
    """Stands for a Node, to make the seats' own moments as frequent as they can be."""

    def __init__(self, *_):
        self.is_stopped = False

    def fits(self, *_):
        return True

    def assign(self, work):
        pass

    def run(self, parcels, observe):
        if self.is_stopped:
            raise local.WorkerDied(0, "ECANCELLED", "it was stopped")
        for position, parcel in enumerate(parcels):
            observe(position, "result", 1e-4, b"".join(parcel))

    def interrupt(self):
        self.is_stopped = True

    def close(self):
        pass


@pytest.fixture
def instant(monkeypatch):
    monkeypatch.setattr(local, "Worker", Instant)


class Told:
    """What a crew reports, for one chunk at a time."""

    def __init__(self):
        self.event = None
        self.came = threading.Event()

    def __call__(self, event):
        if isinstance(event, (Returned, Lost, Broken)):
            self.event = event
            self.came.set()

    def next(self):
        assert self.came.wait(30), "the chunk was never answered"
        self.came.clear()
        return self.event


def open_crew(engine, told):
    return engine.open(make_work(new_id(), "x => x", [], [], {"name": "test"}, Policy()), told)


def test_a_chunk_that_comes_when_its_seat_leaves_is_done(instant):
    engine = compute.LocalEngine(1, idle_seconds=0.0005)
    told = Told()
    crew = open_crew(engine, told)
    end = time.monotonic() + 1.5
    number = 0
    while time.monotonic() < end:
        time.sleep(number % 13 * 1e-4)  # around the time when the seat has waited enough
        crew.submit(Chunk(number, [[b"x"]]))
        assert told.next().chunk == number
        number += 1
    engine.close()


def test_a_cancel_that_comes_too_late_hits_no_other_chunk(instant):
    engine = compute.LocalEngine(1)
    told = Told()
    crew = open_crew(engine, told)
    for number in range(3000):
        crew.submit(Chunk(2 * number, [[b"x"]]))
        told.next()  # the seat may still be busy with it
        crew.cancel(2 * number)
        crew.submit(Chunk(2 * number + 1, [[b"x"]]))
        assert told.next().chunk == 2 * number + 1
    engine.close()


def test_who_waits_is_told_that_the_engine_was_closed():
    engine = compute.LocalEngine(2)
    job = compute.for_(range(4), "x => { console.log('begun'); for (;;); }", engine=engine)
    job.on("console", lambda event: engine.close())
    with pytest.raises(compute.JobError, match="the engine was closed"):
        job.exec()
    assert compute.map("x => x", range(3), engine=engine) == [0, 1, 2]
    engine.close()


def test_closing_and_beginning_at_once_hangs_nobody(instant):
    engine = compute.LocalEngine(2)
    is_over = threading.Event()

    def close():
        while not is_over.is_set():
            engine.close()
            time.sleep(0.0005)

    closer = threading.Thread(target=close)
    closer.start()
    try:
        for _ in range(300):
            told = Told()
            crew = open_crew(engine, told)
            crew.submit(Chunk(0, [[b"x"]]))
            assert isinstance(told.next(), (Returned, Broken))
            crew.close()
    finally:
        is_over.set()
        closer.join()
    engine.close()


def test_a_fork_has_workers_of_its_own():
    engine = compute.LocalEngine(2)
    source = "async x => { await new Promise(f => setTimeout(f, 200)); return x }"
    job = compute.for_(range(6), source, engine=engine)
    errors = []
    job.on("error", errors.append)
    items = job.as_completed()
    seen = [next(items)]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            engine.close()
            with pytest.raises(compute.JobError, match="forked"):
                list(items)
            if compute.map("x => x + 1", [1, 2], engine=engine) == [2, 3]:
                engine.close()
                status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    seen.extend(items)
    assert sorted(seen) == [(x, x) for x in range(6)]
    assert errors == []
    engine.close()


def test_times_may_be_as_long_as_one_likes():
    assert compute.map("x => x", [1], slice_timeout=1e12, timeout=float("inf")) == [1]


def test_many_functions_in_one_executor_leave_few_threads():
    before = threading.active_count()
    with compute.Executor() as pool:
        for number in range(8):
            assert pool.submit(f"() => {number}").result() == number
        assert len(pool._lanes) <= 5
        pool.submit("() => { throw new Error('no') }").exception()
    assert threading.active_count() <= before + 4  # seats keep a Node for the next job


def test_an_executor_of_a_closed_engine_answers_every_future():
    engine = compute.LocalEngine(1)
    pool = compute.Executor(engine)
    futures = [pool.submit(ENDLESS, number) for number in range(5)]
    while not engine._crews:
        time.sleep(0.01)
    engine.close()
    for future in futures:
        assert isinstance(future.exception(timeout=30), compute.JobError)
    assert pool.submit("x => x", 5).result() == 5
    pool.shutdown()
    engine.close()


def test_an_executor_works_on_after_a_fork():
    engine = compute.LocalEngine(1)
    pool = compute.Executor(engine)
    assert pool.submit("x => x", 1).result() == 1
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int(pool.submit("x => x", 2).result(timeout=30) != 2)
            pool.shutdown()
            engine.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.submit("x => x", 3).result() == 3
    pool.shutdown()
    engine.close()
