"""Describes a Keras model as TensorFlow.js understands it.

TensorFlow.js reads what Keras 2 wrote. Keras 3 writes other names (`batch_shape`), objects where
there were words (`DTypePolicy`), another form of calls between layers, and means other things by
some old words; and it has layers and options that TensorFlow.js does not have, which are errors
here, rather than wrong predictions there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from itertools import chain
from typing import Any, Final, TypeAlias

from ..errors import ConversionError

__all__ = ["MODELS", "topology"]

Config: TypeAlias = "dict[str, Any]"

MODELS: Final = frozenset({"Sequential", "Functional", "Model"})

_LAYERS: Final = frozenset(
    """
    InputLayer Dense Activation Dropout Flatten Reshape Permute RepeatVector Masking Embedding
    Conv1D Conv2D Conv3D Conv2DTranspose Conv3DTranspose SeparableConv2D DepthwiseConv2D
    Cropping2D UpSampling2D ZeroPadding2D
    MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalAveragePooling1D GlobalAveragePooling2D
    SimpleRNN LSTM GRU ConvLSTM2D Bidirectional TimeDistributed
    BatchNormalization LayerNormalization ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax
    Add Multiply Average Maximum Minimum Concatenate Dot
    GaussianNoise GaussianDropout AlphaDropout SpatialDropout1D Rescaling
    """.split()  # noqa: SIM905
)

_ACTIVATIONS: Final = frozenset(
    """
    elu gelu hard_sigmoid linear log_softmax mish relu relu6 selu sigmoid silu softmax softplus
    softsign swish tanh
    """.split()  # noqa: SIM905
)

#: What TensorFlow.js can do of an option; anything else would be passed over there in silence.
_OPTIONS: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "Conv1D": {"groups": (1,), "padding": ("valid", "same")},
    "ELU": {"alpha": (1,)},
    "Softmax": {"axis": (-1,)},
    "Conv2D": {"groups": (1,)},
    "Conv3D": {"groups": (1,)},
    "Conv2DTranspose": {"output_padding": (None,), "dilation_rate": (1, [1, 1])},
    "Conv3DTranspose": {"output_padding": (None,), "dilation_rate": (1, [1, 1, 1])},
    "DepthwiseConv2D": {"dilation_rate": (1, [1, 1])},
    "GRU": {"reset_after": (False,)},
    "GlobalAveragePooling1D": {"keepdims": (False,)},
    "GlobalAveragePooling2D": {"keepdims": (False,)},
    "GlobalMaxPooling1D": {"keepdims": (False,)},
    "GlobalMaxPooling2D": {"keepdims": (False,)},
    "BatchNormalization": {"renorm": (False,)},
    "LayerNormalization": {"rms_scaling": (False,)},
    "ReLU": {"negative_slope": (0, None), "threshold": (0, None)},
    "UpSampling2D": {"interpolation": ("nearest",)},
}

#: Left out: they shape what is learnt, which is there already, and cost time to make.
_TRAINING: Final = ("_initializer", "_regularizer", "_constraint")


def topology(model: Any) -> Config:
    """Return the contents of ``model.json``, but for the weights.

    Raises:
        ConversionError: the model has something that TensorFlow.js does not have.
    """
    kind = type(model).__name__
    if kind not in MODELS:
        raise ConversionError(
            f"{_article(kind)} cannot be converted: TensorFlow.js takes Sequential and Functional"
            " models of Keras; build the model from layers, with an Input"
        )
    if not getattr(model, "built", True) or not model.inputs:
        raise ConversionError(
            f"model {model.name!r} has no weights yet: give it an Input, or call it once"
        )
    whole = json.loads(model.to_json())
    version = str(whole.get("keras_version", "3"))
    converted = _Conversion(legacy=version.startswith(("1.", "2."))).model(whole, model)
    return {
        "format": "layers-model",
        "generatedBy": f"keras v{version}",
        "convertedBy": "bifrost",
        "modelTopology": {"keras_version": version, "model_config": converted},
    }


class _Conversion:
    """One model's conversion; `legacy` is a model of tf_keras, whose format is the old one."""

    def __init__(self, legacy: bool) -> None:
        self.legacy = legacy

    def model(self, node: Config, model: Any) -> Config:
        config = node["config"]
        made = {layer.name: layer for layer in model.layers}
        masks = set() if self.legacy else _masks(config["layers"])
        layers = [
            self.layer(layer, made.get(layer["config"]["name"]), masks)
            for layer in config["layers"]
            if layer.get("name") not in masks
        ]
        converted = {"name": config["name"], "layers": layers}
        if node["class_name"] == "Sequential":
            return {"class_name": "Sequential", "config": converted}
        for ends in ("input_layers", "output_layers"):
            converted[ends] = list(_ends(config[ends]))
        if not self.legacy:
            # There a nested model's own making is the first call of it; Keras 3 has no such call.
            nested = {layer["name"] for layer in layers if layer["class_name"] in MODELS}
            calls = [call for layer in layers for call in layer["inbound_nodes"]]
            for source in chain(converted["output_layers"], *calls):
                source[1] += source[0] in nested
        return {"class_name": "Functional", "config": converted}

    def layer(self, node: Config, made: Any, masks: Set[str] = frozenset()) -> Config:
        """Convert the description of a layer; `made` is the layer, if it is not in another."""
        kind = node["class_name"]
        if kind in MODELS:
            converted = self.model(node, made)
        else:
            self._check(node)
            options = self._options(kind, node["config"])
            if kind == "Reshape" and made is not None and -1 in options["target_shape"]:
                # TensorFlow.js would find it out too late for the layers that follow.
                found = made.output.shape[1:]
                options["target_shape"] = [-1 if size is None else size for size in found]
            converted = {"class_name": kind, "config": options}
        if "inbound_nodes" in node:
            converted["name"] = node["name"]
            calls = node["inbound_nodes"]
            converted["inbound_nodes"] = [_call(node["name"], call, masks) for call in calls]
        return converted

    def _check(self, node: Config) -> None:
        kind, name = node["class_name"], node["config"].get("name", "?")
        module = str(node.get("module") or "keras")
        # Operations of Keras 3 (`x + y`) stand among the layers, some under a layer's name.
        own = module.startswith(("keras.layers", "keras.src.layers", "tf_keras"))
        if kind not in _LAYERS or not (own or module == "keras"):
            raise ConversionError(
                f"layer {name!r} is {_article(kind)} (of {module}), which TensorFlow.js does not"
                " have; build the model without it"
            )
        for option, possible in _OPTIONS.get(kind, {}).items():
            value = node["config"].get(option, possible[0])
            if value not in possible:
                raise ConversionError(
                    f"layer {name!r} is {_article(kind)} with {option}={value!r}, which"
                    f" TensorFlow.js does not have; only {option}={possible[0]!r} can be converted"
                )

    def _options(self, kind: str, config: Config) -> Config:
        options: Config = {}
        for key, value in config.items():
            if key.endswith(_TRAINING):
                continue
            if key.endswith("activation"):
                value = self._activation(config.get("name", "?"), value)
            elif isinstance(value, dict):
                value = self._object(key, value)
            elif key == "dtype":
                value = _dtype(str(value))
            options[_RENAMED.get((kind, key), key)] = value
        if kind == "BatchNormalization" and isinstance(options["axis"], list):
            options["axis"] = options["axis"][0]  # tf_keras
        if kind == "Bidirectional":
            # TensorFlow.js makes both names from this one.
            inner = options["layer"]["config"]
            inner["name"] = inner["name"].removeprefix("forward_")
            options.pop("backward_layer", None)
        for key in config:
            # The defaults would be computed, which is slow for a large orthogonal matrix.
            if key.endswith("_initializer") and kind != "SeparableConv2D":
                options[key] = {"class_name": "Zeros", "config": {}}
        return options

    def _object(self, key: str, value: Config) -> Any:
        if key == "dtype":
            return _dtype(str(value["config"].get("name", "float32")))
        return self.layer(value, None)  # what a wrapper wraps

    def _activation(self, layer: str, value: Any) -> str:
        if value is None:
            return "linear"
        if isinstance(value, dict):  # a function of the user's, or a layer
            config = value.get("config")
            value = config if isinstance(config, str) else value.get("class_name")
            known = False
        else:
            known = value in _ACTIVATIONS
        changed = value == "hard_sigmoid" and not self.legacy
        if changed or not known:
            raise ConversionError(
                f"layer {layer!r} has the activation {value!r}, which TensorFlow.js "
                + ("takes for the other function that Keras 2 had" if changed else "does not have")
                + f"; it has {', '.join(sorted(_ACTIVATIONS - {'hard_sigmoid'}))}"
            )
        return "swish" if value == "silu" else str(value)


_RENAMED: Final = {("InputLayer", "batch_shape"): "batch_input_shape"} | {
    ("LeakyReLU", "negative_slope"): "alpha",
}


def _call(layer: str, call: Any, masks: Set[str]) -> list[Any]:
    """A call of a layer: where its tensors come from, as [layer, node, tensor, options] each."""
    if isinstance(call, list):
        return call  # tf_keras writes it so
    tensors = list(_tensors(call["args"]))
    for key, value in call["kwargs"].items():
        if value is True or any(source[0] not in masks for source in _tensors(value)):
            raise ConversionError(
                f"layer {layer!r} is called with {key}=..., which TensorFlow.js cannot do"
            )
    if len(call["args"]) != 1 or not tensors:
        raise ConversionError(
            f"layer {layer!r} is called with {len(call['args'])} arguments;"
            " TensorFlow.js calls a layer with one, a tensor or a list of tensors"
        )
    return [[*tensor, {}] for tensor in tensors]


def _masks(layers: list[Config]) -> set[str]:
    """The operations by which Keras 3 makes masks; in TensorFlow.js the layers make them."""
    masked: dict[tuple[Any, ...], Any] = {}
    for layer in layers:
        if layer["class_name"] == "Masking" or layer["config"].get("mask_zero"):
            for call in layer.get("inbound_nodes", ()):
                for tensor in _tensors(call["args"]):
                    masked[tuple(tensor)] = layer["config"].get("mask_value", 0)
    found: set[str] = set()
    for layer in layers if masked else ():
        for call in layer.get("inbound_nodes", ()):
            tensor = next(_tensors(call["args"]), [""])
            compares = layer["class_name"] == "NotEqual" and tuple(tensor) in masked
            if (compares and call["args"][1] == masked[tuple(tensor)]) or (
                layer["class_name"] == "Any" and tensor[0] in found
            ):
                found.add(layer["name"])
    return found


def _ends(value: Any) -> Iterator[list[Any]]:
    """A model's inputs or outputs, however they are nested, as triples in Keras's order."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _ends(value[key])
    elif value and isinstance(value[0], str):
        yield value
    else:
        for item in value:
            yield from _ends(item)


def _tensors(value: Any) -> Iterator[list[Any]]:
    """Where the tensors in an argument come from: [layer, node, tensor]."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"]
        else:
            for item in value.values():
                yield from _tensors(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def _dtype(name: str) -> str:
    """The nearest type that TensorFlow.js has; there is one of floats, and one of integers."""
    if name in ("bool", "string"):
        return name
    return "int32" if "int" in name and "float" not in name else "float32"


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'AEIOU' else 'a'} {kind}"
