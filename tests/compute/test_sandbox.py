"""How far workers are shut in, and what is said where that is not as far as it should be."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from bifrost.compute import SandboxError, sandbox
from bifrost.compute.engine import Work, new_id
from bifrost.compute.policy import Policy
from bifrost.compute.worker import Worker, WorkerDied
from bifrost.protocol import parcels

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
NOTHING = b"".join(parcels.pack([]))


def lacking(monkeypatch: pytest.MonkeyPatch, **missing: str) -> None:
    found = dataclasses.replace(sandbox.survey(), missing=missing)
    monkeypatch.setattr(sandbox, "survey", lambda: found)


def test_strict_refuses_where_a_layer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, landlock="the kernel has none")
    with pytest.raises(SandboxError, match="landlock: the kernel has none") as caught:
        sandbox.require("strict")
    assert caught.value.missing == {"landlock": "the kernel has none"}
    with pytest.raises(SandboxError):
        Worker("strict")
    sandbox.require("standard")


@pytest.mark.parametrize("layer", [name for name in sandbox.LAYERS if name != "realm"])
def test_standard_takes_what_there_is(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, **{**sandbox.survey().missing, layer: "for a test"})
    sandbox._warn.cache_clear()
    with pytest.warns(RuntimeWarning, match=layer):
        sandbox.require("standard")
    with Worker("standard", 128 << 20) as worker:
        worker.assign(Work(new_id(), "(x) => x + 1", NOTHING, (), NOTHING, Policy()))
        worker.run([parcels.pack(1)], lambda position, what, *rest: None)


def test_strict_has_a_bound_on_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    if sandbox.survey().missing:
        pytest.skip("this system lacks a layer")
    monkeypatch.setattr("bifrost.compute.worker.STRICT_PROGRESS_TIMEOUT", 0.3)
    with Worker("strict") as worker:
        worker.assign(Work(new_id(), "() => { for (;;); }", NOTHING, (), NOTHING, Policy()))
        with pytest.raises(WorkerDied, match="progress_timeout") as caught:
            worker.run([parcels.pack(1)], lambda position, what, *rest: None)
    assert caught.value.code == "ENOPROGRESS"


@LINUX
def test_what_the_kernel_says_of_a_worker() -> None:
    missing = sandbox.survey().missing
    with Worker("standard", 256 << 20) as worker:
        worker.assign(Work(new_id(), "(x) => x", NOTHING, (), NOTHING, Policy()))
        worker.run([parcels.pack(1)], lambda position, what, *rest: None)
        proc = Path("/proc", str(worker.pid))
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        if "seccomp" not in missing:
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        if os.geteuid() == 0 and "user" not in missing:
            assert status["Uid"].split() == ["65534"] * 4
            assert status["CapEff"].strip("0") == ""
        environment = (proc / "environ").read_text().split("\0")
        assert {line.partition("=")[0] for line in environment} <= {
            "OPENSSL_CONF",
            "TZ",
            "LC_ALL",
            "",
        }
        assert (proc / "cwd").readlink() == Path("/")
        opened = [os.readlink(fd) for fd in (proc / "fd").iterdir()]
        assert all(name.startswith(("pipe:", "anon_inode:", "/dev/null")) for name in opened), (
            opened
        )
        limits = (proc / "limits").read_text()
        assert "Max core file size        0 " in limits
        assert "Max file size             0 " in limits


@LINUX
def test_a_folder_that_nobody_else_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package lies under /root, uid 65534 cannot read it: then it is not that user."""
    if os.geteuid() != 0:
        pytest.skip("only root gives up a user")
    tmp_path.chmod(0o700)
    hidden = tmp_path / "main.js"
    hidden.write_text("")
    monkeypatch.setattr(sandbox, "_MAIN", hidden)
    found = sandbox._survey.__wrapped__(sandbox.survey().node)
    assert list(found.missing) == ["user"]
    assert "could not read" in found.missing["user"]
