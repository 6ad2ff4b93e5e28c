"""Runs every benchmark and prints its tables; with --write, docs/performance.md as well."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from common import HERE, Row, Table

from bifrost.runtime.binaries import addon_path, find_node

BENCHMARKS = (
    "bench_start",
    "bench_calls",
    "bench_objects",
    "bench_values",
    "bench_arrays",
    "bench_compute",
)
PAGE = HERE.parent / "docs" / "performance.md"

HEAD = """\
# Performance

Made by `make bench ARGS=--write`; figures of one run. Times are medians. Each table has a *floor*,
measured in the same minute: the least that anything of its kind must cost here. Compare ratios to
it, not times: the machine is shared, and another one has other times.

The peers are measured in the same run, at what each does best: PythonMonkey and mini-racer run an
engine inside Python's process (no Node.js: no `require`, no event loop of Node's, no isolation of
crashes), so that their calls cost no message. JSPyBridge joins a Node.js process as Bifrost does.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} anew")
    options = parser.parse_args()
    parts = [HEAD, "## The machine\n", *machine(), ""]
    for name in BENCHMARKS:
        for number, table in enumerate(run(name)):
            print(table.as_text(), end="\n\n", flush=True)
            if number == 0:
                parts += [f"## {summary(name)}\n"]
            parts += [*markdown(table), ""]
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
        print(f"Written to {PAGE}")
    return 0


def run(name: str) -> list[Table]:
    """The tables of one benchmark, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    tables = json.loads(done.stdout)
    return [Table(t["title"], t["floor"], [Row(**row) for row in t["rows"]]) for t in tables]


def summary(name: str) -> str:
    """The first line of a benchmark's own description, as a heading."""
    text = (HERE / f"{name}.py").read_text(encoding="utf-8")
    return text.removeprefix('"""').partition("\n")[0].removesuffix('"""').rstrip(".")


def markdown(table: Table) -> Iterator[str]:
    yield f"| {table.title} | median | × floor | |"
    yield "|---|---:|---:|---|"
    for name, time, ratio, note in table.cells():
        yield f"| {name} | {time} | {ratio} | {note} |"


def machine() -> Iterator[str]:
    """What the figures depend on."""
    node = ".".join(map(str, find_node().version))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"* {processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory"
    yield f"* {platform.system()} {platform.release().partition('-')[0]}"
    yield f"* Python {platform.python_version()}, NumPy {version('numpy')}, Node.js {node}"
    native = "with" if addon_path() else "without"
    yield f"* Bifrost {version('bifrost-node')}, {native} its native part"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
