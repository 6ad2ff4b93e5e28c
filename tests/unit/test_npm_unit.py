"""What the npm front end makes of npm's output and words; no process is started."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

import pytest

from bifrost.errors import NpmError
from bifrost.frontend.npm import Npm
from bifrost.runtime import npm_errors, npm_process, npm_project


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")


def progress(*words: str, stdout: io.StringIO | None = None) -> npm_process.Progress:
    with contextlib.redirect_stdout(stdout or io.StringIO()):
        return npm_process.Progress([*words], Path("/p"), Path("/p"))


def test_constructing_and_importing_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    assert "install" in repr(Npm())


def test_the_live_line_counts_each_package_once(environment: None) -> None:
    terminal = Terminal()
    show = progress("is-odd", "--save-dev", stdout=terminal)
    show.err("npm http fetch GET 200 https://r.example/is-odd 79ms (cache miss)\n")
    show.err("npm http cache is-odd@https://r.example/is-odd/-/is-odd-3.0.1.tgz 0ms (cache hit)\n")
    show.err("npm http fetch GET 200 https://r.example/is-odd/-/is-odd-3.0.")  # split anywhere
    show.err(
        "1.tgz 26ms (cache miss)\nnpm http fetch GET 200 https://r.example/a/-/a-1.0.0.tgz 1ms"
    )
    show.tick()
    assert terminal.getvalue() == "\rnpm install is-odd: 1 package fetched, 0s"
    show.err("\n")
    show.tick()
    assert terminal.getvalue().endswith("\rnpm install is-odd: 2 packages fetched, 0s")
    show.out("\nadded 2 packages in 1s\n\n3 packages are looking for funding\n")
    assert terminal.getvalue().endswith("\radded 2 packages in 1s\n")


def test_the_live_line_fits_the_terminal(environment: None) -> None:
    terminal = Terminal()
    show = progress("a" * 200, stdout=terminal)
    show.tick()
    show.close()
    assert all(len(line) < 60 for line in terminal.getvalue().split("\r"))
    assert terminal.getvalue().endswith(" \r")


def test_silent_is_silent(environment: None, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    show = progress("a", "--silent", stdout=terminal)
    show.tick()
    show.warn("a warning\n")
    assert terminal.getvalue() == ""
    assert capsys.readouterr().err == ""


def test_warnings_stay_and_noise_goes(capsys: pytest.CaptureFixture[str]) -> None:
    show = progress("a")
    show.err('npm warn deprecated a@1.0.0: use b\nnpm warn Unknown user config "x". This will\n')
    show.err("npm error code E404\nnpm http fetch GET 200 https://r.example/a\n\n")
    assert capsys.readouterr() == ("", "npm warn deprecated a@1.0.0: use b\n")


@pytest.mark.parametrize(
    ("topic", "words", "blocked"),
    [
        (
            "allow-scripts",
            "2 packages have install scripts not yet covered by allowScripts:",
            False,
        ),
        (
            "install-scripts",
            "2 packages had install scripts blocked because they are not covered by allowScripts:",
            True,
        ),
    ],
)
def test_pending_install_scripts_are_read(topic: str, words: str, blocked: bool) -> None:
    show = progress("a")
    for line in (
        words,
        "  esbuild@0.25.0 (postinstall: node install.js)",
        "  @scope/native@1.0.0-rc.1 (install: node-gyp rebuild; postinstall: echo (done))",
        "",
        "Run `npm approve-scripts <pkg>` to allow.",
    ):
        show.err(f"npm warn {topic} {line}\n")
    assert show.scripts == ["esbuild", "@scope/native"]
    assert show.blocked is blocked


def test_a_stream_that_cannot_show_a_character_shows_another() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    npm_process.write(stream, "└── a\n")
    assert raw.getvalue() == b"??? a\n"
    npm_process.write(None, "nobody listens")


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        ("npm error code ENOTFOUND", "HTTPS_PROXY"),
        ("npm ERR! code ETIMEDOUT", "HTTPS_PROXY"),
        ("npm error code EACCES\nnpm error path /usr/lib", "cwd="),
        ("npm error code EPERM", "cwd="),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"),
        ("npm error code UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "NODE_EXTRA_CA_CERTS"),
        ("npm error code ENOSPC", "disk is full"),
        ("npm error code E401", "log in"),
        ("npm error code ERESOLVE", "`npm.install('a', '--legacy-peer-deps')`"),
        (
            "npm error code ESTRICTALLOWSCRIPTS\nnpm error   b@1.0.0 (install: x)",
            "'--no-strict-allow-scripts', allow_scripts=['b'])`",
        ),
        ("npm error code 1\nnpm error path /p/node_modules/b\nnpm error gyp ERR! x", "compiler"),
        ("npm error code 1\nnpm error path /p/node_modules/b", "in /p/node_modules/b failed"),
        (
            "npm error code E404\nnpm error 404  '@me/secret@^1' is not in this registry.",
            "no @me/secret: check the spelling (https://www.npmjs.com/search?q=@me/secret)",
        ),
    ],
)
def test_every_common_failure_has_a_next_step(log: str, advice: str) -> None:
    error = npm_errors.explain(["install", "a"], 1, "", log, Path("/p"))
    assert isinstance(error, NpmError)
    assert advice in error.advice
    assert str(error).endswith(error.advice)


def test_the_log_keeps_what_helps() -> None:
    log = (
        'npm warn Unknown user config "x". This will\nnpm http fetch GET 200 https://r.example/a\n'
        "npm error code EODD\nnpm error\nnpm error the reason\n"
        "npm error A complete log of this run can be found in: /home/me/.npm/_logs/1.log\n"
    )
    error = npm_errors.explain(["install", "a"], 1, "unrelated output", log, Path("/p"))
    assert error.log == "npm error code EODD\nnpm error the reason"
    assert error.advice == ""
    # A script that fails may have told its reason on standard output only.
    assert npm_errors.explain(["run", "x"], 3, "reason\n", "aside\n", Path("/p")).log == (
        "reason\naside"
    )


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("left-pad", ["left-pad"]),
        ("left-pad@^1.3.0 || 2", ["left-pad"]),
        ("@scope/thing@next", ["@scope/thing"]),
        ("pad@npm:left-pad@1", ["pad"]),
        ("me/thing.git#main", ["by-git"]),
        ("https://example.org/x/by-url-1.0.0.tgz", ["by-url"]),
        ("--save-dev", ["left-pad", "by-git", "by-url"]),
    ],
)
def test_the_names_asked_for(word: str, names: list[str]) -> None:
    listed = {
        "left-pad": "^1.3.0",
        "by-git": "github:me/thing#main",
        "by-url": "https://example.org/x/by-url-1.0.0.tgz",
    }
    assert npm_project.names_asked_for([word], listed, listed) == names
