"""TensorFlow, imported in the only order that works: `from odrun.compat.tensorflow import tf`."""

from __future__ import annotations

from odrun import compat

compat.load()

import tensorflow as tf  # noqa: E402  legacy Keras has to be chosen before TensorFlow is imported

__all__ = ["tf"]
