"""Starts a Node.js that has been shut in, as far as this system can; and says how far that is.

Every layer is tried in a child before it is relied on, once in a process. What the layers are, and
what they do not give, is docs/sandbox.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import platform
import signal
import subprocess
import sys
import warnings
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import SandboxError
from ..runtime.binaries import NodeBinary, find_node
from ..runtime.machine import memory_size
from ..runtime.pipes import pipes_to_child
from . import seccomp
from .policy import Level

__all__ = ["LAYERS", "Child", "Survey", "default_memory", "require", "spawn", "survey"]

#: What shuts a worker in, by name, from the inside out.
LAYERS: Final = {
    "realm": "a V8 context of its own with DCP's list of globals; the realm around it is disarmed",
    "permissions": "Node.js's permission model: no files, processes, threads, add-ons, inspector",
    "surroundings": "empty environment, no other descriptor, a neutral working folder",
    "user": "not root: uid and gid 65534 where Python is root",
    "limits": "rlimits on memory, descriptors, written files and core dumps",
    "landlock": "the kernel shows it no file but Node.js, its libraries and Bifrost's JavaScript",
    "seccomp": "the kernel refuses sockets, processes, signals and some 140 further system calls",
    "parent": "the kernel ends it with the thread that started it",
}
#: Those that need Linux.
_LINUX: Final = ("landlock", "seccomp", "parent")
#: What also trusted code is given: none of it keeps it from anything.
_TRUSTED: Final = ("realm", "parent")

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_CONFINE: Final = str(Path(__file__).resolve().parent / "confine.py")
_JS: Final = _PACKAGE / "js"
_MAIN: Final = _JS / "sandbox" / "main.js"
_NOBODY: Final = 65534
_MEBIBYTE: Final = 1 << 20
#: What a worker may need beyond a Node.js that does nothing and its job's memory.
_MARGIN: Final = 64 * _MEBIBYTE
_PROBE_SECONDS: Final = 30.0
#: As much as anybody may ask for: the fewer are the times that one waits for the other.
_PIPE_SIZE: Final = _MEBIBYTE

_ENVIRONMENT: Final = {"OPENSSL_CONF": "/dev/null", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
_LIMITS: Final = {"CORE": 0, "FSIZE": 0, "NOFILE": 128, "MEMLOCK": 0, "MSGQUEUE": 0}
#: The first of these that a Node.js knows is its permission model.
_PERMISSION: Final = ("--permission", "--experimental-permission")
#: Given where a Node.js knows it: the permission model does not see what a database opens.
_WANTED_FLAGS: Final = ("--no-experimental-sqlite",)


@dataclass(frozen=True)
class Survey:
    """What this system, with this Node.js, can do to shut a worker in.

    Attributes:
        node: the Node.js that was tried.
        missing: the layers of `LAYERS` that cannot be had, and why.
        permission: the option that turns the permission model on.
        flags: further options for Node.js.
        libraries: the files that the executable is loaded with.
        baseline: writable memory that it reserves to begin with, in bytes.
    """

    node: NodeBinary
    missing: dict[str, str]
    permission: str
    flags: tuple[str, ...]
    libraries: tuple[str, ...]
    baseline: int


@dataclass(frozen=True)
class Child:
    """A Node.js that was started, and our ends of its pipes: requests, replies, output."""

    process: subprocess.Popen[bytes]
    requests: int
    replies: int
    output: int


def default_memory() -> int:
    """Return the share that one worker of the machine's memory has, in bytes."""
    return max(512 * _MEBIBYTE, memory_size() // (os.cpu_count() or 1))


def survey() -> Survey:
    """Find out, once, which layers there are.

    Raises:
        NodeNotFound: there is no Node.js.
    """
    return _survey(find_node())


def require(level: Level) -> None:
    """Make sure that workers can be confined as a job asks.

    At `standard` a warning says, once, which layers this system does not have.

    Raises:
        SandboxError: the level is `strict`, and a layer is missing.
        NodeNotFound: there is no Node.js.
    """
    found = survey()
    if level == "standard" and found.missing:
        _warn(", ".join(found.missing))
    if level == "strict" and found.missing:
        lines = "".join(f"\n  - {name}: {why}" for name, why in found.missing.items())
        raise SandboxError(
            f"sandbox='strict' cannot be had on this system:{lines}\n"
            "What to do: run the job where Linux has these (see `bifrost doctor`), or with"
            " sandbox='standard', which takes what there is.",
            found.missing,
        )


@functools.cache
def _warn(missing: str) -> None:
    warnings.warn(
        f"workers are confined by less than they could be: this system lacks {missing} (see"
        " `bifrost doctor`). Run only work functions that you trust, or ask for sandbox='strict'.",
        RuntimeWarning,
        stacklevel=3,
    )


def spawn(level: Level, memory: int | None = None, *, main: Path = _MAIN) -> Child:
    """Start a confined Node.js; the calling thread must live as long as it.

    Args:
        level: `trusted`, `standard` or `strict`.
        memory: bytes that it may use; None is this machine's share for one worker.
        main: the script that it runs.

    Raises:
        SandboxError: the level is `strict`, and a layer is missing.
        NodeNotFound: there is no Node.js.
    """
    require(level)
    found = survey()
    wanted = _TRUSTED if level == "trusted" else tuple(LAYERS)
    has = {name for name in wanted if name not in found.missing}
    return _start(_policy(found, memory or default_memory(), main, has))


def _policy(found: Survey, memory: int, main: Path, has: Set[str]) -> dict[str, Any]:
    """What `confine.py` is to do; the descriptors are not in it yet."""
    files = [_JS / "sandbox" / "*", _JS / "protocol" / "*", _JS / "package.json", main]
    flags = [*_node_flags(memory), *found.flags]
    if "permissions" in has:
        flags += [found.permission, *(f"--allow-fs-read={file}" for file in dict.fromkeys(files))]
    limits = {**_LIMITS, "DATA": found.baseline + memory + _MARGIN}
    policy: dict[str, Any] = {
        "command": [str(found.node.path.resolve()), *flags, str(main)],
        "environment": _ENVIRONMENT if "surroundings" in has else {**os.environ, **_ENVIRONMENT},
        "limits": limits if "limits" in has else None,
        "user": _NOBODY if "user" in has and os.geteuid() == 0 else None,
        "parent": os.getpid() if "parent" in has else None,
    }
    if "landlock" in has:
        policy["landlock"] = _files(found, main)
    if "seccomp" in has:
        policy["seccomp"] = seccomp.rules()
    return policy


def _node_flags(memory: int) -> list[str]:
    return [
        "--no-warnings",
        "--no-addons",
        "--no-deprecation",
        "--expose-internals",
        "--experimental-vm-modules",
        "--disallow-code-generation-from-strings",
        f"--max-old-space-size={max(64, memory // _MEBIBYTE)}",
    ]


def _files(found: Survey, main: Path) -> dict[str, list[str]]:
    """What Landlock lets be read, and executed."""
    libraries = [*found.libraries, str(found.node.path.resolve())]
    loaders = [path for path in found.libraries if Path(path).name.startswith(("ld-", "ld."))]
    read = ["/etc/ld.so.cache", "/dev/null", "/dev/urandom"]
    read += [str(_JS / "sandbox"), str(_JS / "protocol"), str(_JS / "package.json"), str(main)]
    return {"read": [*read, *libraries], "run": [libraries[-1], *loaders]}


def _start(policy: dict[str, Any]) -> Child:
    """Run a policy's command with two pipes, whose numbers come last on its command line."""
    with pipes_to_child(True, False, False) as (theirs, ours):
        requests, replies, output = theirs
        command = [*policy["command"], f"{requests},{replies}"]
        process = subprocess.Popen(
            _words({**policy, "command": command, "keep": [0, 1, 2, requests, replies]}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[requests, replies],
            start_new_session=True,
        )
    for fd in ours:
        os.set_blocking(fd, False)
        with contextlib.suppress(AttributeError, OSError):  # Linux has it, within limits
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return Child(process, *ours)


def _words(policy: dict[str, Any]) -> list[str]:
    return [sys.executable, "-I", "-S", "-B", _CONFINE, json.dumps(policy)]


# -- the survey

#: What a Node.js that is not confined tells of itself. Linux only: the files are /proc's.
_FACTS: Final = """
const fs = require('fs');
const read = (path) => { try { return fs.readFileSync(path, 'utf8') } catch { return '' } };
console.log(JSON.stringify({
  flags: process.argv.slice(1).filter((flag) => process.allowedNodeEnvironmentFlags.has(flag)),
  libraries: [...new Set(read('/proc/self/maps').match(/\\/.+$/gm) ?? [])],
  baseline: 1024 * Number(/^VmData:\\s*(\\d+)/m.exec(read('/proc/self/status'))?.[1] ?? 0),
}));
"""
#: Tries, in a confined Node.js without the permission model, what the layers are to refuse.
_TRIAL: Final = """
const fs = require('fs'), net = require('net');
const refused = (action) => { try { action(); return false } catch { return true } };
const [forbidden, needed] = process.argv.slice(1);
net.connect({ path: '/nowhere' }).on('error', (error) => {
  console.log(JSON.stringify({
    landlock: refused(() => fs.readFileSync(forbidden)),
    seccomp: error.code === 'EPERM',
    user: process.geteuid() !== 0,
    broken: refused(() => fs.readFileSync(needed)),
  }));
});
"""


@functools.lru_cache(maxsize=8)
def _survey(node: NodeBinary) -> Survey:
    missing: dict[str, str] = {}
    if not sys.platform.startswith("linux"):
        missing.update(dict.fromkeys(_LINUX, f"{sys.platform} has none"))
    if not sys.executable:
        unknown = "this Python does not know its own executable (sys.executable), to start it"
        missing.update(dict.fromkeys([*_LINUX, "surroundings", "user", "limits"], unknown))
    if "seccomp" not in missing and seccomp.rules() is None:
        missing["seccomp"] = f"there are no rules for this architecture ({platform.machine()})"
    facts = _ask([str(node.path), "-e", _FACTS, "--", *_PERMISSION, *_WANTED_FLAGS])
    if isinstance(facts, str):
        raise SandboxError(f"Node.js cannot be started for workers: {facts}", missing)
    permission = next((flag for flag in _PERMISSION if flag in facts["flags"]), "")
    flags = tuple(flag for flag in facts["flags"] if flag in _WANTED_FLAGS)
    if not permission:
        missing["permissions"] = f"Node.js {'.'.join(map(str, node.version))} has none"
    libraries = tuple(path for path in facts["libraries"] if Path(path).is_file())
    found = Survey(node, missing, permission, flags, libraries, facts["baseline"])
    layers = [name for name in LAYERS if name not in ("realm", "permissions", *missing)]
    answer = _try(found, layers)
    if isinstance(answer, str):
        # Something of it cannot be had. What? The others are tried together again.
        for name in layers:
            alone = _try(found, [name])
            if isinstance(alone, str):
                missing[name] = alone
        layers = [name for name in layers if name not in missing]
        answer = _try(found, layers)
    if isinstance(answer, str):
        raise SandboxError(f"Node.js cannot be started for workers: {answer}", missing)
    for name in ("landlock", "seccomp", "user"):
        if name in layers and not answer[name]:
            missing[name] = "accepted, but without effect"
    return found


def _try(found: Survey, layers: list[str]) -> dict[str, Any] | str:
    """Confine a Node.js by some layers; return what it found, or why it did not come to that."""
    policy = _policy(found, 512 * _MEBIBYTE, _MAIN, set(layers))
    policy["command"] = [policy["command"][0], "-e", _TRIAL, "--", _CONFINE, str(_MAIN)]
    answer = _ask(_words({**policy, "keep": [0, 1, 2]}))
    if isinstance(answer, dict) and answer["broken"]:
        return f"it could not read {_MAIN}"
    return answer


def _ask(command: list[str]) -> dict[str, Any] | str:
    """Run a command that prints JSON; return what it says, or in words why it says nothing.

    Raises:
        SandboxError: it was killed, or is late: that says nothing of this system's layers.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        late = f"a probe of the sandbox did not answer within {_PROBE_SECONDS:.0f} s: try again"
        raise SandboxError(late, {}) from None
    except OSError as error:
        return str(error)
    if done.returncode == -signal.SIGKILL:
        raise SandboxError("a probe of the sandbox was killed (for want of memory?): try again", {})
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    except ValueError:
        said = (done.stderr.strip() or done.stdout.strip())[-300:]
        return said or f"it ended with exit code {done.returncode}"
