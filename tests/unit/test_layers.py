"""The house itself: imports run downward, both vocabularies agree, importing does nothing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bifrost
from bifrost.protocol import messages

HOME = Path(bifrost.__file__).parent
LAYERS = ["errors", "protocol", "runtime", "compute", "tfjs", "frontend", "__init__", "__main__"]
JS_LAYERS = ["protocol", "runtime", "sandbox", "compute", "frontend", "main"]
PYTHON = sorted(HOME.rglob("*.py"))
JS = sorted(path for path in (HOME / "js").rglob("*.js") if "node_modules" not in path.parts)


def rank(path: Path, home: Path, layers: list[str]) -> int:
    return layers.index(path.relative_to(home).parts[0].removesuffix(".py").removesuffix(".js"))


def names(path: Path) -> list[str]:
    """The first parts, below the package, of what a module imports when it is imported."""
    package = path.relative_to(HOME.parent).parts[:-1]
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            inner = [part for part in base if part][1:]
            found += inner[:1] or [alias.name for alias in node.names]
    return found


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(HOME)))
def test_python_imports_run_downward(path: Path) -> None:
    own = rank(path, HOME, LAYERS)
    above = [name for name in names(path) if name in LAYERS and LAYERS.index(name) > own]
    assert not above
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "no opening sentence"


@pytest.mark.parametrize("path", JS, ids=lambda path: str(path.relative_to(HOME)))
def test_javascript_imports_run_downward(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    own = rank(path, HOME / "js", JS_LAYERS)
    for target in re.findall(r"^(?:import|export) .*?from '(\.[^']+)'", text, re.M | re.S):
        assert rank((path.parent / target).resolve(), HOME / "js", JS_LAYERS) <= own, target
    assert text.startswith("/**"), "no opening sentence"


@pytest.mark.parametrize(
    ("python", "js"),
    [(messages.Message, "Message"), (messages.Ext, "Ext"), (messages.ArrayKind, "ArrayKind")],
)
def test_both_vocabularies_agree(python: type[messages.IntEnum], js: str) -> None:
    text = (HOME / "js" / "protocol" / "messages.js").read_text(encoding="utf-8")
    block = re.search(rf"const {js} = Object.freeze\(\{{(.*?)\}}\)", text, re.S)
    assert block is not None
    numbers = {name: int(number) for name, number in re.findall(r"(\w+): (\d+)", block[1])}
    assert numbers == {member.name: int(member) for member in python}
    assert f"VERSION = {messages.VERSION};" in text


def test_importing_does_nothing(tmp_path: Path) -> None:
    script = """
import json, os, sys, threading
sys.addaudithook(lambda event, args: seen.append(event) if event in watched else None)
seen, watched = [], {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.mkdir"}
fds = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
import bifrost
from bifrost import node, npm
after = set(os.listdir("/proc/self/fd")) if fds else set()
repr(node)
print(json.dumps([seen, threading.active_count(), len(after - fds), os.listdir(".")]))
"""
    out = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(out.stdout) == [[], 1, 0, []]
    assert out.stderr == ""
