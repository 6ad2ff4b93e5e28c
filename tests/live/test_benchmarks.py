"""The benchmarks run: with tiny inputs, and without a word on how fast anything is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: Path) -> str:
    return subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "BIFROST_BENCH_QUICK": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    ).stdout


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("bench_*.py")))
def test_each_prints_figures_beside_a_floor(name: str) -> None:
    said = run(BENCHMARKS / f"{name}.py")
    assert "x floor" in said
    assert [line for line in said.splitlines() if line.startswith("floor") and "floor" in line[10:]]
    assert "failed" not in said


def test_the_report_knows_them_all() -> None:
    text = (BENCHMARKS / "report.py").read_text(encoding="utf-8")
    assert all(f'"{path.stem}"' in text for path in BENCHMARKS.glob("bench_*.py"))
