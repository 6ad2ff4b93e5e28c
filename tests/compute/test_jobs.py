"""Jobs in Python, on real workers."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import traceback

import numpy as np
import pandas as pd
import polars as pl
import psutil
import pytest

from bifrost import JSError, Node, RunTimeout, ShareError, compute
from support.workers import is_busy, sandboxed, until


def test_map_is_the_common_case():
    assert compute.map("x => x * x", range(20)) == [x * x for x in range(20)]
    assert compute.map("(x, a, b) => x * a + b", [1, 2], 10, 5) == [15, 25]
    assert compute.map("x => x", []) == []


def test_values_cross_as_they_do_elsewhere():
    values = [
        {"a": [1, None, 2.5, "ü"], "b": {"c": True}},
        np.arange(6, dtype="i4").reshape(2, 3),
        1 << 80,
        b"bytes",
        {1: 2, 3: 4},
        {"x", "y"},
        float("inf"),
    ]
    for value, came in zip(values, compute.map("x => x", values), strict=True):
        np.testing.assert_equal(came, value)
        assert type(came) is type(value)


def test_every_form_of_inputs():
    assert compute.for_(1, 5, "x => x").exec() == [1, 2, 3, 4, 5]
    assert compute.for_(0, 1, 0.25, "x => x").exec() == [0, 0.25, 0.5, 0.75, 1]
    assert compute.do(3, "x => x").exec() == [0, 1, 2]
    assert compute.map("x => x", (n for n in "abc")) == ["a", "b", "c"]
    assert compute.map("x => x", compute.MultiRange(range(2), range(2))) == [
        [0, 0], [0, 1], [1, 0], [1, 1],
    ]  # fmt: skip
    rows = np.arange(6.0).reshape(3, 2)
    assert compute.map("r => r.typedArray[0] + r.typedArray[1]", rows) == [1, 5, 9]
    chunks = compute.Chunks(np.arange(10), 4)
    assert compute.map("c => c.length", chunks) == [4, 4, 2]


def test_the_work_may_be_a_function_of_nodes(leaves_nothing):
    with Node() as node:
        function = node.eval("(function (x) { return [x, typeof require] })")
        assert compute.map(function, [1]) == [[1, "function"]]
        with pytest.raises(TypeError, match="no source"):
            compute.for_([1], node.eval("Math.max"))


def test_the_work_may_end_like_a_statement():
    assert compute.map("x => x + 1;\n", [1]) == [2]
    assert compute.map("function f(x) { return x + 1; } ; ", [1]) == [2]


@pytest.mark.parametrize("work", [len, 5, None, "", "  ", " ; "])
def test_what_is_no_work_function_is_refused(work):
    with pytest.raises(TypeError):
        compute.for_([1], work)


def test_unknown_rules_and_bad_values_are_named():
    with pytest.raises(TypeError, match="retrys"):
        compute.for_([1], "x => x", retrys=1)
    with pytest.raises(ValueError, match="memory='lots'"):
        compute.for_([1], "x => x", memory="lots")
    with pytest.raises(ValueError, match="'strict'"):
        compute.for_([1], "x => x", sandbox="loose")


def test_a_policy_is_a_policy():
    job = compute.for_([1], "x => { throw new Error('no') }", retries=5)
    with pytest.raises(TypeError, match=r"job\.policy\.replace\(retries=1\)"):
        job.policy = {"retries": 1}
    job.policy = job.policy.replace(on_error="collect")
    assert (job.policy.retries, job.policy.on_error) == (5, "collect")
    assert isinstance(job.exec()[0], JSError)


def test_events_come_in_their_order():
    job = compute.for_(["a", "b"], "x => { console.log(x); work.emit('seen', {x}); return x }")
    job.public.name = "letters"
    seen = []
    for name in ("accepted", "status", "result", "console", "work", "complete"):
        job.on(name, lambda *event, name=name: seen.append((name, *event)))
    results = job.exec()
    assert results == ["a", "b"]
    names = [name for name, *_ in seen]
    assert names[0] == "accepted"
    assert names[-1] == "complete"
    assert names.count("result") == names.count("console") == names.count("work") == 2
    last = [event for name, *event in seen if name == "status"][-1][0]
    assert (last.total, last.distributed, last.computed) == (2, 2, 2)
    for index, name in enumerate(names):
        if name == "result":
            assert names[index + 1] == "status"


def test_listeners_can_be_decorators_and_be_removed():
    job = compute.for_(range(3), "x => x")
    seen = []

    @job.on("Result")
    def listen(event):
        seen.append(event.index)
        job.off("result", listen)

    job.exec()
    assert len(seen) == 1
    with pytest.raises(ValueError, match="no event 'results'"):
        job.on("results", print)
    with pytest.raises(TypeError, match="must be a function"):
        job.on("result", "print")


def test_a_listener_that_nobody_would_await_is_refused():
    async def listen(event): ...

    job = compute.for_([1], "x => x")
    for one in (listen, functools.partial(listen, 1)):
        with pytest.raises(TypeError, match=r"plain function.*asyncio\.ensure_future"):
            job.on("result", one)
        with pytest.raises(TypeError, match="plain function"):
            job.on("result")(one)


def test_arguments_may_lie_elsewhere():
    remote = compute.RemoteDataSet("data:application/json,[1,2]", "data:text/plain,words")
    assert compute.map("(...all) => all", [7], 8, remote, 9) == [[7, 8, [1, 2], "words", 9]]
    with pytest.raises(TypeError, match="RemoteDataPattern cannot be an argument"):
        compute.map("x => x", [1], compute.RemoteDataPattern("http://a/{slice}", 3))
    with pytest.raises(OSError, match="cannot fetch"):
        compute.map("x => x", [1], compute.RemoteDataSet("http://127.0.0.1:1/"))


def test_what_slices_print_is_printed(capsys):
    compute.map("x => console.log('from', {x})", [1])
    assert capsys.readouterr().out.strip() == "from { x: 1 }"
    compute.map("() => { for (let i = 0; i < 2000; i++) console.warn('again') }", [1])
    assert capsys.readouterr().err.splitlines() == ["again", "again (2,000 times)"]


def test_results_as_they_come_and_in_order():
    source = "async x => { await new Promise(f => setTimeout(f, x)); return x }"
    job = compute.for_([400, 1, 2], source)
    if compute.LocalEngine().workers > 1:
        assert [value for _, value in job.as_completed()][-1] == 400
    assert list(compute.for_([30, 1, 2], source)) == [30, 1, 2]


def test_an_endless_generator_is_pulled_as_needed():
    pulled = itertools.count()
    job = compute.for_(pulled, "x => x * 2")
    job.collate_results = False
    assert list(itertools.islice(job, 50)) == list(range(0, 100, 2))
    assert next(pulled) < 60_000
    assert job.status.state == "suspended"
    job.cancel()


def test_one_failure_does_not_stop_the_others():
    job = compute.for_(
        range(6), "x => { if (x % 4 === 1) throw new RangeError('bad ' + x); return x }"
    )
    with pytest.raises(
        compute.JobError, match=r"2 of 6 slices failed; the first is number 1"
    ) as caught:
        job.exec()
    error = caught.value
    assert error.code == "ETOOMANYERRORS"
    assert sorted(error.errors) == [1, 5]
    assert isinstance(error.errors[1], JSError.RangeError)
    assert error.errors[5].message == "bad 5"
    assert "work" in error.errors[5].stack
    assert list(error.results.items()) == [(0, 0), (2, 2), (3, 3), (4, 4)]
    assert isinstance(error.__cause__, JSError)


def test_a_traceback_shows_the_work_functions_lines():
    source = "async x => {\n  const f = (y) => { throw new Error('ä') };\n  return f(x);\n}"
    with pytest.raises(compute.JobError) as caught:
        compute.map(source, [1])
    shown = "".join(traceback.format_exception(caught.value))
    assert "const f = (y) => { throw new Error('ä') };" in shown
    assert ", line 3, in " in shown
    first = "x => { throw new Error('one line') }"
    with pytest.raises(compute.JobError) as caught:
        compute.map(first, [1])
    assert f".js:1:{first.index('new') + 1})" in caught.value.errors[0].stack


def test_a_name_that_a_work_function_does_not_have_is_explained():
    with pytest.raises(compute.JobError) as caught:
        compute.map("x => x * scale", [1])
    for error in (caught.value.__cause__, caught.value.errors[0]):
        assert "a sandbox has no `scale`: give it as an argument" in error.__notes__[0]
    assert "`scale`" in "".join(traceback.format_exception(caught.value))
    with pytest.raises(compute.JobError) as caught:
        compute.map("x => { y; let y; }", [1])
    assert not hasattr(caught.value.__cause__, "__notes__")


_THROWS = "x => { throw new Error('mine') }"
_ENDLESS = "x => { for (;;); }"


async def _awaited(job):
    return await job


async def _looped(job):
    return [item async for item in job]


def _interrupted(job):
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    job.exec()


@pytest.mark.parametrize(
    ("fails", "kind"),
    [
        (lambda: compute.map(_THROWS, [1]), compute.JobError),
        (lambda: list(compute.for_([1], _THROWS)), compute.JobError),
        (lambda: list(compute.do(1, _THROWS).as_completed()), compute.JobError),
        (lambda: asyncio.run(_awaited(compute.for_([1], _THROWS))), compute.JobError),
        (lambda: asyncio.run(_looped(compute.for_([1], _THROWS))), compute.JobError),
        (lambda: compute.for_([1], _ENDLESS).exec(timeout=0.1), RunTimeout),
        (lambda: _interrupted(compute.for_([1], _ENDLESS)), KeyboardInterrupt),
        (lambda: compute.do(5, lambda n: n), TypeError),
        (lambda: compute.for_(5, "x => x"), TypeError),
        (lambda: compute.for_(5), TypeError),
        (lambda: compute.map("x => x", [print]), ShareError),
        (lambda: compute.map("x => x", [1], print), ShareError),
        (lambda: compute.for_([1], "x => x").on("results", print), ValueError),
        (lambda: compute.for_([1], "x => x").exec(journal=__file__), compute.JournalError),
    ],
)
def test_a_traceback_shows_the_users_own_lines(fails, kind):
    with pytest.raises(kind) as caught:
        fails()
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame for frame in frames if "/bifrost/compute/" in frame.f_code.co_filename]
    assert ours
    assert [frame for frame in ours if "__tracebackhide__" not in frame.f_locals] == []


@pytest.mark.parametrize(
    ("source", "place"),
    [("x => {\n  return x +;\n}", "work.js:2:13"), ("x => { return x +; }", "work.js:1:18")],
)
def test_a_syntax_error_says_where(source, place):
    with pytest.raises(compute.JobError, match=rf"SyntaxError: .*\({place}\)") as caught:
        compute.map(source, [1, 2])
    assert caught.value.code == "EWORK"
    assert isinstance(caught.value.__cause__, JSError.SyntaxError)
    shown = "".join(traceback.format_exception(caught.value.__cause__))
    assert "return x +;" in shown


def test_errors_can_be_collected_or_cancel_the_job():
    source = "x => { if (x === 1) throw new Error('one'); return x }"
    results = compute.for_(range(3), source, on_error="collect").exec()
    assert isinstance(results[1], JSError)
    assert (results[0], results[2]) == (0, 2)
    with pytest.raises(compute.JobError, match="slice 1 failed"):
        compute.for_(range(1000), source, on_error="cancel").exec()


def test_an_exception_is_tried_again_only_if_asked_for():
    source = "x => { throw new Error('always') }"
    tries = []
    job = compute.for_([0], source, error_retries=2).on("error", tries.append)
    with pytest.raises(compute.JobError, match="tried 3 times"):
        job.exec()
    assert len(tries) == 3


def test_inputs_and_results_that_cannot_cross_are_named():
    with pytest.raises(ShareError, match=r"inputs\[2\]\.a"):
        compute.map("x => x", [1, 2, {"a": print}])
    with pytest.raises(compute.JobError, match=r"\$\.f") as caught:
        compute.map("x => ({f() {}})", [1])
    assert caught.value.errors[0].name == "ShareError"
    with pytest.raises(ShareError, match=r"arguments\[0\]"):
        compute.map("x => x", [1], print)
    with pytest.raises(ShareError, match=r"inputs\[1\]: ndarray of 1,0.* send it in parts"):
        compute.map("x => x", [1, np.zeros(1 << 30, "u1")])


def test_tables_in_values_are_refused_with_what_to_send_instead():
    frame = pd.DataFrame({"a": [1, 2]})
    for value, path in [
        (frame, r"\[0\]"),
        (frame["a"], r"\[0\]"),
        (frame.groupby("a"), r"\[0\]"),
        (pl.from_pandas(frame), r"\[0\]"),
        ({"a": [frame["a"]]}, r"\[0\]\.a\[0\]"),
    ]:
        with pytest.raises(ShareError, match=rf'inputs{path}: .*to_dict\("records"\)'):
            compute.map("x => x", [value])
        with pytest.raises(ShareError, match=rf"arguments{path}: .*to_numpy"):
            compute.map("x => x", [1], value)
    with pytest.raises(ShareError, match=r"inputs\[0\]\[1\].*to_list"):
        compute.map("x => x", frame.groupby("a"))


def test_inputs_that_raise_end_the_job():
    def inputs():
        yield 1
        raise KeyError("mine")

    job = compute.for_(inputs(), "x => x")
    with pytest.raises(KeyError, match="mine"):
        job.exec()
    assert job.status.state == "cancelled"


def test_a_listener_that_raises_stops_the_job_which_goes_on():
    job = compute.for_(range(20), "x => x")

    @job.on("result")
    def once(event):
        job.off("result", once)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        job.exec()
    assert job.status.state == "suspended"
    assert job.resume() == list(range(20))


def test_time_that_is_up_suspends():
    source = "async x => { if (x) await new Promise(f => setTimeout(f, 700)); return x }"
    job = compute.for_([0, 1], source)
    with pytest.raises(RunTimeout, match=r"job\.resume"):
        job.exec(timeout=0.4)
    assert list(job.results) == [0]
    assert job.resume() == [0, 1]
    with pytest.raises(RuntimeError, match="complete"):
        job.resume()


def test_time_that_is_up_for_map_which_has_no_job_to_resume():
    with pytest.raises(RunTimeout, match=r"0 of 1 slices .*a job of compute\.for_ goes on"):
        compute.map("() => { for (;;); }", [1], timeout=0.2)


def test_a_job_runs_once():
    job = compute.for_([1], "x => x")
    job.exec()
    with pytest.raises(RuntimeError, match=r"runs once; its results are in job\.results; make"):
        job.exec()


def test_cancel_from_another_thread():
    job = compute.for_(range(100), "async x => { if (x > 4) for (;;); return x }")
    threading.Timer(1.0, job.cancel, ["enough"]).start()
    with pytest.raises(compute.JobError, match="enough") as caught:
        job.exec()
    assert caught.value.code == "ECANCELLED"
    assert list(job.results) == [0, 1, 2, 3, 4]


def test_cancel_before_and_between():
    job = compute.for_(range(3), "x => x")
    reasons = []
    job.on("cancel", lambda code, reason: reasons.append((code, reason)))
    job.cancel("never mind")
    assert reasons == [("ECANCELLED", "never mind")]
    assert job.status.state == "cancelled"
    with pytest.raises(compute.JobError, match="never mind"):
        job.exec()  # a thread that comes too late to hear it
    with pytest.raises(RuntimeError, match="a job runs once"):
        job.exec()
    job = compute.for_(itertools.count(), "x => x")
    assert next(iter(job)) == 0
    job.cancel()
    with pytest.raises(RuntimeError, match="cancelled"):
        job.resume()


def test_a_job_that_never_ran_is_cancelled_without_what_it_needs():
    remote = compute.RemoteDataSet("http://127.0.0.1:1/")
    job = compute.for_([1], "x => x", remote, print).requires("no/where")
    job.cancel()
    assert job.status.state == "cancelled"


def test_in_a_coroutine_it_is_awaited_and_the_loop_goes_on():
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        source = "async x => { await new Promise(f => setTimeout(f, 100)); return x }"
        results = await compute.for_(range(4), source).exec()
        both = await asyncio.gather(
            compute.for_([1], "x => x").exec(), compute.for_([2], "x => x").exec()
        )
        ticking.cancel()
        items = [item async for item in compute.for_(["ab"], "x => x")]
        return results, both, ticks, items

    results, both, ticks, items = asyncio.run(main())
    assert results == [0, 1, 2, 3]
    assert both == [[1], [2]]
    assert ticks > 5
    assert items == [(0, "ab")]


@pytest.mark.parametrize(
    "all_of",
    [
        lambda jobs: jobs,  # awaitables as they are
        lambda jobs: map(asyncio.ensure_future, jobs),
    ],
)
def test_jobs_are_awaitables_wherever_that_is_said(all_of):
    async def main():
        jobs = [compute.for_([n], "x => x * 2") for n in range(3)]
        assert await compute.for_([9], "x => x") == [9]
        return await asyncio.gather(*all_of(jobs))

    assert asyncio.run(main()) == [[0], [2], [4]]


def test_exec_is_awaited_in_what_a_coroutine_has_inline():
    async def main():
        def jobs():
            return [compute.for_([n], "x => x") for n in range(2)]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job.exec()) for job in jobs()]
        return [
            [task.result() for task in tasks],
            await asyncio.gather(*[job.exec() for job in jobs()]),
            await asyncio.gather(*(job.exec() for job in jobs())),
            await asyncio.gather(*{n: job.exec() for n, job in enumerate(jobs())}.values()),
            await asyncio.gather(*map(lambda job: job.exec(), jobs())),  # noqa: C417
            [await job.exec() for job in jobs()],
            list(map(_exec, jobs())),  # a function of its own waits
        ]

    def _exec(job):
        return job.exec()

    assert asyncio.run(main()) == [[[0], [1]]] * 7
    assert [compute.for_([n], "x => x").exec() for n in range(2)] == [[0], [1]]


def test_inputs_may_come_asynchronously():
    async def inputs():
        for n in range(5):
            await asyncio.sleep(0.01)
            yield n

    async def main():
        return await compute.for_(inputs(), "x => x + 1").exec()

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]
    assert compute.map("x => x + 1", inputs()) == [1, 2, 3, 4, 5]


def test_a_cancelled_task_stops_the_workers():
    async def main():
        job = compute.for_(range(4), "x => { for (;;); }")
        task = asyncio.create_task(_exec(job))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return job

    async def _exec(job):
        return await job.exec()

    assert asyncio.run(main()).status.state == "suspended"


def test_ctrl_c_stops_and_resume_goes_on():
    script = """
from bifrost import compute
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
source = "async x => { await new Promise(f => setTimeout(f, x)); return x }"
job = compute.for_([3, 0, 1500], source)
threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    job.exec()
except KeyboardInterrupt:
    print("interrupted", job.status.state, sorted(job.results))
print(list(job.resume()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["interrupted suspended [0, 3]", "[3, 0, 1500]"], done.stderr


def test_a_slice_that_kills_its_worker_is_given_up(capfd):
    # The memory that one slice takes is its worker's end, each time.
    source = """x => {
        if (x === 3) { const all = []; for (;;) all.push(new Array(1e6).fill(x)); }
        return x;
    }"""
    job = compute.for_(range(8), source, retries=1, memory="256MB")
    with pytest.raises(compute.JobError, match=r"1 of 8 slices failed.*tried 2 times") as caught:
        job.exec()
    assert list(caught.value.errors) == [3]
    assert caught.value.errors[3].code == "EMEMORY"
    assert list(job.results) == [0, 1, 2, 4, 5, 6, 7]


def test_time_limits_are_the_users():
    with pytest.raises(compute.JobError) as caught:
        compute.for_([0], "x => { for (;;); }", slice_timeout=0.3, retries=0).exec()
    assert caught.value.errors[0].code == "ESLICETOOSLOW"
    silent = "async x => { progress(0); await new Promise(f => setTimeout(f, 5000)); }"
    with pytest.raises(compute.JobError) as caught:
        compute.for_([0], silent, progress_timeout=0.3, retries=0).exec()
    assert caught.value.errors[0].code == "ENOPROGRESS"
    steady = """async x => {
        for (let i = 0; i < 6; i++) { await new Promise(f => setTimeout(f, 150)); progress(); }
    }"""
    compute.for_([0], steady, progress_timeout=0.7).exec()


def test_workers_that_are_killed_cost_nothing_but_time():
    job = compute.for_(
        range(300), "x => { const end = Date.now() + 5; while (Date.now() < end); return x }"
    )
    seen = []

    @job.on("result")
    def kill(event):
        seen.append(event.index)
        if len(seen) in (20, 60, 100):
            sandboxed()[0].kill()

    assert job.exec() == list(range(300))
    assert sorted(seen) == list(range(300))


def test_a_journal_lets_another_python_go_on(tmp_path):
    script = """
import sys
from bifrost import compute
source = "x => { const end = Date.now() + 20; while (Date.now() < end); return [x] }"
job = compute.for_(range(40), source)
count = 0
@job.on("result")
def die(event):
    global count
    count += 1
    if count == 10 and sys.argv[2] == "die":
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
computed = []
job.on("result", lambda event: event.seconds and computed.append(event.index))
print(job.exec(journal=sys.argv[1]) == [[x] for x in range(40)], len(computed))
"""
    journal = tmp_path / "job.journal"
    run = [sys.executable, "-c", script, str(journal)]
    first = subprocess.run([*run, "die"], capture_output=True, text=True, timeout=60)
    assert first.returncode == -signal.SIGKILL
    with journal.open("ab") as file:
        file.write(b"torn")
    second = subprocess.run([*run, "live"], capture_output=True, text=True, timeout=60)
    assert second.stdout.split() == ["True", second.stdout.split()[1]], second.stderr
    assert 1 <= int(second.stdout.split()[1]) <= 30
    third = subprocess.run([*run, "live"], capture_output=True, text=True, timeout=60)
    assert third.stdout.split() == ["True", "0"], third.stderr
    with pytest.raises(compute.JournalError, match="another job"):
        compute.for_([1], "x => 1").exec(journal=journal)
    work = compute.for_(range(40), "x => 1")
    with pytest.raises(compute.JournalError, match="no journal"):
        work.exec(journal=__file__)


def test_a_journal_goes_with_its_inputs(tmp_path):
    journal = tmp_path / "journal"
    compute.for_([1, 2], "x => x").exec(journal=journal)
    with pytest.raises(compute.JournalError, match="input 1 "):
        compute.for_([1, 3], "x => x").exec(journal=journal)
    with pytest.raises(compute.JournalError, match="end before number 1, "):
        compute.for_([1], "x => x").exec(journal=journal)
    assert compute.for_([1, 2], "x => x").exec(journal=journal) == [1, 2]


@pytest.mark.parametrize("changed", [[1, 3, 3], [1]])
def test_a_journal_of_inputs_that_were_not_counted(tmp_path, changed):
    journal = tmp_path / "journal"
    compute.for_([1, 2], "x => x").exec(journal=journal)
    job = compute.for_(iter(changed), "x => x")
    with pytest.raises(compute.JournalError, match="one sequence of inputs"):
        job.exec(journal=journal)
    with pytest.raises(compute.JobError, match="its inputs raised"):  # some are lost
        job.resume()

    async def inputs():
        for item in changed:
            yield item

    async def main():
        await compute.for_(inputs(), "x => x").exec(journal=journal)

    with pytest.raises(compute.JournalError, match="one sequence of inputs"):
        asyncio.run(main())
    assert compute.for_([1, 2], "x => x").exec(journal=journal) == [1, 2]


def test_the_executor():
    with compute.Executor() as pool:
        futures = [pool.submit("(a, b) => a ** b", n, 2) for n in range(30)]
        assert [future.result() for future in futures] == [n * n for n in range(30)]
        assert list(pool.map("(a, b) => a + b", [1, 2], [3, 4])) == [4, 6]
        failed = pool.submit("() => { throw new TypeError('no') }")
        assert isinstance(failed.exception(), JSError.TypeError)
        assert pool.submit("() => 5").result() == 5
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit("() => 5")


def test_an_executor_that_is_forgotten_does_not_hold_python(tmp_path):
    script = """
from bifrost import compute
pool = compute.Executor()
print(pool.submit("() => 5").result())
pool.submit("() => { for (;;); }")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_nothing_outlives_a_python_that_is_killed():
    script = """
import threading, time
from bifrost import compute
threading.Thread(target=lambda: compute.map("x => { for (;;); }", range(4)), daemon=True).start()
print("ready", flush=True); time.sleep(60)
"""
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with program:
        assert program.stdout.readline() == "ready\n"
        python = psutil.Process(program.pid)
        until(lambda: any(map(is_busy, sandboxed(python))))
        nodes = python.children(recursive=True)
        program.kill()
    until(lambda: not any(child.is_running() for child in nodes), 10)


def test_importing_starts_nothing():
    script = """
import sys, threading, psutil
from bifrost import compute
print(threading.active_count(), psutil.Process().children(), "distributed" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "1 [] False\n", done.stderr


def test_a_bar_is_shown_where_somebody_looks(capfd):
    compute.map(
        "async x => { await new Promise(f => setTimeout(f, 300)); }", range(6), progress=True
    )
    shown = capfd.readouterr().err
    assert "6/6" in shown
    assert "workers=" in shown
    compute.map("x => x", range(3))
    assert capfd.readouterr().err == ""


def test_a_job_that_javascript_is_shown_does_not_run():
    job = compute.for_(range(3), "x => x")
    source = (
        "const sum = async (j) => { let n = 0; for await (const [, x] of j) n += x; return n }; sum"
    )
    with Node() as node:
        node.eval("(j) => String(j.id)")(job)
        assert job.status.state == "new"
        assert node.eval(source)(job).result() == 3
