"""Non-maximum suppression of all images of a batch by one loop of the graph.

The OD API unrolls it in Python over the images where their number is known, each with a part of the graph for every
class: with 8 images and 90 classes that took three fifths of a first evaluation (SSD MobileNet V2, 120 small images).
The published function has an option for a loop, which its builders never set. The results are the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from odrun.compat.tensorflow import tf  # noqa: F401 - makes `tensorflow` importable as the OD API needs it

# isort: split
from object_detection.core.post_processing import batch_multiclass_non_max_suppression

_FUNCTIONS = ("_non_max_suppression_fn", "_second_stage_nms_fn")
"""What SSDs and Faster R-CNNs call the one that their detections go through."""


def suppress_in_a_loop(network: Any) -> bool:
    """Have a network suppress its detections image by image in a loop, if it is one that does so; whether it is."""
    for name in _FUNCTIONS:
        published = getattr(network, name, None)
        if isinstance(published, partial) and published.func is batch_multiclass_non_max_suppression:
            setattr(network, name, partial(published, use_dynamic_map_fn=True))
            return True
    return False
