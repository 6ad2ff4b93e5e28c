"""Runs npm, shows what it does meanwhile, and ends it with everything that it started."""

from __future__ import annotations

import codecs
import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TextIO

from .binaries import find_node, npm_command

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


def execute(words: list[str], folder: Path, show: Silent) -> tuple[int, str, str]:
    """Run npm in `folder`; return its exit status, its output and its error output."""
    node = find_node()
    program = node.path.absolute()  # npm works in another folder
    argv = [str(Path(word).absolute()) for word in npm_command(node)]
    options = [] if (folder / "package.json").is_file() else ["--prefix", str(folder)]
    # Without package.json npm would walk up to any node_modules; --prefix pins the folder.
    if isinstance(show, Progress):
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
            if isinstance(show, Progress):
                show.close()


def _converse(process: subprocess.Popen[bytes], show: Silent) -> tuple[int, str, str]:
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


# --- what the user sees meanwhile -----------------------------------------------------------------


class Silent:
    """Shows nothing. The three hooks are called in the thread that called npm."""

    def out(self, text: str) -> None: ...
    def err(self, text: str) -> None: ...
    def tick(self) -> None: ...


class Stream(Silent):
    """Passes npm's output through as it comes."""

    def out(self, text: str) -> None:
        write(sys.stdout, text)

    def err(self, text: str) -> None:
        write(sys.stderr, text)


class Progress(Silent):
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
                write(self.stream, f"{line}{where}\n")

    def err(self, text: str) -> None:
        for line in self._lines("err", text):
            scripts = _SCRIPTS.match(line)
            if line.startswith("npm http"):
                # "fetch GET 200 https://.../a-1.0.0.tgz" and "cache a@https://.../a-1.0.0.tgz"
                self.fetched.update(re.findall(r"/([^/\s]+\.tgz)", line))
            elif scripts:
                self.blocked = self.blocked or "blocked" in line
                self.scripts += _SCRIPT_OF.findall(scripts[1])
            elif not is_noise(line) and not line.startswith("npm error") and self.final:
                self.warn(line + "\n")  # errors are for the exception to tell

    def warn(self, text: str) -> None:
        self._clear()
        if not self.silent:
            write(sys.stderr, text)

    def tick(self) -> None:
        if not self.live:
            return
        count = len(self.fetched)
        done = f"{count} package{'' if count == 1 else 's'} fetched, " if count else ""
        line = f"{self.what}: {done}{time.monotonic() - self.began:.0f}s"
        line = line[: shutil.get_terminal_size().columns - 1]
        if line != self.shown:
            write(self.stream, f"\r{line.ljust(len(self.shown))}")
            self.shown = line

    def _clear(self) -> None:
        if self.shown:
            write(self.stream, f"\r{' ' * len(self.shown)}\r")
            self.shown = ""

    def _lines(self, which: str, text: str) -> Iterator[str]:
        *lines, self.partial[which] = (self.partial[which] + text).split("\n")
        yield from (line.rstrip() for line in lines)

    def close(self) -> None:
        self._clear()


def write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # pythonw, or a daemon
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def is_noise(line: str) -> bool:
    """Lines that tell the user of a Python function nothing."""
    return (
        re.match(r"npm (error|ERR!) A complete log of this run", line) is not None
        or re.match(r"npm (warn|WARN) Unknown (user|env|global|builtin) config", line) is not None
        or line.startswith("npm http")
        or line.strip() in ("", "npm error", "npm ERR!")
    )
