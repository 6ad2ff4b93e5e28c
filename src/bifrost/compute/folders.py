"""Where Bifrost keeps files of its own: the user's folders by the XDG rules, or as they say."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["cache_folder", "draft", "modules_folder"]

_DRAFT: Final = ".draft-"
#: Nobody works on a draft for so long, in seconds.
_STALE: Final = 24 * 3600.0


def modules_folder() -> Path:
    """The published modules: ``BIFROST_MODULES``, or ``bifrost/modules`` in the user's data."""
    return _folder("BIFROST_MODULES", "XDG_DATA_HOME", ".local/share", "bifrost/modules")


def cache_folder() -> Path:
    """What can be fetched or made anew: ``BIFROST_CACHE``, or ``bifrost`` in the user's cache."""
    return _folder("BIFROST_CACHE", "XDG_CACHE_HOME", ".cache", "bifrost")


@contextlib.contextmanager
def draft(root: Path) -> Iterator[Path]:
    """A new folder in `root` to work in, and then to rename; what is not renamed is removed.

    Renaming is what makes it visible to others, whole, so that they need no lock.
    """
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{_DRAFT}*"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=root))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(own: str, shared: str, usual: str, inside: str) -> Path:
    if chosen := os.environ.get(own):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get(shared, "")
    if os.name == "nt":
        base = base or os.environ.get("LOCALAPPDATA", "")
    # XDG has relative paths ignored: they would mean another folder for each working directory.
    home = Path(base) if os.path.isabs(base) else Path.home() / usual  # noqa: PTH117
    return home / inside
