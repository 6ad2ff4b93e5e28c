"""npm for Python: install and use npm packages beside the Python program that needs them.

Every call is one npm process, started without a shell in the folder of the nearest
``package.json`` (see :class:`Npm`), and gone when the call returns or raises.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TextIO
from urllib.parse import unquote

from ..errors import NpmError
from ..runtime.binaries import find_node, npm_command

__all__ = ["Npm"]

_Path = str | os.PathLike[str]

_NAME = re.compile(r"(?:@[^@/\s]+/)?[^@/\s.\-:][^@/\s:]*")
_SECTIONS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
# `npm warn install-scripts   name@1.2.3 (install: ...)`: npm 12 blocked it, npm 11 ran it.
_SCRIPTS = re.compile(r"^npm warn (?:allow|install)-scripts ?(.*)$")
_SCRIPT_OF = re.compile(r"^\s+(\S+?)(?:@[^@\s/]+)? \((?:pre|post)?(?:install|prepare)?.*\)$")

# npm's first process watches this pipe: when Python is gone, however it went, the pipe
# closes and npm ends its whole group, with the install scripts that it started.
_LIFELINE = (
    "import net from 'node:net';"
    "new net.Socket({fd:%d}).on('error',()=>{})"
    ".on('close',()=>process.kill(-process.pid,'SIGKILL')).resume().unref()"
)

_NETWORK = (
    "npm could not reach its registry. Check the connection; behind a proxy set HTTPS_PROXY, for "
    "another registry `npm.run('config', 'set', 'registry', URL)`. `npm.run('ping')` tests it."
)
_CERTIFICATE = (
    "The registry's certificate is not trusted. Behind a company proxy, name its certificate: "
    "`npm.run('config', 'set', 'cafile', PATH)`, or set NODE_EXTRA_CA_CERTS before Python starts."
)
_ADVICE: tuple[tuple[str, str], ...] = (
    ("ERESOLVE", "The packages ask for different versions of the same peer. Ask for versions that "
     "agree, or accept the conflict: {again}, '--legacy-peer-deps')`."),
    ("EBADENGINE|ENOTSUP", "The package wants another Node.js than {node}. Ask for an older version"
     " of the package, or point BIFROST_NODE at another Node.js."),
    ("EBADPLATFORM", "The package does not exist for this operating system or processor."),
    ("ESTRICTALLOWSCRIPTS", "strict-allow-scripts is set, and a package has an unreviewed install "
     "script: {again}, '--no-strict-allow-scripts', allow_scripts=[{scripts}])`."),
    ("EALLOWSCRIPTS", "npm has no --allow-scripts for a project; use `allow_scripts=[...]`."),
    ("ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH"
     "|ERR_SOCKET_TIMEOUT|FETCH_ERROR", _NETWORK),
    (r"\w*CERT\w*|UNABLE_TO_\w+|\w+_LOCALLY", _CERTIFICATE),
    ("E401|E403|ENEEDAUTH", "The registry refuses: log in (an `_authToken` line in ~/.npmrc), or "
     "check the package's name and your rights."),
    ("EACCES|EPERM|EROFS", "npm may not write there. Work in a folder of your own (`cwd=...`); if "
     "the path is npm's cache, make it yours again with chown, or pass '--cache=FOLDER'."),
    ("ENOSPC", "The disk is full: free space, or `npm.run('cache', 'clean', '--force')`."),
    ("EJSONPARSE", "A package.json is not valid JSON; the log names it."),
    ("EINTEGRITY", "A download or package-lock.json is damaged: `npm.run('cache', 'verify')`, then "
     "again; if it stays, remove the package's entry from package-lock.json."),
    ("EINVALIDTAGNAME|EINVALIDPACKAGENAME", "That is no package name; one argument per package: "
     "`npm.install('left-pad', 'is-odd@3')`."),
)  # fmt: skip


class Npm:
    """npm, working for the current folder; ``bifrost.npm`` is an instance of it.

    Each call works on the nearest folder at or above the working directory (or above ``cwd=``)
    that has a ``package.json``; where there is none, on the working directory itself. Python's
    own package folders are refused. Constructing starts and writes nothing.

    While npm works, a terminal or notebook shows one live line; at the end npm's own summary
    stays. In other programs only that summary and npm's warnings are written, to ``sys.stderr``.
    Pass npm's own flags as strings: ``'--silent'`` says nothing at all. Ctrl-C stops npm and
    everything it started. npm's standard input is empty: it can ask nothing.
    """

    def __repr__(self) -> str:
        return "<bifrost npm: install, uninstall, list_modules, run, package_current_version, ...>"

    def install(
        self,
        *packages: _Path,
        allow_scripts: bool | Iterable[str] | None = None,
        cwd: _Path | None = None,
    ) -> dict[str, str]:
        """Install packages, or with none named everything that package.json lists.

        Args:
            packages: names (``'left-pad'``, ``'left-pad@1.3'``), folders, tarballs, URLs, and
                npm's own flags (``'--save-dev'``).
            allow_scripts: the packages whose install scripts may run (they are recorded, with
                their version, in package.json's ``allowScripts``), or True for all. npm 12 and
                later run none otherwise; npm 11 and earlier run every script.
            cwd: work for this folder instead of the working directory.

        Returns:
            The packages asked for (with none named: all direct dependencies) and the version
            that is installed now.

        Raises:
            NpmError: npm failed; with its log and the next step.
            TypeError, ValueError: an argument is no package, or the folder is not for packages.

        Example:
            >>> npm.install('left-pad@1.3.0')
            {'left-pad': '1.3.0'}
        """
        if isinstance(allow_scripts, str):
            raise TypeError("allow_scripts is a list of package names, or True")
        allowed = allow_scripts if isinstance(allow_scripts, bool) else list(allow_scripts or [])
        if isinstance(allowed, list):
            _check_words(allowed)
        start = _start(cwd)
        _check_words(packages)
        words = [_local(word, start) for word in packages]
        folder = _writable(start)
        before = _direct(folder)
        progress = _Progress(words, folder, start)
        _npm(["install", *words], folder, progress)
        self._review(progress, words, packages, allowed, folder)
        return _versions(folder, _asked(words, before, _direct(folder)))

    def _review(
        self,
        progress: _Progress,
        words: list[str],
        packages: tuple[_Path, ...],
        allowed: bool | list[str],
        folder: Path,
    ) -> None:
        """Run and record the install scripts that are allowed; say how to allow the others."""
        pending = dict.fromkeys(progress.scripts)
        names = [name for name in pending if allowed is True or name in (allowed or [])]
        if names:
            # Approve what is there now: npm pins the version, and knows it for a path or URL.
            _npm(["approve-scripts", *names], folder, _Silent())
            if progress.blocked:
                _npm(["rebuild", *names], folder, _Progress(words, folder, folder, final=False))
        rest = [name for name in pending if name not in names]
        if rest:
            call = ", ".join(
                [*(repr(os.fspath(word)) for word in packages), f"allow_scripts={rest!r}"]
            )
            what = (
                f"npm did not run the install scripts of {', '.join(rest)}. If you trust them and "
                "they are needed (to fetch or compile a binary), allow them"
                if progress.blocked
                else f"npm ran the install scripts of {', '.join(rest)}, which npm 12 will not do "
                "unless they are allowed"
            )
            progress.warn(f"{what}: npm.install({call})\n")

    def uninstall(self, *packages: str, cwd: _Path | None = None) -> dict[str, str]:
        """Remove packages; returns those that were installed and are not any more.

        Raises:
            NpmError: npm failed.
            TypeError, ValueError: no package named, or an argument is no package.

        Example:
            >>> npm.uninstall('left-pad')
            {'left-pad': '1.3.0'}
        """
        words = _check_words(packages)
        names = [word for word in words if not word.startswith("-")]
        if not names:
            raise ValueError("name the packages to remove: npm.uninstall('left-pad')")
        start = _start(cwd)
        folder = _writable(start)
        before = _versions(folder, names)
        _npm(["uninstall", *words], folder, _Progress(words, folder, start, verb="uninstall"))
        after = _versions(folder, names)
        return {name: version for name, version in before.items() if name not in after}

    def list_modules(self, *args: str, cwd: _Path | None = None) -> dict[str, str]:
        """The direct dependencies that are installed, and their versions (``npm ls``).

        Args:
            args: names to look for, and flags of ``npm ls`` (``'--omit=dev'``).
            cwd: look there instead of the working directory.

        Raises:
            NpmError: npm failed. A missing or superfluous package is no failure.

        Example:
            >>> npm.list_modules()
            {'left-pad': '1.3.0'}
        """
        folder = _nearest(_start(cwd))
        command = ["ls", "--json", "--depth=0", *_check_words(args)]
        exit_code, out, log = _execute(command, folder, _Silent())
        try:
            tree: dict[str, Any] = json.loads(out)
        except ValueError:
            tree = {"error": {}}
        if exit_code and tree.get("error", {"code": "ELSPROBLEMS"}).get("code") != "ELSPROBLEMS":
            raise _error(command, exit_code, out, log, folder)
        found = tree.get("dependencies", {}).items()
        return {name: str(node["version"]) for name, node in found if "version" in node}

    def run(self, cmd: str, *args: str, cwd: _Path | None = None) -> str:
        """Run an npm command line; its output streams through, and its standard output returns.

        Args:
            cmd: the whole line (``'run build'``), or its first word when more are given; a
                single line is split as a shell would, but no shell is involved.
            args: further words, taken as they are.
            cwd: work there instead of the working directory.

        Raises:
            NpmError: npm, or the script it ran, failed.
            TypeError, ValueError: the command is empty, no string, or global.

        Example:
            >>> npm.run('view left-pad version')
            1.3.0
            '1.3.0\\n'
        """
        words = _check_words([cmd, *args], whole=True)
        if not args:
            words = shlex.split(cmd)
        _refuse_global(words)
        return _npm(words, _writable(_start(cwd)), _Stream())

    def package_current_version(self, name: str, *, cwd: _Path | None = None) -> str | None:
        """The version of a package that ``require`` would find here, or None.

        Example:
            >>> npm.package_current_version('left-pad')
            '1.3.0'
        """
        return _versions(_nearest(_start(cwd)), [_check_name(name)]).get(name)

    def package_latest_version(self, name: str, *, cwd: _Path | None = None) -> str:
        """The version that the registry calls latest.

        Raises:
            NpmError: there is no such package, or the registry cannot be reached.

        Example:
            >>> npm.package_latest_version('left-pad')
            '1.3.0'
        """
        command = ["view", _check_name(name), "version"]
        return _npm(command, _nearest(_start(cwd)), _Silent()).strip()

    def nodejs_version(self) -> str:
        """The version of the Node.js that Bifrost uses, such as ``'v24.19.0'``; starts no session.

        Raises:
            NodeNotFound: there is none.
        """
        return "v" + ".".join(map(str, find_node().version))


# --- what the user sees -----------------------------------------------------------------------


class _Silent:
    """Shows nothing. The three hooks are called in the thread that called npm."""

    def out(self, text: str) -> None: ...
    def err(self, text: str) -> None: ...
    def tick(self) -> None: ...


class _Stream(_Silent):
    """Passes npm's output through as it comes."""

    def out(self, text: str) -> None:
        _write(sys.stdout, text)

    def err(self, text: str) -> None:
        _write(sys.stderr, text)


class _Progress(_Silent):
    """One live line while npm works, npm's warnings as they come, its summary at the end."""

    def __init__(
        self, words: list[str], folder: Path, start: Path, verb: str = "install", final: bool = True
    ) -> None:
        out = sys.stdout
        # Where a person looks, progress is output; elsewhere standard output is the program's.
        terminal = out is not None and out.isatty() and os.environ.get("TERM") != "dumb"
        person = terminal or type(out).__module__.startswith("ipykernel")
        self.stream = out if person else sys.stderr
        self.silent = not {"-s", "--silent", "--loglevel=silent"}.isdisjoint(words)
        self.live = person and not self.silent
        self.final = final  # else another npm will say how it ended
        self.where = "" if folder == start else f" (in {folder})"
        self.what = f"npm {verb} {' '.join(word for word in words if not word.startswith('-'))}"
        self.began = time.monotonic()
        self.fetched: set[str] = set()
        self.scripts: list[str] = []
        self.blocked = False
        self.shown = ""
        self.partial = {"out": "", "err": ""}

    def out(self, text: str) -> None:
        for line in self._lines("out", text):
            # Funding and "found 0 vulnerabilities" are npm's small talk.
            talk = re.search(r"looking for funding|npm fund|found 0", line)
            if line and self.final and not talk:
                self._clear()
                where, self.where = self.where, ""
                _write(self.stream, f"{line}{where}\n")

    def err(self, text: str) -> None:
        for line in self._lines("err", text):
            scripts = _SCRIPTS.match(line)
            if line.startswith("npm http"):
                # "fetch GET 200 https://.../a-1.0.0.tgz" and "cache a@https://.../a-1.0.0.tgz"
                self.fetched.update(re.findall(r"/([^/\s]+\.tgz)", line))
            elif scripts:
                self.blocked = self.blocked or "blocked" in line
                self.scripts += _SCRIPT_OF.findall(scripts[1])
            elif not _noise(line) and not line.startswith("npm error") and self.final:
                self.warn(line + "\n")  # errors are for the exception to tell

    def warn(self, text: str) -> None:
        self._clear()
        if not self.silent:
            _write(sys.stderr, text)

    def tick(self) -> None:
        if not self.live:
            return
        count = len(self.fetched)
        done = f"{count} package{'' if count == 1 else 's'} fetched, " if count else ""
        line = f"{self.what}: {done}{time.monotonic() - self.began:.0f}s"
        line = line[: shutil.get_terminal_size().columns - 1]
        if line != self.shown:
            _write(self.stream, f"\r{line.ljust(len(self.shown))}")
            self.shown = line

    def _clear(self) -> None:
        if self.shown:
            _write(self.stream, f"\r{' ' * len(self.shown)}\r")
            self.shown = ""

    def _lines(self, which: str, text: str) -> Iterator[str]:
        *lines, self.partial[which] = (self.partial[which] + text).split("\n")
        yield from (line.rstrip() for line in lines)

    def close(self) -> None:
        self._clear()


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # pythonw, or a daemon
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _noise(line: str) -> bool:
    """Lines that tell the user of a Python function nothing."""
    return (
        re.match(r"npm (error|ERR!) A complete log of this run", line) is not None
        or re.match(r"npm (warn|WARN) Unknown (user|env|global|builtin) config", line) is not None
        or line.startswith("npm http")
        or line.strip() in ("", "npm error", "npm ERR!")
    )


# --- folders and words ------------------------------------------------------------------------


def _check_words(words: Iterable[_Path], *, whole: bool = False) -> list[str]:
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
        _refuse_global(checked)
    return checked


def _refuse_global(words: list[str]) -> None:
    own = words[: words.index("--")] if "--" in words else words
    for word in own:
        if re.fullmatch(r"-g|--global(=true)?|--location=global|--prefix(=.*)?", word):
            raise ValueError(
                f"{word} is refused: with it npm would work outside of your project, perhaps in "
                "Python's own packages; say cwd=FOLDER, or use an npm of your own for that"
            )


def _check_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a package name is a string, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no package name (write it without a version)")
    return name


def _start(cwd: _Path | None) -> Path:
    start = (Path.cwd() if cwd is None else Path(cwd).expanduser()).resolve()
    if not start.is_dir():
        raise NotADirectoryError(f"{start} is no folder")
    return start


def _nearest(start: Path) -> Path:
    """The nearest folder with a package.json at or above `start`, else `start`."""
    above = (folder for folder in (start, *start.parents) if (folder / "package.json").is_file())
    return next(above, start)


def _writable(start: Path) -> Path:
    folder = _nearest(start)
    if folder == folder.parent or {"site-packages", "dist-packages"} & set(folder.parts):
        kind = "the file system's root" if folder == folder.parent else "for Python packages"
        raise ValueError(
            f"npm would work in {folder}, which is {kind}; change the working directory, or say "
            "where with cwd=FOLDER"
        )
    return folder


def _local(word: _Path, start: Path) -> str:
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


def _direct(folder: Path) -> dict[str, str]:
    """What package.json asks for: name -> version range, path or URL."""
    package = _read(folder / "package.json")
    sections = [package.get(section) for section in reversed(_SECTIONS)]
    return {k: str(v) for found in sections if isinstance(found, dict) for k, v in found.items()}


def _versions(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The installed versions, looked up as `require` does: here, then in the folders above."""
    found = {}
    for name in names:
        for place in (folder, *folder.parents):
            version = _read(place / "node_modules" / name / "package.json").get("version")
            if version:
                found[name] = str(version)
                break
    return found


def _asked(words: list[str], before: dict[str, str], after: dict[str, str]) -> list[str]:
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


# --- the process ------------------------------------------------------------------------------


def _npm(words: list[str], folder: Path, show: _Silent) -> str:
    """Run npm and return its standard output; raise NpmError when it fails."""
    exit_code, out, log = _execute(words, folder, show)
    if exit_code:
        raise _error(words, exit_code, out, log, folder)
    return out


def _execute(words: list[str], folder: Path, show: _Silent) -> tuple[int, str, str]:
    """Run npm in `folder`; return its exit status, its output and its error output."""
    node = find_node()
    program = node.path.absolute()  # npm works in another folder
    argv = [str(Path(word).absolute()) for word in npm_command(node)]
    options = [] if (folder / "package.json").is_file() else ["--prefix", str(folder)]
    # Without package.json npm would walk up to any node_modules; --prefix pins the folder.
    if isinstance(show, _Progress):
        options.append("--loglevel=http")  # one line per download, to count
    env = {**os.environ, "npm_config_update_notifier": "false"}
    if shutil.which("node") != str(program):  # scripts get the same Node.js
        env["PATH"] = os.pathsep.join([str(program.parent), env.get("PATH", os.defpath)])
    prefix = program.resolve().parent.parent
    if (prefix / "include" / "node" / "node_api.h").is_file():
        # node-gyp compiles with these headers, and need not download the same ones.
        env.setdefault("npm_package_config_node_gyp_nodedir", str(prefix))
    posix: dict[str, Any] = {}
    with contextlib.ExitStack() as owned:
        if os.name == "posix":
            fd, lifeline = os.pipe()
            reading = owned.enter_context(os.fdopen(fd, "rb"))
            owned.enter_context(os.fdopen(lifeline, "wb"))
            posix = {"start_new_session": True, "pass_fds": [fd]}
            if argv[0] == str(program):
                argv = [argv[0], "--import", f"data:text/javascript,{_LIFELINE % fd}", *argv[1:]]
        process = subprocess.Popen(
            [*argv, words[0], *options, *words[1:]],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            **posix,
        )
        try:
            if os.name == "posix":
                reading.close()
            return _converse(process, show)
        except BaseException:
            _stop(process)
            raise
        finally:
            if isinstance(show, _Progress):
                show.close()


def _converse(process: subprocess.Popen[bytes], show: _Silent) -> tuple[int, str, str]:
    """Hand npm's output to `show`, in the calling thread, until npm ends."""
    assert process.stdout is not None
    assert process.stderr is not None
    arrived: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def pump(which: int, pipe: IO[bytes]) -> None:
        with pipe:
            while data := pipe.read(65536):
                arrived.put((which, data))
        arrived.put((which, b""))

    pipes = (process.stdout, process.stderr)
    readers = [threading.Thread(target=pump, args=pair, daemon=True) for pair in enumerate(pipes)]
    for reader in readers:
        reader.start()
    decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in pipes]
    texts: list[list[str]] = [[], []]
    hooks = (show.out, show.err)
    open_pipes, idle = 2, 0
    # A service that a script leaves behind may hold the pipes for ever: npm's own end counts.
    while open_pipes and idle < 5:
        try:
            which, data = arrived.get(timeout=0.1)
        except queue.Empty:
            idle += process.poll() is not None
            show.tick()
            continue
        text = decoders[which].decode(data, final=not data)
        open_pipes -= not data
        if text:
            texts[which].append(text)
            hooks[which](text)
    exit_code = process.wait()
    if not open_pipes:
        for reader in readers:
            reader.join()
    return exit_code, "".join(texts[0]), "".join(texts[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End npm and what it started: politely, so that it tidies up, and then for certain."""
    if os.name != "posix":
        process.kill()
        process.wait()
        return
    try:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGINT)
            process.wait(2)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# --- errors -----------------------------------------------------------------------------------


def _error(words: list[str], exit_code: int, out: str, log: str, folder: Path) -> NpmError:
    kept = [line for line in log.splitlines() if not _noise(line)]
    if not any(line.startswith(("npm error", "npm ERR!")) for line in kept):
        kept = [*out.strip().splitlines()[-20:], *kept]
    text = "\n".join(kept)
    return NpmError(words, exit_code, text, _advice(words, text, folder))


def _advice(words: list[str], log: str, folder: Path) -> str:
    """The next step for the failures that have one."""
    found = re.search(r"^npm (?:error|ERR!) code (\S+)", log, re.MULTILINE)
    code = found[1] if found else ""
    if code == "E404":
        asked = re.search(r"'((?:@[^/'\s]+/)?[^@/'\s]+)(?:@[^']*)?' (?:is not|could not)", log)
        name = unquote(asked[1]) if asked else "the package"
        return (
            f"The registry has no {name}: check the spelling "
            f"(https://www.npmjs.com/search?q={name if asked else ''}). "
            "A private package needs its registry and a login in ~/.npmrc."
        )
    if code == "ETARGET":
        missing = re.search(r"No matching version found for ((?:@[^/\s]+/)?[^@\s]+)", log)
        if missing:
            return _available(missing[1], folder)
    if "gyp ERR!" in log or "node-gyp" in log:
        return (
            "A part written in C or C++ did not compile: it needs make, a C++ compiler and "
            "Python (Debian: build-essential; macOS: xcode-select --install). The log's `gyp "
            "ERR!` lines name the fault; a newer version may bring compiled files."
        )
    version = "v" + ".".join(map(str, find_node().version))
    again = f"`npm.{words[0]}({', '.join(map(repr, words[1:]))}"
    scripts = ", ".join(repr(n) for n in re.findall(r"^npm error\s+(\S+)@\S+ \(", log, re.M))
    for codes, advice in _ADVICE:
        if re.fullmatch(codes, code):
            return advice.format(again=again, node=version, scripts=scripts)
    if code.isdigit() and (path := re.search(r"^npm (?:error|ERR!) path (.+)$", log, re.M)):
        return f"A script of the package in {path[1]} failed; its output is in the log."
    return ""


def _available(name: str, folder: Path) -> str:
    exit_code, out, _ = _execute(["view", name, "versions", "--json"], folder, _Silent())
    try:
        versions = json.loads(out) if not exit_code else []
    except ValueError:
        versions = []
    newest = ([versions] if isinstance(versions, str) else versions)[-5:]
    if not newest:
        return f"Ask for another version: `npm.run('view {name} versions')` lists them."
    return (
        f"The newest versions of {name} are {', '.join(map(str, newest))}; "
        f"`npm.run('view {name} versions')` lists all."
    )
