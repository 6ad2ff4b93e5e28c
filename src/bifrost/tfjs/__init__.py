"""Keras models for TensorFlow.js: saved as layers models, and published as modules for jobs.

>>> from bifrost import tfjs
>>> tfjs.converters.save_keras_model(model, './tfjs_model')
>>> tfjs.publish_model('./tfjs_model/model.json', 'my-digits/model.js')

Keras 3 and tf_keras both will do. TensorFlow is imported by nobody but you.
"""

from __future__ import annotations

from . import converters
from .modules import publish_model, serialize_model

__all__ = ["converters", "publish_model", "serialize_model"]
