"""What JavaScript prints reaches Python's streams: every byte, in order, while it runs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys
import time

import pytest

from bifrost import Node


@pytest.mark.parametrize(
    "text",
    [
        "  indented\n\n\n    more\n",
        "no newline",
        "\n",
        "\r\n\ttab\x1b[31mred\x1b[0m\x07",
        "é🦊𝒳\u2028",
        '{"type":"done"}\n',
    ],
)
def test_text_arrives_as_it_is(
    node: Node, capfdbinary: pytest.CaptureFixture[bytes], text: str
) -> None:
    node.run("process.stdout.write(text); process.stderr.write('E' + text)", {"text": text})
    out, err = capfdbinary.readouterr()
    assert out.decode() == text
    assert err.decode() == "E" + text


def test_every_byte_arrives(node: Node, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    node.run(
        "const all = Buffer.from(Array.from({length: 256}, (_, i) => i));"
        "for (let i = 0; i < 40; i++) process.stdout.write(all)"
    )
    assert capfdbinary.readouterr().out == bytes(range(256)) * 40


def test_five_megabytes(node: Node, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    made = node.run(
        "const big = require('crypto').randomBytes(5e6);"
        "digest = require('crypto').createHash('sha1').update(big).digest('hex');"
        "process.stdout.write(big)"
    )
    out = capfdbinary.readouterr().out
    assert len(out) == 5_000_000
    assert hashlib.sha1(out).hexdigest() == made["digest"]


def test_what_looks_like_the_protocol_disturbs_nothing(
    node: Node, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    node.run(
        "for (const type of [0, 1, 2, 3, 4, 5]) {"
        "  const frame = Buffer.alloc(9 + 4); frame.writeUInt32LE(4); frame[4] = type;"
        "  frame.writeUInt32LE(1, 5); process.stdout.write(frame); process.stderr.write(frame) }"
        "console.log(JSON.stringify({type: 'done'}))"
    )
    assert node.eval("40 + 2") == 42
    assert len(capfdbinary.readouterr().out) == 6 * 13 + 16


def test_redirected_text_streams(node: Node) -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        node.run("console.log('to text 🦊'); console.error('err')")
        node.run(
            "const bytes = Buffer.from('é🦊');"
            "for (const byte of bytes) { process.stdout.write(Buffer.of(byte));"
            "  await new Promise((r) => setTimeout(r, 3)) }"
            "process.stdout.write(Buffer.of(0xff))"
        )
    assert out.getvalue() == "to text 🦊\né🦊\\xff"
    assert err.getvalue() == "err\n"


def test_output_is_there_when_the_run_is_over(node: Node) -> None:
    for number in range(100):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            node.run(f"console.log('{number}' + '.'.repeat({number * 700}))")
        assert out.getvalue() == f"{number}{'.' * number * 700}\n"


def test_prints_of_both_languages_keep_their_order(capfd: pytest.CaptureFixture[str]) -> None:
    script = (
        "from bifrost import Node\n"
        "with Node() as node:\n"
        "    for i in range(5):\n"
        "        print('python', i)\n"
        "        node.run(f'console.log(\"node\", {i})')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "".join(f"python {i}\nnode {i}\n" for i in range(5))


def test_it_is_seen_while_the_run_goes_on(node: Node) -> None:
    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            seen.append((time.monotonic(), text))
            return len(text)

    seen: list[tuple[float, str]] = []
    with contextlib.redirect_stdout(Stream()):
        node.run(
            "for (let i = 0; i < 3; i++) {"
            "  console.log(i); const end = Date.now() + 150; while (Date.now() < end); }"
        )
        over = time.monotonic()
    assert "".join(text for _, text in seen) == "0\n1\n2\n"
    assert over - seen[0][0] > 0.3


def test_output_of_timers_while_nobody_runs(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pytest's own capturing may lose what is printed while one looks.
    monkeypatch.setattr(sys, "stdout", printed := io.StringIO())
    node.run("setTimeout(() => console.log('later'), 30)")
    deadline = time.monotonic() + 20
    while not printed.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert printed.getvalue() == "later\n"


def test_output_of_child_processes(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    node.run(
        "const { execSync, spawn } = require('child_process');"
        "execSync('echo from a child; echo bad >&2', {stdio: 'inherit'});"
        "await new Promise((r) => spawn('echo', ['spawned'], {stdio: 'inherit'}).on('close', r))"
    )
    out, err = capfd.readouterr()
    assert out == "from a child\nspawned\n"
    assert err == "bad\n"


def test_a_program_that_prints_without_end_can_be_stopped(node: Node) -> None:
    out = io.StringIO()
    started = time.monotonic()
    with contextlib.redirect_stdout(out), pytest.raises(TimeoutError):
        node.run("for (;;) console.log('x'.repeat(1000))", timeout=0.5)
    assert time.monotonic() - started < 5
    assert len(out.getvalue()) > 1000
    assert node.eval("1") == 1


def test_a_broken_or_missing_stream_ends_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("broken")

    closed = io.StringIO()
    closed.close()
    for stream in (None, Broken(), closed):
        monkeypatch.setattr(sys, "stdout", stream)
        assert node.run("console.log('x'); y = 1")["y"] == 1
        node.run("setTimeout(() => console.log('z'))")
        time.sleep(0.05)
    monkeypatch.undo()
    assert node.eval("1") == 1
