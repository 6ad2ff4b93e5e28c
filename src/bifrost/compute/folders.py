"""Where Bifrost keeps files of its own: the user's folders by the XDG rules, or as they say."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "modules_folder"]


def modules_folder() -> Path:
    """The published modules: ``BIFROST_MODULES``, or ``bifrost/modules`` in the user's data."""
    return _folder("BIFROST_MODULES", "XDG_DATA_HOME", ".local/share", "bifrost/modules")


def cache_folder() -> Path:
    """What can be fetched or made anew: ``BIFROST_CACHE``, or ``bifrost`` in the user's cache."""
    return _folder("BIFROST_CACHE", "XDG_CACHE_HOME", ".cache", "bifrost")


def _folder(own: str, shared: str, usual: str, inside: str) -> Path:
    if chosen := os.environ.get(own):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get(shared, "")
    if os.name == "nt":
        base = base or os.environ.get("LOCALAPPDATA", "")
    # XDG has relative paths ignored: they would mean another folder for each working directory.
    home = Path(base) if os.path.isabs(base) else Path.home() / usual  # noqa: PTH117
    return home / inside
