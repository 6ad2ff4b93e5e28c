"""One sandboxed Node: what work functions find in it, what comes of them, and how it ends."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil
import pytest

from bifrost.compute.engine import Work, new_id
from bifrost.compute.modules import Module
from bifrost.compute.policy import Policy
from bifrost.compute.worker import Worker, WorkerDied
from bifrost.protocol import parcels


def parcel(value: Any) -> bytes:
    return b"".join(parcels.pack(value))


class Told(list[tuple[Any, ...]]):
    """What was observed: (position, what, details...)."""

    def __call__(self, position: int, what: str, *details: Any) -> None:
        self.append((position, what, *details))

    @property
    def results(self) -> list[Any]:
        return [parcels.unpack(bytearray(d[1])) for _, what, *d in self if what == "result"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [details[0] for _, what, *details in self if what == "error"]

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [tuple(details) for _, what, *details in self if what == kind]


def start(
    source: str,
    arguments: Sequence[Any] = (),
    modules: Sequence[tuple[str, str]] = (),
    public: Any = None,
    **rules: Any,
) -> Worker:
    policy = Policy(**rules)
    worker = Worker(policy.sandbox, policy.memory)
    made = tuple(Module(name, text, "1.0.0") for name, text in modules)
    worker.assign(Work(new_id(), source, parcel([*arguments]), made, parcel(public or {}), policy))
    return worker


def run(source: str, inputs: Sequence[Any] = (1,), **more: Any) -> Told:
    told = Told()
    with start(source, **more) as worker:
        worker.run([parcels.pack(value) for value in inputs], told)
    return told


def test_slices_are_answered_in_order() -> None:
    told = run("(x, y, z) => x * y + z", range(100), arguments=(10, 0.5))
    assert told.results == [x * 10 + 0.5 for x in range(100)]
    assert [position for position, *_ in told] == list(range(100))


def test_values_arrive_as_they_were_sent() -> None:
    value = {
        "array": np.arange(6.0).reshape(2, 3),
        "bytes": b"\x00\xff" * 50_000,
        "texts": ["ü", "\ud800", "x" * 70_000, "日本" * 20_000],
        "map": {1: {2, 3}},
        "numbers": [1, -1, 2**40, -(2**40), 2**70, 0.1, float("inf")],
        "nothing": None,
    }
    (back,) = run("(x) => x", [value]).results
    assert np.array_equal(back.pop("array"), value.pop("array"))  # type: ignore[arg-type]
    assert back == value


def test_more_than_the_pipes_hold() -> None:
    arrays = [np.full(500_000, n, np.float64) for n in range(8)]
    told = run("(a) => a.typedArray.map((x) => x + 1)", arrays)
    assert [array[0] for array in told.results] == list(range(1, 9))


def test_a_worker_runs_many_chunks_of_one_job() -> None:
    with start("(x) => (globalThis.n = (globalThis.n ?? 0) + 1)") as worker:
        for _ in range(3):
            told = Told()
            worker.run([parcels.pack(0), parcels.pack(0)], told)
        assert told.results == [5, 6]
        assert worker.facts["pid"] == worker.pid


def test_work_is_sloppy_as_the_guide_has_it() -> None:
    assert run("async () => { md = 5; await null; return md + typeof tf }").results == [
        "5undefined"
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("async () => (await new Promise((r) => setTimeout(r, 5, 'late')))", "late"),
        ("() => new Promise((r) => queueMicrotask(() => r('micro')))", "micro"),
        ("() => new Promise((r) => setImmediate(r, 'now'))", "now"),
        ("() => new TextDecoder().decode(new TextEncoder().encode('hé€😀'))", "hé€😀"),
        ("() => new URL('../x?a=1#h', 'https://u:p@host:81/b/c').href", "https://u:p@host:81/x?a=1#h"),
        ("() => String(new URLSearchParams({ a: '1 2', b: '&' }))", "a=1+2&b=%26"),
        ("() => atob(btoa('\\u00ff ok'))", "\u00ff ok"),
        ("async () => new Blob(['a', new Uint8Array([98])]).text()", "ab"),
        ("() => String(crypto.randomUUID().length)", "36"),
        ("() => { const c = new AbortController(); c.abort(); return c.signal.reason.name }", "AbortError"),
        ("() => structuredClone(new Map([[1, new Date(0)]])).get(1).toISOString()[0]", "1"),
        ("() => typeof performance.now()", "number"),
        ("() => new Function('return typeof globalThis')()", "object"),
        ("async () => String(await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])))", "[object WebAssembly.Module]"),
    ],
)  # fmt: skip
def test_what_work_functions_find(source: str, text: str) -> None:
    assert run(source).results == [text]


def test_an_error_tells_where() -> None:
    source = "(x) => {\n  const inner = () => {\n    throw Object.assign(new RangeError('far'), {extra: [x], f() {}});\n  };\n  inner();\n}"
    (error,) = run(source, [7]).errors
    assert (error["name"], error["message"], error["code"]) == ("RangeError", "far", "EUNCAUGHT")
    assert "at inner (work.js:3:" in error["stack"]
    assert "file:" not in error["stack"]
    assert "node:" not in error["stack"]
    assert parcels.unpack(error["properties"]) == {"extra": [7]}


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("() => { throw 'plain' }", "EUNCAUGHT", "plain"),
        ("() => ({ a: [1, () => 2] })", "ERESULT", "$.a[1]"),
        ("class A {}\n", "EUNCAUGHT", "without 'new'"),
        ("5", "EWORK", "no function"),
        ("function (", "EWORK", ""),
        ("() => require('lodash')", "ENOMODULE", "job.requires('npm:lodash')"),
        ("() => work.reject('bad input', 2)", "EREJECTED", "bad input"),
        ("() => new Promise(() => {})", "ESTALLED", "nothing is left"),
        ("() => import('fs')", "EUNCAUGHT", "require()"),
        ("() => { setTimeout(() => { throw new Error('later') }); return new Promise((r) => setTimeout(r, 2000)) }", "EUNCAUGHT", "later"),
        ("async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 2000)) }", "EUNCAUGHT", "lost"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(source: str, code: str, words: str) -> None:
    told = run(source, [1, 2])
    assert [error["code"] for error in told.errors] == [code, code]
    assert words in told.errors[0]["message"]


def test_the_retries_of_a_rejection() -> None:
    assert run("() => work.reject('x', 3)").errors[0]["retries"] == 3


def test_console_shows_values_as_node_does() -> None:
    told = run(
        "() => { console.log('%s is %d', 'x', 5, { a: [1, new Map([[1, { b: 2 }]])] }); console.error(new Float32Array(2), -0, [undefined], class A {}) }"
    )
    assert told.of("console") == [
        ("log", "x is 5 { a: [ 1, Map(1) { 1 => [Object] } ] }", 1),
        ("error", "Float32Array(2) [ 0, 0 ] -0 [ undefined ] [class A]", 1),
    ]  # fmt: skip


def test_a_line_that_comes_again_and_again_is_counted() -> None:
    again = "for (let i = 0; i < 5000; i++) console.log('again');"
    told = run(f"() => {{ {again} console.warn('again'); console.log('other'); {again} return 1 }}")
    assert told.of("console") == [
        ("log", "again", 1), ("log", "again", 5000), ("warn", "again", 1), ("log", "other", 1),
        ("log", "again", 1), ("log", "again", 5000),
    ]  # fmt: skip
    told = run("() => { console.log('a'); console.log('a'); work.emit('b', 1); console.log('a') }")
    assert told.of("console") == [("log", "a", 1), ("log", "a", 2), ("log", "a", 1)]


def test_lines_are_counted_to_the_end_of_the_stack() -> None:
    told = run("""() => {
        let calls = 0;
        const f = () => { calls++; console.log('deep'); f(); };
        try { f(); } catch {}
        console.log('over');
        return calls;
    }""")
    (first, second, third), (calls,) = told.of("console"), told.results
    assert (first, third) == (("log", "deep", 1), ("log", "over", 1))
    assert calls - 2 <= second[2] <= calls  # the last calls found no room to print


def test_one_that_is_counted_for_long_is_told_of() -> None:
    told = run("""() => {
        console.log('a'); console.log('a');
        const end = Date.now() + 1100; while (Date.now() < end);
        console.log('a');
    }""")
    assert [same for _, _, same in told.of("console")] == [1, 2, 1]


def test_progress_never_goes_back_and_is_throttled() -> None:
    told = run("async () => { for (let i = 0; i < 100; i++) { progress(i % 7 / 10); await new Promise((r) => setTimeout(r, 3)) } return progress('50%') }")  # fmt: skip
    values = [value for (value,) in told.of("progress")]
    assert values == sorted(values)
    assert 2 <= len(values) < 50
    assert told.results == [True]


def test_events_and_the_public_part_of_the_job() -> None:
    told = run("() => { work.emit('loss', new Float32Array([0.5])); return work.job.public.name }", public={"name": "n"})  # fmt: skip
    ((name, sent),) = told.of("work")
    assert (name, parcels.unpack(sent).tolist()) == ("loss", [0.5])
    assert told.results == ["n"]


def test_modules_of_both_kinds_and_by_every_name() -> None:
    modules = [
        ("pkg/model.js", "module.declare(['npm:base'], function (require, exports, module) { exports.getModel = async () => require('base').value + 1 })"),
        ("npm:base", "exports.value = 41; exports.self = require('./pkg/model') && module.id"),
        ("@scope/deep", "module.exports = class Deep {}"),
        ("far/a/b", "module.exports = [require('../c'), require('./d')]"),
        ("far/c", "module.exports = 'c'"),
        ("far/a/d", "module.exports = 'd'"),
    ]  # fmt: skip
    source = "async () => [await require('model').getModel(), await require('pkg/model').getModel(), require('@scope/deep') === require('deep'), require('base').self, require('far/a/b')]"
    assert run(source, modules=modules).results == [[42, 42, True, "npm:base", ["c", "d"]]]


# -- ends


def died(worker: Worker, slices: int = 2, told: Told | None = None) -> WorkerDied:
    with worker, pytest.raises(WorkerDied) as caught:
        worker.run([parcels.pack(n) for n in range(slices)], told if told is not None else Told())
    return caught.value


def test_a_slice_that_is_too_slow() -> None:
    told = Told()
    death = died(start("(x) => { if (x) for (;;); return x }", slice_timeout=0.3), 3, told)
    assert (death.position, death.code) == (1, "ESLICETOOSLOW")
    assert told.results == [0]


def test_a_slice_that_makes_no_progress() -> None:
    source = "async (x) => { for (let i = 0; i < 5; i++) { progress(); await new Promise((r) => setTimeout(r, 150)) } for (;;); }"
    assert died(start(source, progress_timeout=0.4)).code == "ENOPROGRESS"


def test_memory_that_runs_out() -> None:
    death = died(start("() => { const a = []; for (;;) a.push(new Array(1e5).fill(1)) }", memory="128MB"))  # fmt: skip
    assert (death.position, death.code) == (0, "EMEMORY")
    assert death.reason == "worker ran out of memory (limit 128 MB)"


def test_the_interruption_of_a_worker() -> None:
    worker = start("() => { for (;;); }")
    threading.Timer(0.3, worker.interrupt).start()
    assert died(worker).code == "ECANCELLED"
    worker.interrupt()  # late, and of no consequence


def test_a_worker_that_is_killed() -> None:
    worker = start("() => { console.log('here'); for (;;); }")

    def kill(position: int, what: str, *details: Any) -> None:
        os.kill(worker.pid, signal.SIGKILL)

    with worker, pytest.raises(WorkerDied) as caught:
        worker.run([parcels.pack(0)], kill)
    assert (caught.value.position, caught.value.code) == (0, "EDIED")
    assert "signal 9" in caught.value.reason


def test_the_death_can_be_sent_elsewhere() -> None:
    death = pickle.loads(pickle.dumps(WorkerDied(3, "EDIED", "because")))
    assert (death.position, death.code, death.reason) == (3, "EDIED", "because")


def test_a_blank_worker_can_be_closed_at_once_and_twice() -> None:
    worker = Worker()
    worker.close()
    worker.close()
    worker.interrupt()
    assert not psutil.pid_exists(worker.pid)


def test_no_worker_outlives_python() -> None:
    script = """
        import sys, threading
        from bifrost.compute.engine import Work, new_id
        from bifrost.compute.policy import Policy
        from bifrost.compute.worker import Worker
        from bifrost.protocol import parcels
        nothing = b"".join(parcels.pack([]))
        worker = Worker()
        worker.assign(Work(new_id(), "() => { console.log(1); for (;;); }", nothing, (), nothing, Policy()))
        worker.run([parcels.pack(0)], lambda *_: print(worker.pid, flush=True))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as python:
        assert python.stdout is not None
        worker = psutil.Process(int(python.stdout.readline()))
        python.kill()
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.02)
