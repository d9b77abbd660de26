"""The TensorFlow 2 Object Detection API on today's TensorFlow, unchanged: the only place that knows how old it is."""

from __future__ import annotations

import sys

from odrun.compat import environment, protos, shims, stand_ins
from odrun.compat.imports import MendingFinder

SHIMS = (
    stand_ins.estimator,
    stand_ins.lvis,
    shims.control_flow_functions,
    shims.keras_resnet,
    shims.unfetched_backbones,
    shims.lab_colours,
    shims.font_measures,
    shims.canvas_pixels,
    shims.numpy_names,
    shims.whole_number_features,
)


def load() -> None:
    """Make `object_detection` importable in this process, whether TensorFlow has been imported or not.

    Raises:
        InputError: TensorFlow came with Keras 3, or part of the OD API was imported, before this call; or the OD API
            is not installed.
    """
    if any(isinstance(finder, MendingFinder) for finder in sys.meta_path):
        return
    environment.legacy_keras()
    protos.load()
    finder = MendingFinder()
    for shim in SHIMS:
        shim(finder)
    sys.meta_path.insert(0, finder)
