"""checkpoint → `export/`: the OD API's layout, with the label map beside it, proven equal to the model."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from odrun.compat.engine import DetectionModel, export_inference_graph
from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError

SCORE_TOLERANCE = 1e-3
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


def export_saved_model(pipeline: Any, *, checkpoint_dir: Path, label_map: Path, folder: Path) -> None:
    """Write `folder/{checkpoint/,saved_model/,pipeline.config,label_map.pbtxt}`; it appears whole or not at all.

    An export that was there before gives way to the new one once that is complete.

    Raises:
        RunFailedError: TensorFlow cannot write it (a full disk).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        export_inference_graph(pipeline, checkpoint_dir=checkpoint_dir, output_dir=temporary)
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


def prove_equal(model: DetectionModel, folder: Path, images: Sequence[npt.NDArray[np.uint8]]) -> Parity:
    """Run the exported SavedModel and the model on images, each uint8 [height, width, 3], and compare the scores.

    Raises:
        RunFailedError: a score differs by more than `SCORE_TOLERANCE`.
    """
    signature = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    detect = tf.function(model.detect, autograph=False, reduce_retracing=True)
    largest = 0.0
    for pixels in images:
        exported = signature(input_tensor=tf.constant(pixels[np.newaxis]))
        image, true_shape = model.preprocess(tf.constant(pixels))
        expected = detect(image[tf.newaxis], true_shape[tf.newaxis])
        pairs = [(exported["detection_scores"], expected.scores)]
        if "detection_keypoint_scores" in exported:
            pairs.append((exported["detection_keypoint_scores"], expected.keypoints[..., 2]))
        largest = max(largest, *(float(tf.reduce_max(tf.abs(ours - theirs))) for ours, theirs in pairs))
    if largest > SCORE_TOLERANCE:
        raise RunFailedError(
            f"the exported model is not equal to the checkpoint: a score differs by {largest:.6f}",
            where=str(folder),
            remedy="this is a fault of odrun or TensorFlow; the checkpoint itself is good",
        )
    latency_ms = _latency_ms(signature, images[0])
    size = sum(path.stat().st_size for path in (folder / "saved_model").rglob("*") if path.is_file())
    return Parity(len(images), largest, latency_ms, size / 1e6)


def _latency_ms(signature: Any, pixels: npt.NDArray[np.uint8]) -> float:
    """The median of some calls with an image that the model has seen in this size before."""
    image = tf.constant(pixels[np.newaxis])
    times = []
    for _ in range(_TIMED_CALLS):
        started = time.perf_counter()
        signature(input_tensor=image)["detection_scores"].numpy()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
