"""Streams and iterators, both ways: back-pressure, early ends, errors, flat memory."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bifrost import JSError, Node

#: Megabytes that go through the longest stream here: 1024 shows that memory stays flat.
MEGABYTES = int(os.environ.get("BIFROST_STREAM_MB", "64"))
CHUNK = 1 << 16

NUMBERS = """
(n, log = {}) => {
  log.made = 0;
  return require('stream').Readable.from((function* () {
    try {
      for (let i = 0; i < n; i++) { log.made++; yield Buffer.from(`${i};`); }
    } finally { log.closed = true; }
  })(), { highWaterMark: 2 });
}
"""


class Log:
    """An object whose fields JavaScript sets."""

    made = 0
    closed = False


def _wait_until_closed(node: Node, stream: Any) -> None:
    node.eval("async (s) => s.closed || new Promise((r) => s.once('close', r))")(stream).result()


# -- JavaScript's streams in Python


def test_for_over_a_node_stream(node: Node) -> None:
    assert b"".join(node.eval(NUMBERS)(5)) == b"0;1;2;3;4;"


def test_async_for_over_a_node_stream(node: Node) -> None:
    async def main() -> bytes:
        return b"".join([chunk async for chunk in node.eval(NUMBERS)(5)])

    assert asyncio.run(main()) == b"0;1;2;3;4;"


def test_web_streams(node: Node) -> None:
    make = node.eval(
        "() => new ReadableStream({ start(c) { c.enqueue('a'); c.enqueue({ b: 1 }); c.close(); } })"
    )
    assert list(make()) == ["a", {"b": 1}]

    async def main() -> list[Any]:
        return [chunk async for chunk in make()]

    assert asyncio.run(main()) == ["a", {"b": 1}]


def test_async_generators_in_a_plain_for(node: Node) -> None:
    ticks = node.eval(
        "(async function* (n) { for (let i = 0; i < n; i++) {"
        " await new Promise(r => setTimeout(r, 1)); yield i; } })"
    )
    assert list(ticks(4)) == [0, 1, 2, 3]


def test_a_stream_is_read_only_as_far_as_it_is_wanted(node: Node) -> None:
    log = Log()
    stream = node.eval(NUMBERS)(1000, log)
    for _index, _chunk in zip(range(3), stream, strict=False):
        pass
    assert log.made < 20
    assert stream.destroyed is True
    _wait_until_closed(node, stream)
    assert log.closed is True


def test_leaving_an_async_for_closes_the_stream(node: Node) -> None:
    log = Log()
    stream = node.eval(NUMBERS)(1000, log)

    async def main() -> None:
        async for _chunk in stream:
            break

    asyncio.run(main())
    assert stream.destroyed is True
    _wait_until_closed(node, stream)
    assert log.closed is True
    assert log.made < 20


def test_cancelling_an_async_for_closes_a_stream_that_stalls(node: Node) -> None:
    stream = node.eval("new (require('stream').Readable)({ read() {} })")

    async def main() -> None:
        async def read() -> None:
            async for _chunk in stream:
                pass

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(), 0.1)

    asyncio.run(main())
    assert stream.destroyed is True


def test_errors_of_a_stream_keep_their_identity(node: Node) -> None:
    mine = ValueError("mine")
    stream = node.eval("(e) => new (require('stream').Readable)({ read() { this.destroy(e); } })")
    with pytest.raises(ValueError) as caught:
        list(stream(mine))
    assert caught.value is mine
    # The stream there keeps the exception, whose frames keep the stream: no collector sees both.
    mine.__traceback__ = None
    with pytest.raises(JSError, match="broken") as failed:
        list(node.eval("(f) => f(new Error('broken'))")(stream))
    assert node.eval("(e) => e instanceof Error && e.message === 'broken'")(failed.value)


def test_generators_take_what_is_sent_and_thrown(node: Node) -> None:
    echo = node.eval(
        "(function* () { let got = 'start'; for (;;) {"
        " try { got = yield got; } catch (e) { got = `caught ${e.message}`; }"
        " if (got === 'end') return 'returned'; } })"
    )
    steps = iter(echo())
    assert next(steps) == "start"
    assert steps.send("a") == "a"
    assert steps.throw(ValueError("b")) == "caught b"
    with pytest.raises(StopIteration) as ended:
        steps.send("end")
    assert ended.value.value == "returned"


def test_loops_left_early_by_the_hundred(node: Node) -> None:
    made = node.eval("ended = 0; (function* () { try { yield 1; yield 2; } finally { ended++; } })")
    for _ in range(300):
        for _value in made():
            break
    assert node.eval("ended") == 300

    async def main() -> None:
        for _ in range(100):
            async for _value in made():
                break

    asyncio.run(main())
    assert node.eval("ended") == 400


def test_what_fails_while_a_loop_is_left_is_reported(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pytest's own capturing may lose what is printed while one looks.
    monkeypatch.setattr(sys, "stderr", printed := io.StringIO())
    made = node.eval("(function* () { try { yield 1; } finally { throw new Error('late'); } })")
    for _value in made():
        break
    assert node.eval("1") == 1
    deadline = time.monotonic() + 10
    while "late" not in printed.getvalue():
        assert time.monotonic() < deadline, printed.getvalue()
        time.sleep(0.01)


def test_a_stream_cannot_be_waited_for_in_a_synchronous_callback(node: Node) -> None:
    with pytest.raises(JSError, match="async def"):
        node.run("f(require('stream').Readable.from(['a']))", {"f": lambda stream: list(stream)})


# -- Python's iterators, generators and files in JavaScript


def test_a_generator_takes_what_is_sent_and_thrown() -> None:
    def echo() -> Iterator[Any]:
        got: Any = "start"
        while got != "end":
            try:
                got = yield got
            except JSError as error:
                got = f"caught {error.message}"
        return "returned"

    with Node() as node:
        made = node.run(
            "const steps = g[Symbol.iterator]();"
            "const seen = [steps.next(), steps.next('a'), steps.throw(new Error('b')),"
            " steps.next('end'), steps.next()];",
            {"g": echo()},
        )
    assert [step["value"] for step in made["seen"][:4]] == ["start", "a", "caught b", "returned"]
    assert [step["done"] for step in made["seen"]] == [False, False, False, True, True]


def test_readable_from_a_generator_closes_it(node: Node) -> None:
    closed = []

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.append(True)

    made = node.run(
        "const stream = require('stream').Readable.from(source); let n = 0;"
        "for await (const chunk of stream) { n += chunk.length; if (n > 50000) break; }",
        {"source": source()},
    )
    assert 50000 < made["n"] <= 51000
    assert closed == [True]


def test_an_async_generator_closes_and_keeps_its_errors(node: Node) -> None:
    closed = []
    mine = KeyError("mine")

    async def source(fail: bool) -> AsyncIterator[int]:
        try:
            for n in range(1000):
                await asyncio.sleep(0)
                if fail and n == 3:
                    raise mine
                yield n
        finally:
            closed.append(fail)

    made = node.run(
        "const got = []; for await (const n of source(false)) { if (n === 3) break; got.push(n); }",
        {"source": source},
    )
    assert made["got"] == [0, 1, 2]
    assert closed == [False]
    with pytest.raises(KeyError) as caught:
        node.run("for await (const n of source(true));", {"source": source})
    assert caught.value is mine


def test_steps_asked_for_at_once_are_taken_in_order(node: Node) -> None:
    async def count() -> AsyncIterator[int]:
        for n in range(3):
            await asyncio.sleep(0.001)
            yield n

    made = node.run(
        "const it = source[Symbol.asyncIterator]();"
        "const steps = await Promise.all([it.next(), it.next(), it.next(), it.next()]);",
        {"source": count()},
    )
    assert [step["value"] for step in made["steps"][:3]] == [0, 1, 2]
    assert made["steps"][3]["done"] is True


def test_python_files_are_streams(node: Node, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "in").write_bytes(data)
    script = (
        "await require('stream/promises').pipeline("
        "bifrost.stream(source), require('zlib').createGzip(), bifrost.stream(sink));"
    )
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        node.run(script, {"source": source, "sink": sink})
        assert not source.closed
        assert not sink.closed
    assert gzip.decompress((tmp_path / "out").read_bytes()) == data


def test_a_generator_through_node_into_memory(node: Node) -> None:
    sink = io.BytesIO()
    node.run(
        "await require('stream/promises').pipeline("
        "source, require('zlib').createGzip(), bifrost.stream(sink));",
        {"source": (b"line %d\n" % n for n in range(2000)), "sink": sink},
    )
    assert gzip.decompress(sink.getvalue()).count(b"\n") == 2000


def test_text_files(node: Node) -> None:
    sink = io.StringIO()
    made = node.run(
        "let text = ''; for await (const part of bifrost.stream(source)) text += part;"
        "const lines = []; for (const line of again) lines.push(line);"
        "const out = bifrost.stream(sink); out.write('é');"
        "await new Promise(r => out.end('!', r));",
        {"source": io.StringIO("äöü\n" * 3), "again": io.StringIO("a\nb\n"), "sink": sink},
    )
    assert made["text"] == "äöü\n" * 3
    assert made["lines"] == ["a\n", "b\n"]
    assert sink.getvalue() == "é!"


def test_a_file_that_fails_fails_the_pipeline(node: Node) -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            raise OSError(28, "No space left")

    with pytest.raises(OSError, match="No space") as caught:
        node.run(
            "await require('stream/promises').pipeline(['a'], bifrost.stream(sink));",
            {"sink": Full()},
        )
    assert caught.value.errno == 28


def test_only_what_can_be_a_stream_is_one(node: Node) -> None:
    with pytest.raises(JSError, match="file object"):
        node.run("bifrost.stream(5)")
    with pytest.raises(JSError, match="file object"):
        node.run("bifrost.stream(x)", {"x": object()})


def test_writing_to_a_stream_waits_for_it(node: Node) -> None:
    made = node.run(
        "let most = 0, n = 0; const sink = new (require('stream').Writable)({ highWaterMark: 4096,"
        " write(chunk, _, done) { n += chunk.length; most = Math.max(most, this.writableLength);"
        " setImmediate(done); } });"
    )
    pipeline = node.require("stream/promises").pipeline
    pipeline((b"x" * 1024 for _ in range(200)), made["sink"]).result()
    assert node.eval("[n, most]")[0] == 200 * 1024
    assert node.eval("most") <= 3 * 4096


# -- volume


async def _upper(source: Any) -> AsyncIterator[bytes]:
    async for chunk in source:
        yield chunk[:1].upper() + chunk[1:]


def test_a_node_stream_through_a_python_generator_keeps_memory_flat(node: Node) -> None:
    total = MEGABYTES << 20
    process, kernel = psutil.Process(), psutil.Process(node.info["pid"])

    def megabytes() -> tuple[int, int]:
        return process.memory_info().rss >> 20, kernel.memory_info().rss >> 20

    script = (
        "let n = 0, ok = true; const { Readable, Writable } = require('stream');"
        f"const source = Readable.from((function* () {{ for (let i = 0; i < total / {CHUNK}; i++)"
        f" yield Buffer.alloc({CHUNK}, 'a'); }})());"
        "const sink = new Writable({ write(c, _, done) {"
        " n += c.length; ok &&= c[0] === 65 && c[1] === 97; done(); } });"
        "await require('stream/promises').pipeline(source, upper, sink);"
    )
    node.run(script, {"total": 8 << 20, "upper": _upper})
    before = megabytes()
    started = time.perf_counter()
    made = node.run(script, {"total": total, "upper": _upper})
    seconds = time.perf_counter() - started
    after = megabytes()
    print(f"{MEGABYTES} MB at {MEGABYTES / seconds:.0f} MB/s; RSS {before} -> {after} MB")
    assert (made["n"], made["ok"]) == (total, True)
    assert after[0] - before[0] < 48
    assert after[1] - before[1] < 160


def test_reading_a_node_stream_keeps_memory_flat(node: Node) -> None:
    total = MEGABYTES << 20
    make = node.eval(
        f"(total) => require('stream').Readable.from((function* () {{"
        f" for (let i = 0; i < total / {CHUNK}; i++) yield Buffer.alloc({CHUNK}); }})())"
    )
    process = psutil.Process()
    for chunk in make(4 << 20):
        assert len(chunk) == CHUNK
    before = process.memory_info().rss
    started = time.perf_counter()
    assert sum(map(len, make(total))) == total
    seconds = time.perf_counter() - started
    print(f"{MEGABYTES / seconds:.0f} MB/s")
    assert process.memory_info().rss - before < 48 << 20


def test_a_long_synchronous_loop_in_javascript_returns_its_slots(node: Node) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(MEGABYTES * 16):
            yield bytes(CHUNK)

    process = psutil.Process()
    node.run("let n = 0; for (const c of source) n += c.length;", {"source": source()})
    before = process.memory_info().rss
    made = node.run("n = 0; for (const c of source) n += c.length;", {"source": source()})
    assert made["n"] == MEGABYTES << 20
    assert process.memory_info().rss - before < 48 << 20
