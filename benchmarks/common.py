"""What the benchmarks share: measuring, tables, floors, and the peers beside which we stand.

A figure means little by itself on a machine that others use. Each table therefore holds a floor,
measured in the same minute, that nothing of its kind can get below; ratios to it can be compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bifrost.runtime.binaries import find_node

#: Tiny sizes, one round, no peers: whether the benchmarks run at all.
QUICK = bool(os.environ.get("BIFROST_BENCH_QUICK"))

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "build" / "bench-peers"
PACKAGES = ("numpy", "orjson", "javascript", "pythonmonkey", "mini-racer")
PEER_TIMEOUT = 30.0


@dataclass
class Row:
    """One figure of a table, in seconds; `seconds` is None where there is only a note."""

    name: str
    seconds: float | None
    note: str = ""


@dataclass
class Table:
    """Figures of one kind, beside the floor they are to be compared with."""

    title: str
    floor: str
    rows: list[Row] = field(default_factory=list)

    def add(self, name: str, seconds: float | None, note: str = "") -> None:
        self.rows.append(Row(name, seconds, note))

    def cells(self) -> list[tuple[str, str, str, str]]:
        """The rows as they are shown: name, time, ratio to the floor, note."""
        floor = next((row.seconds for row in self.rows if row.name == self.floor), None)
        shown = []
        for row in self.rows:
            ratio = f"{row.seconds / floor:.3g}" if row.seconds is not None and floor else ""
            time = "-" if row.seconds is None else duration(row.seconds)
            shown.append((row.name, time, "floor" if row.name == self.floor else ratio, row.note))
        return shown

    def as_text(self) -> str:
        cells = [(self.title, "median", "x floor", ""), *self.cells()]
        widths = [max(len(row[column]) for row in cells) for column in range(3)]
        lines = [
            f"{name:<{widths[0]}}  {time:>{widths[1]}}  {ratio:>{widths[2]}}  {note}".rstrip()
            for name, time, ratio, note in cells
        ]
        return "\n".join([lines[0], "-" * (sum(widths) + 4), *lines[1:]])


def duration(seconds: float) -> str:
    """A time with three figures and a fitting unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            break
    value = seconds * factor
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def size(full: int, quick: int = 100) -> int:
    """How large a benchmark's input is."""
    return quick if QUICK else full


def median(
    action: Callable[..., Any],
    *,
    rounds: int = 1000,
    budget: float = 1.0,
    prepare: Callable[[], Any] | None = None,
) -> float:
    """The median time of an action, in seconds.

    Args:
        action: what to measure; it is given what `prepare` returns.
        rounds: how often at most.
        budget: seconds after which no further round begins (three are always made).
        prepare: makes the input of each round; not measured.
    """
    rounds = 3 if QUICK else rounds
    times: list[float] = []
    end = time.perf_counter() + budget
    for number in range(-2, rounds):  # the first two warm up
        given = [] if prepare is None else [prepare()]
        began = time.perf_counter()
        result = action(*given)
        took = time.perf_counter() - began
        del result, given  # letting go of it is part of the next round's life, not of this time
        if number >= 0:
            times.append(took)
        if time.perf_counter() > end and len(times) >= 3:
            break
    return statistics.median(times)


def in_new_python(code: str, rounds: int = 15) -> float:
    """What some Python takes in a new interpreter, without the interpreter's own start."""
    program = (
        "import time; began = time.perf_counter()\n"
        f"{code}\nprint(time.perf_counter() - began, flush=True)"
    )
    # Installed packages have their bytecode beside them.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times: list[float] = []

    def once() -> None:
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout))

    median(once, rounds=rounds, budget=3)
    return sorted(times[2:])[len(times[2:]) // 2]


# -- floors


class Echo:
    """A process at the other end of two pipes, that answers each message."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.write_fd = self.process.stdin.fileno()
        self.read_fd = self.process.stdout.fileno()

    def ask(self, message: bytes) -> bytes:
        """Send and wait, asleep."""
        os.write(self.write_fd, message)
        return os.read(self.read_fd, 65536)

    def ask_busily(self, message: bytes) -> bytes:
        """Send and wait, awake: on two cores that saves waking this one."""
        os.set_blocking(self.read_fd, False)
        os.write(self.write_fd, message)
        while True:
            try:
                return os.read(self.read_fd, 65536)
            except BlockingIOError:
                pass

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.stdin.close()  # type: ignore[union-attr]


def python_echo() -> Echo:
    """A Python that echoes 64 bytes."""
    code = "import os\nwhile data := os.read(0, 64): os.write(1, data)"
    return Echo([sys.executable, "-S", "-c", code])


def node_echo() -> Echo:
    """A bare Node.js that echoes through its event loop, as the bridge has to answer."""
    code = """
const { Socket } = require('net');
const fs = require('fs');
const callback = (length, buffer) => { fs.writeSync(1, buffer, 0, length); return true; };
new Socket({ fd: 0, onread: { buffer: Buffer.alloc(65536), callback } });
"""
    return Echo([str(find_node().path), "-e", code])


# -- peers


def peers_python() -> Path | None:
    """The Python of a virtual environment with the peers, made when first needed."""
    if QUICK or os.environ.get("BIFROST_BENCH_PEERS") == "0":
        return None
    python = PEERS / "bin" / "python"
    if not (PEERS / "ready").exists():
        print("(installing the peers to compare with, once)", file=sys.stderr)
        venv.create(PEERS, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        missing = []
        for package in PACKAGES:  # one by one: some exist for few platforms only
            if subprocess.run([*pip, package], capture_output=True).returncode:
                missing.append(package)
        if missing:
            print(f"(cannot install {', '.join(missing)})", file=sys.stderr)
        else:
            (PEERS / "ready").touch()
    return python


def add_peers(tables: dict[str, Table]) -> None:
    """Add what peers.py measures: its answers say which table, and what."""
    python = peers_python()
    if python is None:
        return
    # The same Node.js for everybody.
    path = os.pathsep.join([str(find_node().path.parent), os.environ.get("PATH", os.defpath)])
    for kind, table in tables.items():
        # orjson is no peer, but the better floor where JSON is one.
        json_floor = ("orjson",) if "json" in table.floor else ()
        for peer in (*json_floor, "JSPyBridge", "PythonMonkey", "mini-racer"):
            command = [str(python), str(HERE / "peers.py"), peer, kind]
            status, out, err = _run_alone(command, {**os.environ, "PATH": path})
            for line in out.splitlines():
                if line.startswith("["):
                    name, seconds, note = json.loads(line)
                    table.add(f"{peer}: {name}", seconds, note)
            if status is None:
                table.add(peer, None, f"not done after {PEER_TIMEOUT:g} s")
            elif status:
                reason = (err.strip().splitlines() or ["no reason given"])[-1]
                table.add(peer, None, f"failed: {reason[:60]}")


def _run_alone(command: Sequence[str], env: Mapping[str, str]) -> tuple[int | None, str, str]:
    """Run a program; end it, and what it leaves behind, in time. The status is None if late."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        # Files and no pipes: an orphan that holds a pipe would have us wait for it.
        process = subprocess.Popen(command, env=env, stdout=out, stderr=err, start_new_session=True)
        try:
            status = process.wait(PEER_TIMEOUT)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


# -- a benchmark's command line


def main(measure: Callable[[], list[Table]]) -> None:
    """Measure and print; with --json for report.py."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    options = parser.parse_args()
    tables = measure()
    if options.json:
        print(json.dumps([asdict(table) for table in tables]))
    else:
        print("\n\n".join(table.as_text() for table in tables) + "\n")
