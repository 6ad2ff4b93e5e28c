"""A job that is left, interrupted, asked and fed at bad moments."""

from __future__ import annotations

import asyncio
import gc
import itertools
import signal
import subprocess
import sys
import threading

import pytest

from bifrost import compute


def test_a_loop_that_was_left_is_gone_on_with():
    job = compute.for_(range(30), "x => x")
    seen = []
    for stop in (5, 12, 100):
        for value in job:
            seen.append(value)
            if len(seen) == stop:
                break
    assert seen == list(range(30))
    with pytest.raises(RuntimeError, match="runs once"):
        next(iter(job))


def test_what_was_not_handed_out_is_when_the_job_is_done():
    job = compute.for_(range(5), "x => x")
    items = job.as_completed()
    seen = [next(items)]
    while job.status.state == "running":
        job._driver.advance(None)  # its engine is done before its results are taken
    items.close()
    seen.extend(job.as_completed())
    assert sorted(seen) == [(x, x) for x in range(5)]


def test_a_loop_that_another_thread_collects_stops_its_workers():
    engine = compute.LocalEngine(2)
    job = compute.for_(itertools.count(), "x => x", engine=engine)

    def leave():
        cycle = [job.as_completed()]
        cycle.append(cycle)
        next(cycle[0])

    gc.disable()
    try:
        leave()
        collector = threading.Thread(target=gc.collect)
        collector.start()
        collector.join()
    finally:
        gc.enable()
    for thread in threading.enumerate():
        if thread.name == "bifrost-leave":
            thread.join()
    assert job.status.state == "suspended"
    assert len(list(itertools.islice(job.as_completed(), 20))) == 20
    engine.close()


def test_threads_that_want_the_same_job_get_it_once():
    job = compute.for_(range(20), "x => x")
    barrier = threading.Barrier(4)
    outcomes = []

    def run():
        barrier.wait()
        try:
            outcomes.append(list(job.exec()))
        except RuntimeError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one for one in outcomes if isinstance(one, list)] == [list(range(20))]
    assert all("runs" in one or "running" in one for one in outcomes if isinstance(one, str))


def test_a_job_in_the_inputs_of_another_and_in_its_listeners():
    engine = compute.LocalEngine(1)
    nested = []

    def inputs():
        for x in range(3):
            yield from compute.map("x => x + 1", [x], engine=engine)

    job = compute.for_(inputs(), "x => x * 10", engine=engine)
    job.on("result", lambda event: nested.extend(compute.map("x => -x", [event.result])))
    assert job.exec() == [10, 20, 30]
    assert sorted(nested) == [-30, -20, -10]
    engine.close()


def test_asynchronous_inputs_may_wait_for_results():
    async def main():
        answers = asyncio.Queue()

        async def inputs():
            yield 1
            for _ in range(4):
                yield await answers.get() + 1

        job = compute.for_(inputs(), "x => x * 2")
        job.on("result", lambda event: answers.put_nowait(event.result))
        return await job.exec()

    assert asyncio.run(main()) == [2, 6, 14, 30, 62]


def test_asynchronous_inputs_survive_an_exec_that_is_given_up():
    async def main():
        go_on = asyncio.Event()

        async def inputs():
            yield 0
            await go_on.wait()
            yield 1

        job = compute.for_(inputs(), "x => x")
        first = asyncio.Event()
        job.on("result", lambda event: first.set())
        task = asyncio.ensure_future(_exec(job))
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.status.state == "suspended"
        with pytest.raises(compute.jobs.RunTimeout):
            await job.resume(timeout=0.01)
        go_on.set()
        return await job.resume()

    async def _exec(job):
        return await job.exec()

    assert asyncio.run(main()) == [0, 1]


def test_ctrl_c_at_any_moment_loses_nothing():
    script = """
import os, random, signal, threading, time
from bifrost import compute
seen = []
job = compute.for_(range(30_000), "x => x", chunk_seconds=0.002)
job.on("result", lambda event: seen.append(event.index))
over = threading.Event()
def disturb():
    while not over.is_set():
        time.sleep(random.random() * 0.3)
        os.kill(os.getpid(), signal.SIGINT)
signals = 0
results = None
run = job.exec
threading.Thread(target=disturb, daemon=True).start()
while True:
    try:
        results = run()
        break
    except KeyboardInterrupt:
        signals += 1
        run = job.resume if job.status.state != "new" else job.exec
        if signals == 12:
            over.set()
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(results == list(range(30_000)), len(seen) - len(set(seen)), job.status.state)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["True", "0", "complete"], done.stderr


@pytest.mark.parametrize("how", ["pass", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_python_ends_while_jobs_run(how):
    script = f"""
import os, signal, sys, threading
from bifrost import compute
job = compute.for_(range(100000), "x => {{ console.log(x); return x }}")
job.on("console", lambda event: None)
items = job.as_completed()
for _ in range(50):
    next(items)
begun = threading.Event()
other = compute.for_(range(4), "x => {{ console.log('x'); for (;;); }}")
other.on("console", lambda event: begun.set())
threading.Thread(target=other.exec, daemon=True).start()
begun.wait()
{how}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == (-signal.SIGTERM if "SIGTERM" in how else 0)


def test_a_journal_has_one_writer_at_a_time(tmp_path):
    path = tmp_path / "journal"
    job = compute.for_(range(100), "x => x")

    @job.on("result")
    def another(event):
        job.off("result", another)
        with pytest.raises(compute.JournalError, match="being written"):
            compute.for_(range(100), "x => x").exec(journal=path)
        raise LookupError("enough")

    with pytest.raises(LookupError):
        job.exec(journal=path)
    assert compute.for_(range(100), "x => x").exec(journal=path) == list(range(100))
    assert job.resume() == list(range(100))
    assert compute.for_(range(100), "x => x").exec(journal=path) == list(range(100))


def test_a_journal_is_never_read_wrong(tmp_path):
    path = tmp_path / "journal"
    inputs = [1, "two", [3.5]]
    whole = compute.for_(inputs, "x => [x]").exec(journal=path)
    content = path.read_bytes()
    work = compute.work.make_work("x" * 22, "x => [x]", [], [], {}, compute.Policy())
    expected = list(compute.jobs.Journal(path, work).results())
    assert len(expected) == len(whole)
    damaged = itertools.chain(
        (content[:size] for size in range(len(content))),
        (
            content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
            for at in range(len(content))
            for flip in (1, 0x80, 0xFF)
        ),
    )
    for data in damaged:
        path.write_bytes(data)
        try:
            journal = compute.jobs.Journal(path, work)
        except compute.JournalError:
            assert path.read_bytes() == data  # what is not ours stays as it is
            continue
        with_results = list(journal.results())
        journal.close()
        assert all(item in expected for item in with_results)
        again = compute.jobs.Journal(path, work)
        assert list(again.results()) == with_results
        again.close()


@pytest.mark.parametrize("text", [b'{"format": "something of mine"}', b"\0" * 50])
def test_a_file_that_is_no_journal_stays_as_it_is(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_bytes(text)
    with pytest.raises(compute.JournalError, match="no journal"):
        compute.for_([1], "x => x").exec(journal=path)
    assert path.read_bytes() == text
