"""The command line: what it accepts, how it answers, and the report of `bifrost doctor`."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys

import numpy as np
import pytest

from bifrost import undefined
from bifrost.errors import BifrostError, JSError, RunTimeout
from bifrost.frontend import cli, doctor
from bifrost.frontend.doctor_report import Finding, Report

COMMANDS = [
    "convert-model", "doctor", "modules", "publish", "publish-mnist", "run", "serialize-model",
]  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_has_examples_and_fits_a_terminal(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert max(map(len, text.splitlines())) <= 80


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"bifrost {doctor.own_version()}\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "COMMAND"),
        (["fly"], "fly"),
        (["run"], "FILE.js"),
        (["run", "a.js", "--var", "x"], "NAME=JSON"),
        (["run", "a.js", "--var", "a-b=1"], "NAME=JSON"),
        (["run", "a.js", "--var", "name=text"], "a string needs its own quotes"),
        (["run", "a.js", "--timeout", "soon"], "not a number of seconds"),
        (["run", "a.js", "--timeout", "0"], "not a number of seconds"),
        (["run", "a.js", "--json", "--print", "x"], "not allowed with"),
    ],
)
def test_wrong_usage(words, complaint, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_variables_are_json():
    assert cli._variable('a={"b": [1, null]}') == ("a", {"b": [1, None]})
    assert cli._variable('$x="1=2"') == ("$x", "1=2")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (RunTimeout("ran longer than 1 s"), 124, "ran longer than 1 s"),
        (JSError("TypeError", "no", "TypeError: no\n    at f.js:1:2"), 1, "    at f.js:1:2"),
        (JSError("ProcessExit", "no", "", {"code": 3}), 3, ""),
        (BifrostError("broken"), 1, "broken"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), 1, "not UTF-8"),
        (FileNotFoundError(2, "No such file or directory", "a.js"), 1, "'a.js'"),
    ],
)
def test_errors_become_exit_statuses(error, status, says, capsys):
    def fail() -> int:
        raise error

    assert cli._guarded(fail) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert "Traceback" not in shown.err


def test_causes_are_shown(capsys):
    def fail() -> int:
        raise JSError("Error", "outer") from JSError("RangeError", "inner")

    assert cli._guarded(fail) == 1
    assert capsys.readouterr().err == "Error: outer\ncaused by RangeError: inner\n"


def test_anything_becomes_json():
    cycle: list[object] = [1]
    cycle.append(cycle)
    shared = [0]
    value = {
        1: (None, True, 1 << 70, -0.5, "\u2028é"),
        "nan": [float("nan"), float("inf")],
        "array": np.arange(4, dtype="f4").reshape(2, 2),
        "scalar": np.int8(3),
        "float": np.float64(0.5),
        "bytes": b"\x00\xff",
        "set": {7},
        "date": datetime.date(2026, 1, 2),
        "cycle": cycle,
        "shared": [shared, shared],
        "nothing": undefined,
    }
    assert json.loads(json.dumps(cli.plain(value), allow_nan=False)) == {
        "1": [None, True, 1 << 70, -0.5, "\u2028é"],
        "nan": [None, None],
        "array": [[0, 1], [2, 3]],
        "scalar": 3,
        "float": 0.5,
        "bytes": [0, 255],
        "set": [7],
        "date": "2026-01-02",
        "cycle": [1, "[circular]"],
        "shared": [[0], [0]],
        "nothing": None,
    }


def test_the_report_names_what_is_there():
    report = doctor.examine(live=False)
    assert list(report.sections) == [
        "Versions",
        "Node.js",
        "Bifrost's own parts",
        "Shared memory",
        "Project",
    ]
    text = report.as_text()
    assert np.__version__ in text
    assert sys.executable in text
    as_dict = json.loads(json.dumps(report.as_dict()))
    assert as_dict["todo"] == report.todo
    assert as_dict["ok"] is (not report.todo)


def test_the_report_fits_a_terminal_and_leaves_paths_whole():
    findings = [
        Finding("node", "24.0.0, from somewhere\n/a/very/long/path/" + "x" * 60, "ok"),
        Finding("add-on", "not built; " + "and so on " * 20, "problem", "Run `pip install`, " * 9),
    ]
    report = Report({"Node.js": findings})
    lines = report.as_text(80).splitlines()
    assert all(len(line) <= 80 for line in lines if "xxx" not in line)
    assert "             /a/very/long/path/" + "x" * 60 in lines
    assert lines[-3].startswith("  1. Run `pip install`,")
    assert not any(line.endswith("`pip") for line in lines)  # a command to copy stays whole
    assert "\033" not in report.as_text(80)
    assert "\033[1;31m!!\033[0m" in report.as_text(80, colour=True)
    assert report.as_text().count("\n") == 6  # for a file: no line is broken


def test_a_missing_node_is_reported_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("BIFROST_NODE", str(tmp_path / "nowhere"))
    report = doctor.examine(live=False)
    assert any("BIFROST_NODE" in text for text in report.todo)
    assert "nowhere: no such file" in report.as_text()


def test_a_missing_native_part_is_reported_with_its_cost(monkeypatch, tmp_path):
    from bifrost.runtime import binaries

    monkeypatch.delenv("BIFROST_NATIVE", raising=False)
    monkeypatch.setattr(binaries, "_PACKAGE", tmp_path)
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    finding = doctor._native()
    assert finding.status == "problem"
    assert "no C compiler" in finding.text
    assert "copied once more" in finding.text
    assert "apt install gcc" in finding.todo
    monkeypatch.setenv("CC", sys.executable + " -x")
    assert f"there is a C compiler, {sys.executable}" in doctor._native().text


def test_the_nearest_package_json(monkeypatch, tmp_path):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert doctor._project().text == str(tmp_path / "package.json")


def test_a_limit_on_addresses_is_reported():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 34, 1 << 34))\n"
        "from bifrost.frontend import doctor\n"
        "print(next(doctor._address_space()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "limited to 16.0 GiB" in done.stdout, done.stderr
    assert "ulimit -v unlimited" in done.stdout
