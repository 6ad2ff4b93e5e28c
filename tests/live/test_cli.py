"""`bifrost run` and `bifrost doctor`, as a person types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from bifrost.frontend.cli import main; sys.exit(main())",
]


def bifrost(*words, cwd, stdin=""):
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_output_and_success(tmp_path):
    (tmp_path / "a.js").write_text("console.log('héllo'); console.error('oops'); var x = 1")
    done = bifrost("run", "a.js", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "héllo\n", "oops\n")


def test_variables_go_in_and_come_out(tmp_path):
    (tmp_path / "a.js").write_text("console.log('hi'); var total = n.reduce((a, b) => a + b)")
    done = bifrost("run", "a.js", "--var", "n=[1, 2, 3.5]", "--print", "total", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6.5\n", "hi\n")
    done = bifrost("run", "a.js", "--var", 'n=["a", "b"]', "--print", "total", cwd=tmp_path)
    assert done.stdout == "ab\n"
    done = bifrost("run", "a.js", "--var", "n=[1]", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"n": [1], "total": 1}


def test_a_missing_variable_is_an_error(tmp_path):
    (tmp_path / "a.js").write_text("var x = 1")
    done = bifrost("run", "a.js", "--print", "y", "--print", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert "left no variable 'y'" in done.stderr


def test_standard_input(tmp_path):
    code = "var answer = await Promise.resolve(42)"
    done = bifrost("run", "-", "--print", "answer", cwd=tmp_path, stdin=code)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_a_javascript_error(tmp_path):
    (tmp_path / "bad.js").write_text("\nfunction f() { throw new TypeError('no') }\nf()\n")
    done = bifrost("run", "bad.js", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("TypeError: no\n")
    assert "bad.js:2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file(tmp_path):
    done = bifrost("run", "none.js", cwd=tmp_path)
    assert done.returncode == 1
    assert "none.js" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "a.js").write_bytes(b"\xff\xfe\x00")
    for words, stdin in ((["a.js"], ""), (["-"], "\udcff")):
        done = subprocess.run(
            [*COMMAND, "run", *words],
            cwd=tmp_path,
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert b"not UTF-8" in done.stderr
        assert b"Traceback" not in done.stderr


def test_a_reader_that_has_enough(tmp_path):
    (tmp_path / "a.js").write_text("var big = 'x'.repeat(1 << 20)")
    with subprocess.Popen(
        [*COMMAND, "run", "a.js", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert err == b""


def test_timeout(tmp_path):
    (tmp_path / "a.js").write_text("while (true) {}")
    done = bifrost("run", "a.js", "--timeout", "0.3", cwd=tmp_path)
    assert done.returncode == 124
    assert "Traceback" not in done.stderr


def test_ctrl_c(tmp_path):
    (tmp_path / "a.js").write_text("console.log('ready'); while (true) {}")
    with subprocess.Popen(
        [*COMMAND, "run", "a.js"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("native", ["1", "0"])
def test_doctor(tmp_path, monkeypatch, native):
    from bifrost.runtime.binaries import addon_path

    monkeypatch.setenv("BIFROST_NATIVE", native)
    if native == "1" and addon_path() is None:
        pytest.skip("built without the native part")
    done = bifrost("doctor", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    for what in ("start", "call", "shared array", "array"):
        assert report["sections"]["Live check"][what]["status"] == "ok", report
    if native == "0":
        assert done.returncode == 1
        assert any("BIFROST_NATIVE" in text for text in report["todo"])
    else:
        assert report["sections"]["Bifrost's own parts"]["native part"]["status"] == "ok"
        assert done.returncode == (1 if report["todo"] else 0)
