"""The TensorFlow 2 Object Detection API on today's TensorFlow, unchanged: the only place that knows how old it is.

`load()` makes `object_detection` importable. It imports neither TensorFlow nor the OD API: each module is mended when
it is imported, and what is not imported costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from odrun.compat import environment, protos, shims, stand_ins
from odrun.compat.imports import MendingFinder

__all__ = ["SHIMS", "load", "protos"]

SHIMS: tuple[Callable[[MendingFinder], None], ...] = (
    environment.legacy_keras,
    shims.old_message_modules,
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
    shims.empty_box_lists,
    shims.float_pictures,
    shims.structured_comparisons,
    shims.one_element_counts,
)
"""Every mend, in the order in which `load()` applies them; each says what breaks without it and when it may go."""


def load() -> None:
    """Make `object_detection` importable in this process, whether or not TensorFlow has been imported.

    Calling it again does nothing. It only mends: nothing is made faster or quieter.

    Raises:
        InputError: TensorFlow came with Keras 3, or a part of the OD API that needs a mend was imported, before this
            call; or the OD API or tf-keras is not installed.
    """
    if any(isinstance(finder, MendingFinder) for finder in sys.meta_path):
        return
    finder = MendingFinder()
    for shim in SHIMS:
        shim(finder)
    sys.meta_path.insert(0, finder)
