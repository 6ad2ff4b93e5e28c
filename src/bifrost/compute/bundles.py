"""npm packages as modules for workers: one CommonJS source each, bundled here by esbuild."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from ..errors import ModuleError
from ..runtime.binaries import find_node
from .folders import cache_folder
from .modules import Module
from .packages import Package, find_package

__all__ = ["bundle"]

ESBUILD: Final = "0.28.2"

_REQUIRED: Final = re.compile(r"npm:((?:@[\w.~-]+/)?[\w.~-]+)(?:@([^/\s]+))?(/[^\s]+)?")
_SCRIPT: Final = Path(__file__).resolve().parent.parent / "js" / "compute" / "bundle.js"


def bundle(name: str, cwd: str | os.PathLike[str] | None = None) -> Module:
    """Return a package of npm, and all that it needs, as one module.

    A package that is installed at ``cwd`` or above is bundled anew each time, since its files may
    change; another comes from Bifrost's cache, after it was fetched from the registry.

    Args:
        name: ``'npm:lodash'``, ``'npm:lodash@4.17.21'``, ``'npm:@scope/name/file'``.
        cwd: where to look for an installed package, instead of the working directory.

    Raises:
        ModuleError: the package needs what a sandbox does not have, or has no such file.
        NpmError: npm could not fetch it, or esbuild.
    """
    match = _REQUIRED.fullmatch(name)
    if match is None:
        raise ModuleError(
            name, f"{name!r} names no package of npm: write 'npm:name' or 'npm:name@1.2.3'"
        )
    package = find_package(match[1], match[2], cwd)
    request = package.name + (match[3] or "")
    if not package.cached:
        return Module(f"npm:{request}", _build(name, request, package), package.version)
    # All that the source depends on; of this script, all but the file's time.
    key = "\n".join([request, package.version, ESBUILD, _SCRIPT.read_text("utf-8")])
    place = cache_folder() / "bundles" / f"{hashlib.sha256(key.encode()).hexdigest()}.js"
    try:
        source = place.read_text("utf-8")
    except FileNotFoundError:
        source = _build(name, request, package)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=place.parent, delete=False) as draft:
            draft.write(source.encode())
        Path(draft.name).replace(place)
    return Module(f"npm:{request}", source, package.version)


def _build(name: str, request: str, package: Package) -> str:
    esbuild = find_package("esbuild", ESBUILD, cache_folder())
    done = subprocess.run(
        [str(find_node().path), str(_SCRIPT), str(esbuild.folder), request, str(package.home)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise ModuleError(name, f"{name} could not be bundled; esbuild said:\n{said}")
    result = json.loads(done.stdout)
    if result["problems"]:
        raise ModuleError(name, _explain(name, package, result["problems"]))
    return str(result["source"])


def _explain(name: str, package: Package, problems: list[dict[str, Any]]) -> str:
    """Say what of a package does not go into a sandbox."""
    builtins = {problem["builtin"]: problem["file"] for problem in problems if problem["builtin"]}
    if not builtins:
        texts = "\n".join(f"  {problem['file']}: {problem['text']}" for problem in problems)
        return f"{name} ({package.version}) could not be bundled:\n{texts}"
    needed = ", ".join(f"{builtin!r} (in {file})" for builtin, file in builtins.items())
    text = (
        f"{name} ({package.version}) needs of Node.js what a worker's sandbox does not have: "
        f"{needed}; require a package that runs in browsers, or one of its files"
    )
    if builtins.keys() <= _STANDINS:
        both = ", ".join(repr(word) for word in [package.name, *builtins])
        text += f", or install what npm has in place of it here: `npm.install({both})`"
    return text


#: Packages of npm that have the name of a module of Node.js, and do the same anywhere.
_STANDINS: Final = frozenset(
    {"assert", "buffer", "constants", "events", "punycode", "querystring", "string_decoder", "url"}
)
