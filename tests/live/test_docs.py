"""The code of the README and of some pages of docs/, run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.notebook import notebook

ROOT = Path(__file__).parents[2]
PAGES = "".join(
    (ROOT / page).read_text() for page in ("README.md", "docs/processes.md", "docs/compute.md")
)
BLOCK = re.compile(r"(<!-- needs the npm registry -->\n)?```(python|ipython)\n(.*?)```", re.S)
BLOCKS = [(kind, code, bool(network)) for network, kind, code in BLOCK.findall(PAGES)]


@pytest.mark.network
@pytest.mark.parametrize("code", [code for kind, code, _ in BLOCKS if kind == "python"])
def test_python(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_values_it_claims(tmp_path: Path) -> None:
    code = BLOCKS[0][1].replace(
        'result["squares"], result["total"]', 'print(result["squares"], result["total"])'
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "[1, 4, 9] 14\n"


def test_notebook(tmp_path: Path) -> None:
    with notebook("newest", tmp_path) as kernel:
        said = [kernel.check(code).stdout for kind, code, _ in BLOCKS if kind == "ipython"]
    assert re.search(r"^\d{4,} bright pixels, corner 1.0$", "".join(said), re.M)
    assert "2 9\n" in "".join(said)
    assert said[-1] == "[1, 4, 9, 16, 25]\n"
