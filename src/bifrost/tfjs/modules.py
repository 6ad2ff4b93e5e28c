"""Makes modules for workers from saved TensorFlow.js models."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from ..compute.modules import Published, publish
from ..errors import ConversionError

__all__ = ["publish_model", "serialize_model"]

_MODULE = """\
module.declare([%(tfjs)s], function (require, exports, module) {
  const artifacts = %(artifacts)s;
  const weights = %(weights)s;

  function decode(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes.buffer;
  }

  // A new model each time, so that who disposes of one disposes of nobody else's.
  exports.getModel = async function getModel() {
    const tf = require(%(tfjs)s);
    const handler = tf.io.fromMemory({ ...artifacts, weightData: decode(weights) });
    return await tf.%(load)s(handler);
  };
});
"""

_LOADERS = {"layers-model": "loadLayersModel", "graph-model": "loadGraphModel"}


def serialize_model(model_json: str | os.PathLike[str], *, tfjs: str = "aistensorflow/tfjs") -> str:
    """Return the source of a module that holds a model: its ``getModel()`` resolves to it.

    Args:
        model_json: the ``model.json`` of a layers model or graph model; the files of weights lie
            beside it.
        tfjs: the module that has TensorFlow.js; jobs that require the model get it, too.

    Raises:
        ConversionError: the file is no such model.
        OSError: a file cannot be read.
    """
    path = Path(model_json)
    try:
        saved = json.loads(path.read_text("utf-8"))
        groups = saved["weightsManifest"]
        load = _LOADERS[saved.get("format") or "layers-model"]
        specs = [spec for group in groups for spec in group["weights"]]
        files = [path.parent / name for group in groups for name in group["paths"]]
        artifacts = {"modelTopology": saved["modelTopology"], "weightSpecs": specs}
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(f"{path} is no model of TensorFlow.js: {error!r}") from error
    if "signature" in saved:
        artifacts["signature"] = saved["signature"]
    weights = b"".join(file.read_bytes() for file in files)
    return _MODULE % {
        "tfjs": json.dumps(tfjs),
        "artifacts": json.dumps(artifacts),
        "weights": json.dumps(base64.b64encode(weights).decode()),
        "load": load,
    }


def publish_model(
    model_json: str | os.PathLike[str],
    name: str,
    version: str | None = None,
    *,
    tfjs: str = "aistensorflow/tfjs",
) -> Published:
    """Publish a saved model as a module with an async ``getModel()``.

    Args:
        model_json: as for `serialize_model`.
        name: ``'package/module'``, with or without ``.js``.
        version: the package's; None takes the next.
        tfjs: as for `serialize_model`.

    Raises:
        ConversionError: the file is no such model.
        ModuleError: the version does not grow.

    Example:
        >>> tfjs.publish_model('./tfjs_model/model.json', 'my-digits/model.js', '0.0.1')
    """
    package, slash, module = name.partition("/")
    if not slash:
        raise ValueError(f"{name!r} is no name for a module: write 'package/module.js'")
    source = serialize_model(model_json, tfjs=tfjs)
    return publish(package, version, sources={f"{module.removesuffix('.js')}.js": source})
