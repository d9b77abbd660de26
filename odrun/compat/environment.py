"""The Keras that TensorFlow takes: the OD API is written for Keras 2, which lives on as the package tf-keras."""

from __future__ import annotations

import importlib.util
import os
import sys

from odrun.compat.imports import MendingFinder
from odrun.errors import InputError

VARIABLE = "TF_USE_LEGACY_KERAS"
_YES = ("1", "true", "True")
_REMEDY = f"import odrun.compat and call its load() before TensorFlow, or start Python with {VARIABLE}=1"


def legacy_keras(_: MendingFinder) -> None:
    """Make `tf.keras` mean tf-keras in this process.

    Without it TensorFlow 2.16 and later route `tf.keras` to Keras 3, which has none of the Keras 2 internals (symbolic
    layers built under `tf.compat.v1`, `_keras_history`, H5 and object-based checkpoints of nested layers) that every
    feature extractor of the OD API uses. It may go when the OD API runs on Keras 3, which its retirement rules out.

    Raises:
        InputError: TensorFlow was imported with Keras 3 already, the environment asks for Keras 3, or tf-keras is not
            installed.
    """
    if importlib.util.find_spec("tf_keras") is None:
        raise InputError(
            "tf-keras is not installed; the Object Detection API does not run on Keras 3.",
            where="Python package tf_keras",
            remedy='pip install "tf-keras>=2.20,<2.21"',
        )
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        _refuse_keras_3(tensorflow)
    elif os.environ.get(VARIABLE, "1") not in _YES:
        raise InputError(
            f"The environment variable {VARIABLE} asks for Keras 3; the Object Detection API needs tf-keras.",
            where=f"{VARIABLE}={os.environ[VARIABLE]}",
            remedy=f"unset {VARIABLE}",
        )
    os.environ[VARIABLE] = "1"


def _refuse_keras_3(tensorflow: object) -> None:
    if not getattr(tensorflow, "_tf_uses_legacy_keras", False):
        raise InputError(
            f"TensorFlow was imported before odrun.compat.load(), without {VARIABLE}=1: its tf.keras is Keras 3, "
            "on which the Object Detection API does not run.",
            where=f"module tensorflow, imported from {getattr(tensorflow, '__file__', 'an unknown place')}",
            remedy=_REMEDY,
        )
    # TensorFlow puts a lazy module here, which the first use replaces by the Keras it resolves to.
    chosen = object.__getattribute__(vars(tensorflow)["keras"], "__dict__").get("__name__", "not yet resolved")
    if chosen.partition(".")[0] == "keras":
        raise InputError(
            f"TensorFlow's tf.keras was used before odrun.compat.load() and has already become Keras 3: {VARIABLE} "
            "was changed after TensorFlow had been imported.",
            where=f"tf.keras, resolved to {chosen}",
            remedy=_REMEDY,
        )
