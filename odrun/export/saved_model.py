"""A model as it is → `export/`: the OD API's layout, with the label map beside it, proven equal to the model."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from odrun.compat.engine import DetectionModel, Detections, export_inference_graph
from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError

SCORE_TOLERANCE = 1e-3
Sample: TypeAlias = "tuple[npt.NDArray[np.uint8], Detections]"
"""An image, uint8 [height, width, 3], and what the model finds in it, as a batch of one."""

_TIMED_CALLS = 7


@dataclass(frozen=True)
class Parity:
    """How far the exported model is from the checkpoint, over `images` images: the largest difference of a score.

    `latency_ms` is the median time of a call of the exported model with one image on this machine, without the first
    calls; `size_mb` (10^6 bytes) is that of its SavedModel.
    """

    images: int
    largest: float
    latency_ms: float
    size_mb: float


def export_saved_model(model: DetectionModel, pipeline: Any, *, label_map: Path, folder: Path) -> None:
    """Write `folder/{checkpoint/,saved_model/,pipeline.config,label_map.pbtxt}`; it appears whole or not at all.

    It holds the weights that `model`, which `pipeline` describes, has now.

    An export that was there before gives way to the new one once that is complete.

    Raises:
        RunFailedError: TensorFlow cannot write it (a full disk).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        export_inference_graph(model, pipeline, output_dir=temporary)
        shutil.copyfile(label_map, temporary / label_map.name)
        temporary.chmod(folder.parent.stat().st_mode)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    except tf.errors.OpError as error:
        raise RunFailedError(
            f"the export cannot be written: {(error.message or type(error).__name__).splitlines()[0]}",
            where=str(folder),
            remedy="make sure that the disk has room; the checkpoints of the run are whole",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def prove_equal(model: DetectionModel, folder: Path, samples: Sequence[Sample]) -> Parity:
    """Run the exported SavedModel on images and compare the scores with what the model has found in them.

    Where they differ, the model is run on that image alone as well: in a batch of several, sums may be rounded
    otherwise, and one overlap at the very threshold of suppression changes all scores that follow.

    Raises:
        RunFailedError: a score differs by more than `SCORE_TOLERANCE`.
    """
    signature = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    detect = tf.function(model.detect, autograph=False, reduce_retracing=True)
    largest = 0.0
    for pixels, found in samples:
        exported = signature(input_tensor=tf.constant(pixels[np.newaxis]))
        difference = _difference(exported, found)
        if difference > SCORE_TOLERANCE:
            image, true_shape = model.preprocess(tf.constant(pixels))
            difference = _difference(exported, detect(image[tf.newaxis], true_shape[tf.newaxis]))
        largest = max(largest, difference)
    if largest > SCORE_TOLERANCE:
        raise RunFailedError(
            f"the exported model is not equal to the checkpoint: a score differs by {largest:.6f}",
            where=str(folder),
            remedy="this is a fault of odrun or TensorFlow; the checkpoint itself is good",
        )
    latency_ms = _latency_ms(signature, samples[0][0])
    size = sum(path.stat().st_size for path in (folder / "saved_model").rglob("*") if path.is_file())
    return Parity(len(samples), largest, latency_ms, size / 1e6)


def _difference(exported: Mapping[str, tf.Tensor], found: Detections) -> float:
    """The largest of a score of a box, or of a keypoint."""
    pairs = [(exported["detection_scores"], found.scores)]
    if "detection_keypoint_scores" in exported:
        pairs.append((exported["detection_keypoint_scores"], found.keypoints[..., 2]))
    return max(float(np.abs(ours.numpy() - np.asarray(theirs)).max()) for ours, theirs in pairs)


def _latency_ms(signature: Any, pixels: npt.NDArray[np.uint8]) -> float:
    """The median of some calls with an image that the model has seen in this size before."""
    image = tf.constant(pixels[np.newaxis])
    times = []
    for _ in range(_TIMED_CALLS):
        started = time.perf_counter()
        signature(input_tensor=image)["detection_scores"].numpy()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
