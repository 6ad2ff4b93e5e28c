"""Keras models in TensorFlow.js: the real Keras predicts, the real TF.js must say the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from bifrost import tfjs
from bifrost.compute import modules, packages
from bifrost.errors import ConversionError
from bifrost.frontend import cli
from bifrost.runtime.binaries import find_node

L = keras.layers

PREDICT = """
const [place, folder] = process.argv.slice(1);
console.log = console.warn = () => {};
const fs = require('fs'), tf = require(place);
(async () => {
  const answers = {};
  for (const name of fs.readdirSync(folder)) {
    try {
      const read = (file) => fs.readFileSync(`${folder}/${name}/${file}`);
      const inputs = JSON.parse(read('inputs.json'));
      const { modelTopology, weightsManifest } = JSON.parse(read('model.json'));
      const [{ weights: weightSpecs, paths }] = weightsManifest;
      const weightData = new Uint8Array(Buffer.concat(paths.map(read))).buffer;
      const saved = tf.io.fromMemory({ modelTopology, weightSpecs, weightData });
      const model = await tf.loadLayersModel(saved);
      const tensors = inputs.map((input, i) => tf.tensor(input, undefined, model.inputs[i].dtype));
      const outputs = [model.predict(tensors.length === 1 ? tensors[0] : tensors)].flat();
      answers[name] = outputs.map((output) => output.arraySync());
    } catch (error) {
      answers[name] = String(error.stack);
    }
  }
  process.stdout.write(JSON.stringify(answers));
})();
"""


def after(*layers: Any, shape: tuple[int | None, ...]) -> Callable[[], Any]:
    return lambda: keras.Sequential([keras.Input(shape), *(make() for make in layers)])


def functional() -> Any:
    a, b = keras.Input((4,), name="first_one"), keras.Input((4,), name="second")
    shared = L.Dense(3, activation="tanh", name="shared_layer")
    x, y = shared(a), shared(b)
    both = L.Concatenate()([x, y, L.Multiply()([x, y])])
    return keras.Model([a, b], [L.Dense(2, name="out")(both), L.Add()([x, y])])


def by_name() -> Any:
    b, a = keras.Input((2,), name="b"), keras.Input((3,), name="a")
    joined = L.Concatenate()([L.Dense(2)(b), L.Dense(2)(a)])
    return keras.Model({"b": b, "a": a}, L.Dense(1)(joined))


def nested() -> Any:
    inner = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu")], name="inner")
    x = keras.Input((3,))
    part = keras.Model(x, L.Dense(3)(x), name="part")
    y = keras.Input((3,))
    return keras.Model(y, L.Dense(1)(inner(part(part(y)))))


def masked() -> Any:
    x = keras.Input((5,), dtype="int32")
    return keras.Model(x, L.LSTM(3)(L.Embedding(7, 4, mask_zero=True)(x)))


def resnet() -> Any:
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = L.ReLU()(L.BatchNormalization()(y))
    y = L.Add()([y, L.Conv2D(4, 1)(x)])
    return keras.Model(x, L.Dense(3, "softmax")(L.GlobalAveragePooling2D()(y)))


def called_later() -> Any:
    model = keras.Sequential([L.Flatten(), L.Dense(2)])
    model(np.zeros((1, 3, 2), "f4"))
    return model


image, series = (6, 6, 2), (5, 3)

MODELS: dict[str, Callable[[], Any]] = {
    "guide": after(L.Flatten, lambda: L.Dense(8, "relu"), lambda: L.Dense(10, "softmax"),
                   shape=(28, 28, 1)),
    "functional": functional,
    "by_name": by_name,
    "nested": nested,
    "masked": masked,
    "resnet": resnet,
    "called_later": called_later,
    "conv2d": after(lambda: L.Conv2D(3, 3, strides=2, padding="same", activation="relu"),
                    lambda: L.MaxPooling2D(2), lambda: L.Dropout(0.5), L.Flatten, shape=image),
    "conv_dilated": after(lambda: L.Conv2D(3, 2, dilation_rate=2), shape=image),
    "conv1d": after(lambda: L.Conv1D(4, 2, padding="same", dilation_rate=2), shape=series),
    "conv3d": after(lambda: L.Conv3D(2, 2), L.MaxPooling3D, shape=(4, 4, 4, 2)),
    "transpose": after(lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same"), shape=image),
    "transpose3d": after(lambda: L.Conv3DTranspose(2, 2), shape=(3, 3, 3, 2)),
    "separable": after(lambda: L.SeparableConv2D(3, 2, depth_multiplier=2), shape=image),
    "depthwise": after(lambda: L.DepthwiseConv2D(3, depth_multiplier=2), shape=image),
    "crop_pad_up": after(lambda: L.Cropping2D(1), lambda: L.ZeroPadding2D((1, 2)),
                         lambda: L.UpSampling2D(2), shape=image),
    "pools": after(lambda: L.AveragePooling2D(2, padding="same"), L.GlobalMaxPooling2D,
                   shape=image),
    "pools1d": after(lambda: L.MaxPooling1D(2, 1), lambda: L.AveragePooling1D(2),
                     L.GlobalAveragePooling1D, shape=series),
    "pools3d": after(lambda: L.AveragePooling3D(2), shape=(4, 4, 4, 2)),
    "globalmax1d": after(L.GlobalMaxPooling1D, shape=series),
    "simple_rnn": after(lambda: L.SimpleRNN(4), shape=series),
    "lstm": after(lambda: L.LSTM(4, return_sequences=True), lambda: L.LSTM(3), shape=series),
    "lstm_any_length": after(lambda: L.LSTM(4, dropout=0.1), shape=(None, 3)),
    "gru": after(lambda: L.GRU(4, reset_after=False, go_backwards=True), shape=series),
    "conv_lstm": after(lambda: L.ConvLSTM2D(2, 2), shape=(3, 4, 4, 1)),
    "bidirectional": after(lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)),
                           lambda: L.Bidirectional(L.SimpleRNN(2), merge_mode="sum"), shape=series),
    "time_distributed": after(lambda: L.TimeDistributed(L.Dense(4, "tanh")), shape=series),
    "embedding": after(lambda: L.Embedding(9, 4), L.Flatten, shape=(5,)),
    "masking": after(lambda: L.Masking(0.0), lambda: L.LSTM(2), shape=series),
    "batch_norm": after(lambda: L.BatchNormalization(scale=False, epsilon=0.01), shape=image),
    "layer_norm": after(L.LayerNormalization, shape=series),
    "layer_norm_axes": after(lambda: L.LayerNormalization(axis=[1, 2]), shape=series),
    "relu_max": after(lambda: L.ReLU(max_value=0.5), shape=(4,)),
    "leaky": after(lambda: L.LeakyReLU(negative_slope=0.07), shape=(4,)),
    "prelu": after(lambda: L.PReLU(shared_axes=[1]), shape=series),
    "elu": after(lambda: L.ELU(), shape=(4,)),
    "softmax": after(L.Softmax, shape=series),
    "shapes": after(lambda: L.Reshape((3, -1)), lambda: L.Permute((2, 1)), L.Flatten,
                    lambda: L.RepeatVector(2), shape=series),
    "noise": after(lambda: L.GaussianNoise(1.0), lambda: L.GaussianDropout(0.5),
                   lambda: L.AlphaDropout(0.5), lambda: L.SpatialDropout1D(0.5), shape=series),
    "rescaling": after(lambda: L.Rescaling(1 / 255, 0.5), shape=(4,)),
    "half": after(lambda: L.Dense(3, dtype="float64"), lambda: L.Dense(2), shape=(4,)),
    "merges": lambda: (lambda a, b: keras.Model([a, b], [
        merge([a, b]) for merge in (L.Average(), L.Maximum(), L.Minimum(), L.Dot(axes=1),
                                    L.Dot(axes=-1, normalize=True))
    ]))(keras.Input((4,)), keras.Input((4,))),
} | {
    f"activation_{name}": after(lambda name=name: L.Dense(5, name), shape=(4,))  # type: ignore[misc]
    for name in ("elu", "gelu", "linear", "log_softmax", "mish", "relu", "relu6", "selu",
                 "sigmoid", "silu", "softplus", "softsign", "swish", "tanh")
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIFROST_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("BIFROST_MODULES", str(tmp_path_factory.mktemp("modules")))
        yield


@pytest.fixture(scope="module")
def tfjs_main(own_folders: None) -> Path:
    """The file that has all of TensorFlow.js."""
    return packages.find_package("@tensorflow/tfjs", "4.22.0").folder / "dist" / "tf.min.js"


def randomised(model: Any) -> Any:
    """The same model with weights none of which is zero or one, as biases are at first."""
    random = np.random.default_rng(7)
    model.set_weights([random.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
    return model


def inputs_of(model: Any) -> list[Any]:
    random = np.random.default_rng(1)
    ints = any(isinstance(layer, L.Embedding) for layer in model.layers)
    shapes = [[2, *(3 if n is None else n for n in x.shape[1:])] for x in model.inputs]
    return [random.integers(0, 7, s) if ints else random.normal(size=s) for s in shapes]


@pytest.fixture(scope="module")
def answers(tfjs_main: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Keras and TensorFlow.js say, each model saved and loaded."""
    folder = tmp_path_factory.mktemp("saved")
    said: dict[str, Any] = {}
    for name, make in MODELS.items():
        keras.utils.clear_session()
        model = randomised(make())
        inputs = inputs_of(model)
        tfjs.converters.save_keras_model(model, folder / name, weight_shard_size_bytes=1000)
        (folder / name / "inputs.json").write_text(json.dumps([x.tolist() for x in inputs]))
        fed = [x.astype(t.dtype) for x, t in zip(inputs, model.inputs, strict=True)]
        by_keras = model(dict(zip("ab", fed, strict=True)) if name == "by_name" else
                         fed[0] if len(fed) == 1 else fed)  # fmt: skip
        flat = by_keras if isinstance(by_keras, list | tuple) else [by_keras]
        said[name] = [np.asarray(one) for one in flat]
    command = [str(find_node().path), "-e", PREDICT, str(tfjs_main), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    heard = json.loads(done.stdout)
    return {name: (said[name], heard[name]) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_the_same(name: str, answers: dict[str, Any]) -> None:
    by_keras, by_tfjs = answers[name]
    assert not isinstance(by_tfjs, str), by_tfjs
    assert len(by_keras) == len(by_tfjs)
    for one, other in zip(by_keras, by_tfjs, strict=True):
        np.testing.assert_allclose(np.asarray(other), one, rtol=1e-5, atol=1e-5)


def test_a_name_on_disk_and_its_shards(tmp_path: Path) -> None:
    model = MODELS["guide"]()
    folder = tmp_path / "a" / "b"
    path = tfjs.converters.save_keras_model(model, folder, weight_shard_size_bytes=9000)
    saved = json.loads(path.read_text())
    assert path == folder / "model.json"
    assert saved["format"] == "layers-model"
    assert "training_config" not in json.dumps(saved)
    files = saved["weightsManifest"][0]["paths"]
    assert files == [f"group1-shard{n}of3.bin" for n in (1, 2, 3)]
    assert [(path.parent / file).stat().st_size for file in files] == [9000, 9000, 7480]
    tfjs.converters.save_keras_model(model, path.parent)
    assert {one.name for one in path.parent.iterdir()} == {"model.json", "group1-shard1of1.bin"}


def test_the_commands_of_the_guide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, folder = tmp_path / "model.keras", tmp_path / "tfjs_model"
    model = keras.Sequential([L.Flatten(input_shape=(28, 28, 1)), L.Dense(10, "softmax")])
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    model.save(saved)
    assert cli.main(["convert-model", str(saved), str(folder)]) == 0
    assert capsys.readouterr().out == f"Wrote {folder / 'model.json'}\n"
    words = ["serialize-model", "-m", str(folder / "model.json"), "-o", "mine/model.js"]
    assert cli.main([*words, "-p", "0.0.1", "-d"]) == 0
    assert capsys.readouterr().out == "Module published at :  mine/model.js\nDone!\n"
    assert cli.main([*words[:-1], str(tmp_path / "out" / "model.js")]) == 0
    published = modules.newest("mine")
    assert published is not None
    written = (tmp_path / "out" / "model.js").read_bytes()
    assert (published.folder / "model.js").read_bytes() == written
    assert cli.main(["convert-model", str(tmp_path / "none.keras"), str(folder)]) == 1
    assert "none.keras" in capsys.readouterr().err


def test_keras_is_imported_only_when_it_is_needed() -> None:
    code = (
        "import sys; sys.modules['keras'] = None\n"  # as if it were not installed
        "from bifrost import tfjs; print('tensorflow' in sys.modules)\n"
        "try: tfjs.converters.load_keras_model('m.keras')\n"
        "except tfjs.converters.ConversionError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False\nreading a model needs Keras")
    assert "pip install 'bifrost-node[tfjs]'" in done.stdout


def refused() -> dict[str, tuple[Callable[[], Any], str]]:
    class Mine(L.Dense):
        pass

    def own(x: Any) -> Any:
        return x

    class Whole(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    def explicit_mask() -> Any:
        x, mask = keras.Input((5, 3)), keras.Input((5,), dtype="bool")
        return keras.Model([x, mask], L.LSTM(3)(x, mask=mask))

    def states() -> Any:
        x = keras.Input((5, 3))
        _, h, c = L.LSTM(3, return_state=True)(x)
        return keras.Model(x, L.LSTM(3, name="second")(x, initial_state=[h, c]))

    def twice() -> Any:
        inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="same")], name="inner")
        return keras.Sequential([inner, L.Dense(3, name="same")])

    def operation() -> Any:
        x = keras.Input((3,))
        return keras.Model(x, L.Dense(3)(x) + x)

    return {
        "custom": (after(lambda: Mine(2, name="own"), shape=(3,)), "'own' is a Mine"),
        "unknown": (after(lambda: L.UnitNormalization(name="u"), shape=(3,)), "'u' is an Unit"),
        "operation": (operation, r"'add\w*' is an Add \(of keras.src.ops.numpy\)"),
        "gru": (after(lambda: L.GRU(2, name="g"), shape=series), "'g' is a GRU with reset_after"),
        "groups": (after(lambda: L.Conv2D(2, 1, groups=2), shape=image), "with groups=2"),
        "causal": (after(lambda: L.Conv1D(2, 2, padding="causal"), shape=series), "'causal'"),
        "inside": (after(lambda: L.TimeDistributed(Mine(2, name="own")), shape=series), "'own'"),
        "activation": (after(lambda: L.Dense(2, "hard_sigmoid", name="d"), shape=(3,)),
                       "'d' has the activation 'hard_sigmoid'.*takes for the other"),
        "function": (after(lambda: L.Dense(2, own, name="d"), shape=(3,)), "'d' has the"),
        "subclass": (Whole, "a Whole cannot be converted"),
        "unbuilt": (lambda: keras.Sequential([L.Dense(2)], name="m"), "'m' has no weights yet"),
        "mask": (explicit_mask, "is called with mask="),
        "states": (states, "'second' is called with initial_state="),
        "twice": (twice, "'same/kernel'"),
    }  # fmt: skip


@pytest.mark.parametrize("name", refused())
def test_what_tensorflow_js_does_not_have_is_named(name: str, tmp_path: Path) -> None:
    make, complaint = refused()[name]
    with pytest.raises(ConversionError, match=complaint):
        tfjs.converters.save_keras_model(make(), tmp_path / "model")
    assert not (tmp_path / "model").exists()
