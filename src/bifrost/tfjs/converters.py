"""Writes a Keras model as TensorFlow.js reads it: `model.json` and files of weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import ConversionError
from .topology import MODELS, topology

__all__ = ["load_keras_model", "save_keras_model"]

Array = np.ndarray[Any, Any]

#: Browsers cache files of no more than this.
_SHARD: Final = 4 << 20


def save_keras_model(
    model: Any, artifacts_dir: str | os.PathLike[str], *, weight_shard_size_bytes: int = _SHARD
) -> Path:
    """Save a Keras 3 or tf_keras model as a layers model of TensorFlow.js.

    What only training needs is left out: the optimizer and its state, losses, initializers,
    regularizers and constraints.

    Args:
        model: a Sequential or Functional model with weights.
        artifacts_dir: the folder for ``model.json`` and the weights; made if need be.
        weight_shard_size_bytes: weights are split into files of at most this many bytes.

    Returns:
        The path of ``model.json``, for ``tf.loadLayersModel``.

    Raises:
        ConversionError: the model has what TensorFlow.js does not; it names the layer.

    Example:
        >>> tfjs.converters.save_keras_model(model, './tfjs_model')
        PosixPath('tfjs_model/model.json')
    """
    described = topology(model)
    names: set[str] = set()
    specs: list[dict[str, Any]] = []
    data = bytearray()
    for name, array in _weights(model):
        if name in names:
            raise ConversionError(
                f"two layers have weights named {name!r} (one lies in a nested model);"
                " TensorFlow.js needs layer names that are unique throughout"
            )
        names.add(name)
        specs.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.name})
        data += array.tobytes()

    folder = Path(artifacts_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("group1-shard*of*.bin"):  # of an earlier model
        old.unlink()
    count = max(1, -(-len(data) // weight_shard_size_bytes))
    paths = [f"group1-shard{number}of{count}.bin" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        start = number * weight_shard_size_bytes
        (folder / path).write_bytes(data[start : start + weight_shard_size_bytes])
    described["weightsManifest"] = [{"paths": paths, "weights": specs}]
    target = folder / "model.json"
    target.write_text(json.dumps(described), encoding="utf-8")
    return target


def load_keras_model(path: str | os.PathLike[str]) -> Any:
    """Load a model from a file that Keras wrote (``.keras``, ``.h5``).

    Raises:
        ConversionError: there is no Keras.
    """
    try:
        import keras
    except ImportError as error:
        raise ConversionError(
            f"reading a model needs Keras ({error}): `pip install 'bifrost-node[tfjs]'`"
        ) from error
    return keras.saving.load_model(path, compile=False)


def _weights(model: Any) -> Iterator[tuple[str, Array]]:
    """The weights by the names that TensorFlow.js gives them."""
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in MODELS:
            yield from _weights(layer)  # there the name of a nested model is no part of it
            continue
        parts = [(layer.name, layer)]
        if kind == "Bidirectional":
            both = (layer.forward_layer, layer.backward_layer)
            parts = [(f"{layer.name}/{part.name}", part) for part in both]
        for prefix, part in parts:
            for variable in part.weights:
                # Keras 3 says "kernel", tf_keras "dense/kernel:0".
                name = variable.name.rpartition("/")[2].partition(":")[0]
                if kind == "DepthwiseConv2D" and name == "kernel":
                    name = "depthwise_kernel"
                yield f"{prefix}/{name}", _array(variable)


def _array(variable: Any) -> Array:
    """A weight's values, in one of the types that TensorFlow.js has."""
    value = variable.numpy() if hasattr(variable, "numpy") else variable
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return np.ascontiguousarray(array, "<i4")
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array, "<f4")  # also float16 and bfloat16
