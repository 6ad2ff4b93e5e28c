"""The real npm, on small real packages, each test in folders of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bifrost.errors import NpmError
from bifrost.frontend.npm import Npm
from bifrost.runtime import npm_process
from bifrost.runtime.binaries import NodeBinary, find_node

pytestmark = pytest.mark.network
posix_only = pytest.mark.skipif(os.name != "posix", reason="process groups and terminals")

npm = Npm()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "project", "private": true}')
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def npm_12(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The argv prefix of npm 12, which blocks install scripts; npm 11 only warns."""
    folder = tmp_path_factory.mktemp("npm12")
    installed = npm.install("npm@12", cwd=folder)
    assert installed["npm"].startswith("12.")
    return [str(find_node().path), str(folder / "node_modules/npm/bin/npm-cli.js")]


@pytest.fixture
def use_npm_12(npm_12: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def command(node: NodeBinary) -> list[str]:
        return list(npm_12)

    monkeypatch.setattr(npm_process, "npm_command", command)


def package(folder: Path, name: str, **scripts: str) -> Path:
    """A local package with scripts."""
    folder.mkdir(parents=True)
    description = {"name": name, "version": "1.2.3", "scripts": scripts}
    (folder / "package.json").write_text(json.dumps(description))
    return folder


def dependencies(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "package.json").read_text())["dependencies"]
    return found


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


class TestInstall:
    def test_returns_the_installed_versions(self, project: Path) -> None:
        assert npm.install("is-number@7.0.0", "left-pad") == {
            "is-number": "7.0.0",
            "left-pad": "1.3.0",
        }
        assert (project / "node_modules/is-number/index.js").is_file()
        assert dependencies(project)["is-number"] == "^7.0.0"

    def test_without_names_installs_what_package_json_lists(self, project: Path) -> None:
        (project / "package.json").write_text(
            '{"dependencies": {"is-odd": "3.0.1"}, "devDependencies": {"left-pad": "1.2.0"}}'
        )
        # is-number comes along too, but was not asked for.
        assert npm.install() == {"is-odd": "3.0.1", "left-pad": "1.2.0"}
        assert (project / "node_modules/is-number").is_dir()

    def test_works_on_the_nearest_package_json_above(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deep = project / "notebooks" / "deep"
        deep.mkdir(parents=True)
        local = package(project / "notebooks" / "mine", "mine")
        monkeypatch.chdir(deep)
        # The path is meant from the working directory, not from the project's folder.
        assert npm.install("is-number@7.0.0", "../mine") == {"is-number": "7.0.0", "mine": "1.2.3"}
        assert (project / "node_modules/is-number").is_dir()
        assert (project / "node_modules/mine").resolve() == local
        assert not any(deep.iterdir())
        assert f"(in {project})" in capsys.readouterr().err

    def test_without_package_json_works_in_the_folder_itself(self, tmp_path: Path) -> None:
        # Plain npm would go up to this node_modules folder.
        (tmp_path / "node_modules").mkdir()
        here = tmp_path / "here"
        here.mkdir()
        assert npm.install("left-pad@1.3.0", cwd=here) == {"left-pad": "1.3.0"}
        assert dependencies(here) == {"left-pad": "^1.3.0"}
        assert tree(tmp_path / "node_modules") == set()
        assert {path.name for path in tmp_path.iterdir()} == {"node_modules", "here"}

    def test_flags_pass_through(self, project: Path) -> None:
        assert npm.install("left-pad@1.3.0", "--save-dev", "--save-exact") == {"left-pad": "1.3.0"}
        described = json.loads((project / "package.json").read_text())
        assert described["devDependencies"] == {"left-pad": "1.3.0"}
        assert "dependencies" not in described

    def test_an_alias_and_a_tarball_are_named_as_they_are_required(self, project: Path) -> None:
        package(project / "packed", "packed-thing")
        npm.run("pack", "./packed", "--silent")
        tarball = "packed-thing-1.2.3.tgz"
        expected = {"pad": "1.3.0", "packed-thing": "1.2.3"}
        assert npm.install("pad@npm:left-pad@1.3.0", tarball) == expected
        # Once more, when package.json already lists it.
        assert npm.install(Path(tarball)) == {"packed-thing": "1.2.3"}
        # A Path is a path, also where a string would be a name for the registry.
        package(project / "a folder" / "left-pad", "not-left-pad")
        folder = Path("a folder", "left-pad")
        assert npm.install(folder, "file:./packed") == {
            "not-left-pad": "1.2.3",
            "packed-thing": "1.2.3",
        }

    def test_refuses_the_folders_of_python_packages(self, tmp_path: Path) -> None:
        site = tmp_path / "lib" / "site-packages" / "thing"
        site.mkdir(parents=True)
        with pytest.raises(ValueError, match=r"for Python packages.*cwd="):
            npm.install("left-pad", cwd=site)
        with pytest.raises(ValueError, match="root"):
            npm.install("left-pad", cwd="/")
        assert tree(site) == set()

    @pytest.mark.parametrize(
        ("words", "error", "match"),
        [
            ([["left-pad"]], TypeError, r"one per package"),
            ([b"left-pad"], TypeError, "got b'left-pad'"),
            ([None], TypeError, "got None"),
            ([""], ValueError, "no package name"),
            (["left-pad is-odd"], ValueError, "'left-pad', 'is-odd'"),
            (["left\0pad"], ValueError, "no package name"),
            (["left-pad", "-g"], ValueError, "-g is refused"),
            (["left-pad", "--prefix=/tmp"], ValueError, "cwd="),
        ],
    )
    def test_refuses_what_is_no_package(
        self, project: Path, words: list[str], error: type[Exception], match: str
    ) -> None:
        with pytest.raises(error, match=match):
            npm.install(*words)
        assert tree(project) == {"package.json"}

    def test_nothing_goes_through_a_shell(self, project: Path) -> None:
        with pytest.raises(NpmError):
            npm.install("left-pad@1;touch${IFS}broken;$(touch${IFS}broken)")
        assert not (project / "broken").exists()


class TestErrors:
    def test_an_unknown_package(self, project: Path) -> None:
        with pytest.raises(NpmError) as caught:
            npm.install("bifrost-there-is-no-such-package")
        error = caught.value
        assert error.command == ["install", "bifrost-there-is-no-such-package"]
        assert error.exit_code == 1
        assert "npm error code E404" in error.log
        assert "complete log of this run" not in error.log
        assert "no bifrost-there-is-no-such-package: check the spelling" in error.advice
        assert error.advice in str(error)

    def test_an_unknown_version_lists_some_that_exist(self, project: Path) -> None:
        with pytest.raises(NpmError, match="ETARGET") as caught:
            npm.install("left-pad@99")
        assert "1.2.0, 1.3.0" in caught.value.advice

    def test_a_peer_conflict_names_the_flag(self, project: Path) -> None:
        with pytest.raises(NpmError, match="ERESOLVE") as caught:
            npm.install("react-dom@18.2.0", "react@17.0.2", "--dry-run")
        call = "npm.install('react-dom@18.2.0', 'react@17.0.2', '--dry-run', '--legacy-peer-deps')"
        assert call in caught.value.advice

    def test_no_network(self, project: Path) -> None:
        flags = ["--registry=http://127.0.0.1:9", "--fetch-retries=0", "--cache=cache"]
        with pytest.raises(NpmError, match="ECONNREFUSED") as caught:
            npm.install("left-pad", *flags)
        assert "HTTPS_PROXY" in caught.value.advice

    def test_a_wrong_engine(self, project: Path) -> None:
        local = package(project / "old", "old")
        (local / "package.json").write_text(
            '{"name": "old", "version": "1.0.0", "engines": {"node": "<1"}}'
        )
        with pytest.raises(NpmError, match="EBADENGINE") as caught:
            npm.install("./old", "--engine-strict")
        assert "BIFROST_NODE" in caught.value.advice

    def test_a_failing_install_script_tells_what_it_printed(self, project: Path) -> None:
        package(project / "bad", "bad", install="echo sad words; exit 3")
        with pytest.raises(NpmError, match="sad words") as caught:
            npm.install("./bad", allow_scripts=True)
        assert "A script of the package in" in caught.value.advice


class TestInstallScripts:
    SCRIPT = "node -e \"require('fs').writeFileSync('built.txt', process.version)\""

    def test_npm_12_blocks_them_and_says_what_to_call(
        self, project: Path, use_npm_12: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local = package(project / "scripty", "scripty", install=self.SCRIPT)
        built = local / "built.txt"
        assert npm.install("./scripty") == {"scripty": "1.2.3"}
        said = capsys.readouterr().err
        assert "did not run the install scripts of scripty" in said
        call = "npm.install('./scripty', allow_scripts=['scripty'])"
        assert call in said
        assert not built.exists()

        assert eval(call, {"npm": npm}) == {"scripty": "1.2.3"}
        assert "install scripts" not in capsys.readouterr().err
        # With the Node.js that Bifrost uses, whatever else is on PATH.
        assert built.read_text() == npm.nodejs_version()
        described = json.loads((project / "package.json").read_text())
        assert list(described["allowScripts"].values()) == [True]

        built.unlink()
        (project / "node_modules/scripty").unlink()
        npm.install()
        assert built.exists(), "what was allowed once stays allowed"

    @pytest.mark.skipif(not (shutil.which("make") and shutil.which("c++")), reason="no compiler")
    def test_native_parts_compile_with_the_headers_of_our_node(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not (find_node().path.parent.parent / "include/node/node_api.h").exists():
            pytest.skip("this Node.js came without headers")
        # Nowhere to download headers from, and none from an earlier time.
        monkeypatch.setenv("npm_config_disturl", "http://127.0.0.1:9")
        monkeypatch.setenv("npm_config_devdir", str(project / "no-headers-here"))
        monkeypatch.setenv("npm_config_userconfig", str(project / "no-npmrc"))  # nor a nodedir
        local = package(project / "native", "native")
        (local / "binding.gyp").write_text(
            '{"targets": [{"target_name": "native", "sources": ["native.c"]}]}'
        )
        source = local / "native.c"
        source.write_text(
            "#include <node_api.h>\nNAPI_MODULE_INIT() { napi_value n;"
            " napi_create_int32(env, NODE_API_MODULE_VERSION_SEEN, &n); return n; }"
        )
        with pytest.raises(NpmError, match="NODE_API_MODULE_VERSION_SEEN") as caught:
            npm.install("./native", allow_scripts=True)
        assert "build-essential" in caught.value.advice
        source.write_text(source.read_text().replace("NODE_API_MODULE_VERSION_SEEN", "42"))
        assert npm.install("./native", allow_scripts=True) == {"native": "1.2.3"}
        (project / "use.js").write_text("console.log(require('native/build/Release/native.node'))")
        assert npm.run("exec", "--", "node", "use.js") == "42\n"

    def test_npm_12_runs_only_those_that_are_allowed(
        self, project: Path, use_npm_12: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        one = package(project / "one", "one", postinstall=self.SCRIPT)
        two = package(project / "two", "two", postinstall=self.SCRIPT)
        npm.install("./one", "./two", allow_scripts=["two", "no-such-package"])
        assert (two / "built.txt").exists()
        assert not (one / "built.txt").exists()
        assert "allow_scripts=['one']" in capsys.readouterr().err
        npm.install("./one", allow_scripts=True)
        assert (one / "built.txt").exists()

    def test_allow_scripts_wants_a_list(self, project: Path) -> None:
        with pytest.raises(TypeError, match="list of package names"):
            npm.install("left-pad", allow_scripts="left-pad")
        with pytest.raises(TypeError, match="takes strings"):
            npm.install("left-pad", allow_scripts=[1])  # type: ignore[list-item]


class TestTheOtherCalls:
    def test_list_and_uninstall(self, project: Path) -> None:
        assert npm.list_modules() == {}
        npm.install("is-odd@3.0.1", "left-pad@1.3.0")
        assert npm.list_modules() == {"is-odd": "3.0.1", "left-pad": "1.3.0"}
        assert npm.list_modules("left-pad") == {"left-pad": "1.3.0"}
        assert npm.uninstall("is-odd", "never-installed") == {"is-odd": "3.0.1"}
        assert not (project / "node_modules/is-odd").exists()
        assert npm.list_modules() == {"left-pad": "1.3.0"}
        with pytest.raises(ValueError, match="name the packages"):
            npm.uninstall("--save-dev")

    def test_list_bears_a_package_that_is_missing(self, project: Path) -> None:
        npm.install("left-pad@1.3.0")
        described = json.loads((project / "package.json").read_text())
        described["dependencies"]["is-odd"] = "3.0.1"
        (project / "package.json").write_text(json.dumps(described))
        assert npm.list_modules() == {"left-pad": "1.3.0"}
        (project / "package.json").write_text("{")
        with pytest.raises(NpmError, match="EJSONPARSE"):
            npm.list_modules()

    def test_versions(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert npm.package_current_version("left-pad") is None
        npm.install("left-pad@1.2.0")
        (project / "sub").mkdir()
        monkeypatch.chdir(project / "sub")
        assert npm.package_current_version("left-pad") == "1.2.0"
        assert npm.package_latest_version("left-pad") == "1.3.0"
        with pytest.raises(NpmError, match="check the spelling"):
            npm.package_latest_version("bifrost-there-is-no-such-package")
        for name in ("left-pad@1", "..", "--json", "a b", ""):
            with pytest.raises(ValueError, match="no package name"):
                npm.package_latest_version(name)

    def test_nodejs_version_is_that_of_the_node_that_runs(self, project: Path) -> None:
        ran = npm.run("exec", "--", "node", "--version")
        assert npm.nodejs_version() == ran.strip()
        assert re.fullmatch(r"v\d+\.\d+\.\d+", npm.nodejs_version())

    def test_run_streams_and_returns_the_output(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "package.json").write_text(
            json.dumps({"scripts": {"say": "node say.js", "fail": "node say.js x && exit 7"}})
        )
        (project / "say.js").write_text(
            "console.log('  héé', process.argv.slice(2)); console.error('aside')"
        )
        assert npm.run("run --silent say") == "  héé []\n"
        shown = capsys.readouterr()
        assert (shown.out, "aside\n" in shown.err) == ("  héé []\n", True)
        assert "[ 'two words', '-g' ]" in npm.run("run", "say", "--", "two words", "-g")
        assert npm.run("run --silent say -- 'two words'") == "  héé [ 'two words' ]\n"
        with pytest.raises(NpmError) as caught:
            npm.run("run fail")
        assert caught.value.exit_code == 7
        with pytest.raises(ValueError, match="refused"):
            npm.run("install -g left-pad")

    def test_output_comes_while_the_script_runs(self, project: Path) -> None:
        (project / "package.json").write_text(
            json.dumps({"scripts": {"slow": "node -e \"console.log('a');setTimeout(()=>"
                                            "console.log('b'),600)\""}})
        )  # fmt: skip
        times: list[tuple[str, float]] = []

        class Clock(io.StringIO):
            def write(self, text: str) -> int:
                times.append((text, time.monotonic()))
                return super().write(text)

        with contextlib.redirect_stdout(Clock()):
            npm.run("run --silent slow")
        assert "".join(text for text, _ in times) == "a\nb\n"
        assert times[-1][1] - times[0][1] > 0.3


class TestWhatTheUserSees:
    def test_in_a_program_the_summary_goes_to_stderr(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        npm.install("left-pad@1.3.0")
        shown = capsys.readouterr()
        assert shown.out == ""
        assert re.search(r"^added 1 package.* in ", shown.err, re.MULTILINE)
        assert "deprecated left-pad" in shown.err or shown.err.count("\n") == 1
        assert "\r" not in shown.err
        assert "npm http" not in shown.err
        npm.install("left-pad@1.3.0", "--silent")
        assert capsys.readouterr() == ("", "")

    def test_in_a_terminal_one_live_line_and_the_summary(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setenv("TERM", "xterm")
        terminal = Terminal()
        with contextlib.redirect_stdout(terminal):
            npm.install("is-odd@3.0.1", "--prefer-online", "--cache=fresh-cache")
        live, _, last = terminal.getvalue().rpartition("\r")
        assert "npm install is-odd@3.0.1: 0s" in live
        assert re.fullmatch(r"added 2 packages.*\n", last)
        assert "\n" not in live

    @posix_only
    def test_in_a_real_terminal(self, project: Path) -> None:
        code = "from bifrost.frontend.npm import Npm; Npm().install('left-pad@1.3.0')"
        master, slave = os.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave,
            env={**os.environ, "TERM": "xterm"},
        ) as python:  # fmt: skip
            os.close(slave)
            shown = b""
            while select.select([master], [], [], 30)[0]:
                try:
                    shown += os.read(master, 4096)
                except OSError:  # Linux's end of file of a terminal
                    break
            os.close(master)
        assert python.returncode == 0
        assert b"\rnpm install left-pad@1.3.0: " in shown
        assert re.search(rb"\radded 1 package.*\n", shown)


@contextlib.contextmanager
def slow_install(project: Path, wait: Callable[[], bool]) -> Iterator[subprocess.Popen[str]]:
    """A Python program in the middle of an install whose script never ends."""
    run = "require('fs').writeFileSync('pid', String(process.pid)); setInterval(() => 0, 1e3)"
    script = f'node -e "{run}"'
    package(project / "slow", "slow", install=script)
    code = (
        "from bifrost.frontend.npm import Npm\n"
        "try: Npm().install('./slow', allow_scripts=True)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    python = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(300):
            if wait():
                break
            time.sleep(0.1)
        else:
            pytest.fail("the script did not start")
        yield python
    finally:
        python.kill()
        python.communicate()


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@posix_only
class TestTheEnd:
    def prepare(self, project: Path) -> tuple[Path, Callable[[], bool]]:
        pid = project / "slow" / "pid"
        return pid, lambda: pid.exists() and pid.read_text() != ""

    def test_ctrl_c_stops_npm_and_its_scripts(self, project: Path) -> None:
        pid, started = self.prepare(project)
        with slow_install(project, started) as python:
            group = group_of(int(pid.read_text()))
            assert group not in (None, os.getpgid(0))
            assert group is not None
            python.send_signal(signal.SIGINT)
            out, _ = python.communicate(timeout=20)
            assert out == "interrupted\n"
            assert not alive(group)

    def test_when_python_is_killed_npm_ends_too(self, project: Path) -> None:
        pid, started = self.prepare(project)
        with slow_install(project, started) as python:
            group = group_of(int(pid.read_text()))
            assert group is not None
            python.kill()
            python.wait()
            deadline = time.monotonic() + 10
            while alive(group) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not alive(group)
