"""What npm is asked to do, and where: its words, its folder, and what package.json says there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

AnyPath = str | os.PathLike[str]

_NAME = re.compile(r"(?:@[^@/\s]+/)?[^@/\s.\-:][^@/\s:]*")
_SECTIONS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def check_words(words: Iterable[AnyPath], *, whole: bool = False) -> list[str]:
    """The words as strings, or an error that says which is wrong and what to write."""
    checked = []
    for word in words:
        if not isinstance(word, str | os.PathLike):
            raise TypeError(
                f"npm takes strings, one per package, such as npm.install('a', 'b'); got {word!r}"
            )
        text = os.fspath(word)
        if not isinstance(text, str):
            raise TypeError(f"npm takes strings, not bytes: {word!r}")
        if not text.strip() or "\0" in text:
            raise ValueError(f"{text!r} is no package name and no word for npm")
        several = re.fullmatch(r"[\w.~/-]+(\s+[\w.~/@-]+)+", text) and text[0] not in "-./"
        if several and isinstance(word, str) and not whole:
            raise ValueError(f"one string per package: {', '.join(map(repr, text.split()))}")
        checked.append(text)
    if not whole:
        refuse_global(checked)
    return checked


def refuse_global(words: list[str]) -> None:
    own = words[: words.index("--")] if "--" in words else words
    for word in own:
        if re.fullmatch(r"-g|--global(=true)?|--location=global|--prefix(=.*)?", word):
            raise ValueError(
                f"{word} is refused: with it npm would work outside of your project, perhaps in "
                "Python's own packages; say cwd=FOLDER, or use an npm of your own for that"
            )


def check_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a package name is a string, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no package name (write it without a version)")
    return name


def start_folder(cwd: AnyPath | None) -> Path:
    start = (Path.cwd() if cwd is None else Path(cwd).expanduser()).resolve()
    if not start.is_dir():
        raise NotADirectoryError(f"{start} is no folder")
    return start


def nearest_project(start: Path) -> Path:
    """The nearest folder with a package.json at or above `start`, else `start`."""
    above = (folder for folder in (start, *start.parents) if (folder / "package.json").is_file())
    return next(above, start)


def writable_project(start: Path) -> Path:
    folder = nearest_project(start)
    if folder == folder.parent or {"site-packages", "dist-packages"} & set(folder.parts):
        kind = "the file system's root" if folder == folder.parent else "for Python packages"
        raise ValueError(
            f"npm would work in {folder}, which is {kind}; change the working directory, or say "
            "where with cwd=FOLDER"
        )
    return folder


def local_path(word: AnyPath, start: Path) -> str:
    """A path, which npm would take from the project's folder, taken from the working directory."""
    text = os.fspath(word)
    path = text.removeprefix("file:")
    dotted = re.match(r"\.{1,2}(/|\\|$)", path)
    packed = path.endswith((".tgz", ".tar.gz")) and (start / path).is_file()
    if not isinstance(word, str) or dotted or packed:
        return str((start / path).resolve())
    return text


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def dependencies(folder: Path) -> dict[str, str]:
    """What package.json asks for: name -> version range, path or URL."""
    package = _read(folder / "package.json")
    sections = [package.get(section) for section in reversed(_SECTIONS)]
    return {k: str(v) for found in sections if isinstance(found, dict) for k, v in found.items()}


def installed_folder(start: Path, name: str) -> Path | None:
    """Where a package is installed, sought as `require` does: here, then in the folders above."""
    for place in (start, *start.parents):
        folder = place / "node_modules" / name
        if (folder / "package.json").is_file():
            return folder
    return None


def package_version(folder: Path) -> str | None:
    """The version that a package's own package.json states."""
    version = _read(folder / "package.json").get("version")
    return str(version) if version else None


def installed_versions(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The installed versions, of those packages that are installed."""
    found = {}
    for name in names:
        place = installed_folder(folder, name)
        if place and (version := package_version(place)):
            found[name] = version
    return found


def names_asked_for(words: list[str], before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names of the packages that npm's words ask for."""
    asked = [word for word in words if not word.startswith("-")]
    if not asked:
        return list(after)
    names: dict[str, None] = {}
    for word in asked:
        match = _NAME.match(word)
        if match and match.end() < len(word) and word[match.end()] != "@":
            match = None  # a path or an address: `user/repo`, `https:`
        if match:
            names[match[0]] = None
        elif name := _read(Path(word) / "package.json").get("name"):
            names[str(name)] = None
        else:
            # A tarball or an address: what it added to package.json, or had added before.
            tail = re.sub(r"(\.git)?(#.*)?$", "", word).rpartition("/")[2]
            names |= {k: None for k, v in after.items() if before.get(k) != v or tail in v}
    return list(names)
