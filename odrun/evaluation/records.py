"""Validation records → images to detect in, and their ground truth.

Comes in: TFRecord files in the OD API's layout. Goes out: batches of preprocessed images beside what the records say of
them. The integer `image/source_id` is an image's identity everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from odrun.annotations.found import to_pixels
from odrun.compat.engine import DetectionModel
from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError

_CORNERS = ("ymin", "xmin", "ymax", "xmax")
_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/source_id": tf.io.FixedLenFeature([], tf.string),
    **{f"image/object/bbox/{corner}": tf.io.VarLenFeature(tf.float32) for corner in _CORNERS},
    "image/object/class/label": tf.io.VarLenFeature(tf.int64),
    "image/object/is_crowd": tf.io.VarLenFeature(tf.int64),
}


@dataclass(frozen=True)
class TrueImage:
    """One validation image as its record tells it.

    Shapes: `boxes_px` float64 [n, 4] as xmin, ymin, xmax, ymax in pixels; `label_ids` int64 [n], 1-based; `is_crowd`
    bool [n].
    """

    image_id: int
    height_px: int
    width_px: int
    boxes_px: npt.NDArray[np.float64]
    label_ids: npt.NDArray[np.int64]
    is_crowd: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Preprocessed images [batch, height, width, 3], true shapes [batch, 3], and their records' pixels and truth."""

    images: tf.Tensor
    true_shapes: tf.Tensor
    pixels: tuple[npt.NDArray[np.uint8], ...]
    truth: tuple[TrueImage, ...]


class ValidationRecords:
    """The validation images below a glob of record files; iterating gives `Batch`es in the order of the records.

    Images of one size are batched by `batch_size`; a model that keeps aspect ratios gets them one by one.

    Raises:
        RunFailedError: no record file matches the glob.
    """

    def __init__(self, pattern: str, model: DetectionModel, *, batch_size: int) -> None:
        files = sorted(tf.io.gfile.glob(pattern))
        if not files:
            raise RunFailedError("there are no validation records", where=pattern, remedy="run odrun train again")
        self._model = model
        self._batch_size = batch_size
        self._records = tf.data.TFRecordDataset(files).map(
            self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[dict[str, tf.Tensor]] = []
        for decoded in self._records.prefetch(self._batch_size):
            if waiting and (len(waiting) == self._batch_size or waiting[0]["image"].shape != decoded["image"].shape):
                yield _batch(waiting)
                waiting = []
            waiting.append(decoded)
        if waiting:
            yield _batch(waiting)

    def _decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, _FEATURES)
        pixels = tf.io.decode_image(parsed["image/encoded"], channels=3, expand_animations=False)
        pixels.set_shape([None, None, 3])
        image, true_shape = self._model.preprocess(pixels)
        return {
            "image": image,
            "true_shape": true_shape,
            "pixels": pixels,
            "image_id": tf.strings.to_number(parsed["image/source_id"], tf.int64),
            "boxes": tf.stack([tf.sparse.to_dense(parsed[f"image/object/bbox/{name}"]) for name in _CORNERS], axis=-1),
            "label_ids": tf.sparse.to_dense(parsed["image/object/class/label"]),
            "is_crowd": tf.sparse.to_dense(parsed["image/object/is_crowd"]),
        }


def _batch(decoded: list[dict[str, tf.Tensor]]) -> Batch:
    return Batch(
        images=tf.stack([image["image"] for image in decoded]),
        true_shapes=tf.stack([image["true_shape"] for image in decoded]),
        pixels=tuple(image["pixels"].numpy() for image in decoded),
        truth=tuple(_true_image(image) for image in decoded),
    )


def _true_image(decoded: dict[str, tf.Tensor]) -> TrueImage:
    height_px, width_px, _ = decoded["pixels"].shape
    label_ids = decoded["label_ids"].numpy()
    is_crowd = np.zeros(len(label_ids), bool)
    recorded = decoded["is_crowd"].numpy()
    is_crowd[: len(recorded)] = recorded.astype(bool)
    return TrueImage(
        image_id=int(decoded["image_id"]),
        height_px=height_px,
        width_px=width_px,
        boxes_px=to_pixels(decoded["boxes"].numpy(), height_px=height_px, width_px=width_px),
        label_ids=label_ids,
        is_crowd=is_crowd,
    )
