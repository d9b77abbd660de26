"""An exported SavedModel and images → detections; nothing of the OD API's Python code is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from odrun.compat.tensorflow import tf
from odrun.errors import InputError


@dataclass(frozen=True)
class DetectedBoxes:
    """What was found in one image, best first.

    Shapes: `boxes_px` float64 [n, 4] as xmin, ymin, xmax, ymax in pixels; `scores` float32 [n], 0 to 1; `label_ids`
    int64 [n], 1-based.
    """

    boxes_px: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    label_ids: npt.NDArray[np.int64]


class Detector:
    """The SavedModel in `folder`/saved_model.

    Raises:
        InputError: there is none, or it is not one of the OD API's.
    """

    def __init__(self, folder: Path) -> None:
        saved_model = folder / "saved_model"
        remedy = "odrun train exports the best checkpoint when it ends; give such a run with run=DIR"
        try:
            self._loaded = tf.saved_model.load(str(saved_model))
            self._signature = self._loaded.signatures["serving_default"]
        except (OSError, tf.errors.OpError) as error:
            raise InputError("there is no readable exported model", where=str(saved_model), remedy=remedy) from error
        except KeyError as error:
            raise InputError(
                "this model was not exported for detection", where=str(saved_model), remedy=remedy
            ) from error

    def detect(self, pixels: npt.NDArray[np.uint8]) -> DetectedBoxes:
        """Detections in one RGB image, uint8 [height, width, 3]."""
        height_px, width_px, _ = pixels.shape
        found = self._signature(input_tensor=tf.constant(pixels[np.newaxis]))
        count = int(found["num_detections"][0])
        fractions = found["detection_boxes"][0, :count].numpy().astype(np.float64)
        return DetectedBoxes(
            boxes_px=fractions[:, [1, 0, 3, 2]] * np.array([width_px, height_px, width_px, height_px], np.float64),
            scores=found["detection_scores"][0, :count].numpy(),
            label_ids=found["detection_classes"][0, :count].numpy().astype(np.int64),
        )
