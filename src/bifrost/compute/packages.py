"""npm packages for workers: the user's own where they are installed, else from Bifrost's cache.

The cache holds ``npm/NAME@VERSION/node_modules``: a package with what it depends on, installed
once. Each appears by one rename and never changes afterwards. Install scripts do not run.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..runtime.npm_errors import run_npm
from ..runtime.npm_process import Progress
from ..runtime.npm_project import installed_folder, package_version
from .folders import cache_folder, draft

__all__ = ["Package", "find_package"]


@dataclass(frozen=True)
class Package:
    """An installed npm package.

    Attributes:
        name: such as ``'@scope/name'``.
        version: such as ``'4.17.21'``.
        folder: where its files are.
        cached: whether it lies in Bifrost's cache, where it never changes.
    """

    name: str
    version: str
    folder: Path
    cached: bool

    @property
    def home(self) -> Path:
        """The folder whose ``node_modules`` has it."""
        return self.folder.parents[self.name.count("/") + 1]


def find_package(
    name: str, version: str | None = None, cwd: str | os.PathLike[str] | None = None
) -> Package:
    """Return a package, after fetching it from the registry if need be.

    Args:
        name: the package's name.
        version: an exact version, or what else npm understands (``'^4'``, ``'latest'``), for
            which the registry is asked each time. None takes any that is at hand.
        cwd: look for an installed one from here, instead of from the working directory.

    Raises:
        NpmError: npm could not fetch it.
    """
    exact = version is not None and re.match(r"\d+\.\d+\.\d+", version)
    if not version or exact:
        start = (Path.cwd() if cwd is None else Path(cwd).expanduser()).resolve()
        folder = installed_folder(start, name)
        found = package_version(folder) if folder else None
        if folder and found and version in (None, found):
            return Package(name, found, folder, cached=False)
        if cached := _cached(name, version):
            return cached
    return _fetch(name, version)


def _cached(name: str, version: str | None) -> Package | None:
    slug = name.replace("/", "+")
    places = (cache_folder() / "npm").glob(f"{slug}@{version or '*'}")
    found = {place: place.name[len(slug) + 1 :] for place in places}
    if not found:
        return None
    place = max(found, key=lambda place: [int(n) for n in re.findall(r"\d+", found[place])])
    return Package(name, found[place], place / "node_modules" / name, cached=True)


def _fetch(name: str, version: str | None) -> Package:
    root = cache_folder() / "npm"
    with draft(root) as folder:
        (folder / "package.json").write_text('{ "private": true }\n', encoding="utf-8")
        wanted = f"{name}@{version}" if version else name
        words = ["install", wanted, "--ignore-scripts", "--no-audit", "--no-fund"]
        run_npm(words, folder, Progress(words[1:2], folder, folder, final=False))
        got = package_version(folder / "node_modules" / name)
        if got is None:
            raise FileNotFoundError(f"npm installed {wanted} without node_modules/{name}")
        place = root / f"{name.replace('/', '+')}@{got}"
        try:
            folder.rename(place)
        except OSError:
            if not place.is_dir():
                raise
            # Another process was faster, or a range led to a version that is there.
        return Package(name, got, place / "node_modules" / name, cached=True)
