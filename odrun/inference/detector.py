"""An exported SavedModel and images → detections; nothing of the OD API's Python code is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from odrun.annotations.found import FoundBoxes, keypoints_to_pixels, to_pixels
from odrun.annotations.found_masks import masks_in_image
from odrun.compat.tensorflow import tf
from odrun.errors import InputError


class Detector:
    """The SavedModel in `folder`/saved_model; `keypoints` says which slots are those of each label id.

    Raises:
        InputError: there is none, or it is not one of the OD API's.
    """

    def __init__(self, folder: Path, *, keypoints: Mapping[int, slice]) -> None:
        self._keypoints = keypoints
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

    def detect(self, pixels: npt.NDArray[np.uint8]) -> FoundBoxes:
        """Detections in one RGB image, uint8 [height, width, 3]."""
        height_px, width_px, _ = pixels.shape
        found = self._signature(input_tensor=tf.constant(pixels[np.newaxis]))
        count = int(found["num_detections"][0])
        boxes = found["detection_boxes"][0, :count].numpy()
        label_ids = found["detection_classes"][0, :count].numpy().astype(np.int64)
        masks = points_px = None
        if "detection_keypoints" in found:
            places, scores = (found[f"detection_keypoint{name}"][0, :count].numpy() for name in ("s", "_scores"))
            points = np.concatenate([places, scores[..., np.newaxis]], axis=-1)
            size = {"height_px": height_px, "width_px": width_px}
            points_px = keypoints_to_pixels(points, label_ids, self._keypoints, **size)
        if "detection_masks" in found:
            over_boxes = found["detection_masks"][0, :count].numpy()
            masks = masks_in_image(over_boxes, boxes, height_px=height_px, width_px=width_px)
        return FoundBoxes(
            boxes_px=to_pixels(boxes, height_px=height_px, width_px=width_px),
            scores=found["detection_scores"][0, :count].numpy(),
            label_ids=label_ids,
            masks=masks,
            keypoints_px=points_px,
        )
