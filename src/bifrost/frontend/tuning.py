"""The demo's compute job: which settings read digits best, found by trying them on all workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import compute

Array = np.ndarray[Any, Any]

#: The settings that are tried: how many principal axes, and how round the clouds are made.
AXES = (10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80)
ROUNDNESS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)

SETTINGS = [{"axes": axes, "roundness": roundness} for axes in AXES for roundness in ROUNDNESS]

#: One slice: learn the digits with one setting, and see how many of the others are read right.
WORK = """
async ({ axes, roundness }, points, labels, tests, truth) => {
  const {
    CholeskyDecomposition, Matrix, WrapperMatrix1D, covariance, inverse,
  } = require('ml-matrix');
  const first = (array) => new WrapperMatrix1D(array.typedArray, { rows: array.length })
    .subMatrix(0, array.length - 1, 0, axes - 1);
  const known = first(points);
  const unknown = first(tests);
  const rows = Array.from({ length: 10 }, () => []);
  labels.typedArray.forEach((digit, row) => rows[digit].push(row));
  const scores = [];
  for (let digit = 0; digit < 10; digit++) {
    const own = known.subMatrixRow(rows[digit]);
    const spread = covariance(own);
    const round = Matrix.eye(axes).mul((roundness * spread.trace()) / axes);
    const shape = spread.mul(1 - roundness).add(round).add(Matrix.eye(axes).mul(1e-9));
    const factor = new CholeskyDecomposition(shape).lowerTriangularMatrix;
    const size = factor.diagonal().reduce((sum, width) => sum + Math.log(width), 0);
    const away = unknown.clone().subRowVector(own.mean('column')).mmul(inverse(factor).transpose());
    scores.push(away.to2DArray().map((row) => -size - row.reduce((sum, x) => sum + x * x, 0) / 2));
    progress((digit + 1) / 10);
  }
  const right = truth.typedArray.filter((digit, i) => {
    const each = scores.map((score) => score[i]);
    return each.indexOf(Math.max(...each)) === digit;
  });
  return { axes, roundness, accuracy: right.length / truth.length };
}
"""


def job(train: Array, labels: Array, *, engine: Any = None, images: int = 5000) -> compute.Job:
    """The job that tries all settings on a part of the training images.

    Args:
        train: images (n, 28, 28), uint8.
        labels: their digits (n,), uint8.
        engine: see `compute.use`.
        images: how many to learn from; a third as many are read.

    Returns:
        A job whose results are dicts: ``axes``, ``roundness``, ``accuracy``.
    """
    images = min(images, len(train) * 3 // 4)
    pixels = train[: images + images // 3].reshape(-1, train[0].size) / 255
    _, directions = np.linalg.eigh(pixels[:images].T @ pixels[:images])
    points = pixels @ directions[:, ::-1][:, : max(AXES)]
    # The arrays go to each worker once.
    made = compute.for_(
        SETTINGS,
        WORK,
        np.ascontiguousarray(points[:images]),
        labels[:images],
        np.ascontiguousarray(points[images:]),
        labels[images : images + images // 3],
        engine=engine,
    )
    made.public.name = "tuning"
    return made.requires("npm:ml-matrix@6.15")


def draw(path: Path, results: list[Any]) -> Path:
    """Write a picture: how well each setting reads.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure

    table = np.full((len(AXES), len(ROUNDNESS)), np.nan)
    for result in results:
        table[AXES.index(result["axes"]), ROUNDNESS.index(result["roundness"])] = result["accuracy"]
    best = max(results, key=lambda result: float(result["accuracy"]))
    figure: Any = Figure(figsize=(8, 6.4), layout="constrained")
    plot = figure.subplots()
    shown = plot.imshow(table, cmap="viridis", origin="lower", aspect="auto")
    plot.set(
        xlabel="roundness of the clouds",
        ylabel="principal axes",
        xticks=range(len(ROUNDNESS)),
        xticklabels=ROUNDNESS,
        yticks=range(len(AXES)),
        yticklabels=AXES,
        title=f"{len(results)} settings tried; the best reads {best['accuracy']:.1%}",
    )
    place = ROUNDNESS.index(best["roundness"]), AXES.index(best["axes"])
    plot.plot(*place, "o", markersize=14, markerfacecolor="none", markeredgecolor="white")
    figure.colorbar(shown, label="digits read correctly")
    figure.savefig(path)
    return path
