"""The MNIST example, as a person runs it: the notebook, in a kernel, with all its real parts."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(0)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "mnist"
SETTINGS = {"MNIST_IMAGES": "6000", "MNIST_SETS": "5"}


@pytest.fixture(scope="module", params=["local", "dask"])
def shown(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What each code cell of the notebook showed, by the cell's beginning."""
    folder = tmp_path_factory.mktemp("mnist")
    for name in ("mnist.ipynb", "package.json"):
        shutil.copy(EXAMPLE / name, folder)
    notebook: Any = nbformat.read(folder / "mnist.ipynb", 4)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BIFROST_MODULES", "BIFROST_CACHE"):
            patch.setenv(name, str(folder / name))
        patch.setenv("MNIST_ENGINE", request.param)
        for name, usual in SETTINGS.items():
            patch.setenv(name, os.environ.get(name, usual))
        client = nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(folder)}})
        client.execute()
    return {
        cell.source: "".join(
            output.get("text", "") or output.get("data", {}).get("text/plain", "")
            for output in cell.outputs
            if output.get("name") != "stderr"
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def text(shown: dict[str, str], part: str) -> str:
    (found,) = (said for source, said in shown.items() if part in source)
    return found


def test_every_set_is_tried_in_a_worker(shown: dict[str, str]) -> None:
    said = text(shown, "deployTime")
    sets = int(os.environ.get("MNIST_SETS", SETTINGS["MNIST_SETS"]))
    assert f"{sets} slices posted, {sets} slices distributed, {sets} slices computed." in said
    assert said.count("RESULT:") == sets
    found = re.search(r"Best accuracy found:\n(\S+)", said)
    assert found is not None
    assert float(found[1]) > 0.6  # of the set that is known to learn, at the least


def test_workers_read_as_well_as_keras(shown: dict[str, str]) -> None:
    by_workers = re.findall(r"\( (\S+%) \)", text(shown, "inferenceJob(testingImages"))
    by_keras = re.findall(r"'(\S+%)'", text(shown, "_guesses"))
    assert len(by_keras) == 10
    assert sorted(by_workers) == sorted(by_keras)


def test_the_model_is_published_by_a_command(shown: dict[str, str]) -> None:
    said = text(shown, "MODULE_NAME =")
    assert re.search(r"Module published at :  digits-[a-z]{25}/model\.js\s+Done!", said)
