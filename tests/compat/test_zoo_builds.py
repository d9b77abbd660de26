"""The zoo's models, built by the engine from what odrun completes: one per family here, all of them by `-m zoo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.settings import TrainJob

ENTRIES = sorted(
    json.loads((Path(__file__).parent.parent / "goldens" / "official_digests.json").read_text(encoding="utf-8"))
)
FAMILIES = [
    "ssd_mobilenet_v2_320x320",
    "ssd_resnet50_v1_fpn_640x640",
    "ssd_efficientdet_d0_512x512",
    "faster_rcnn_resnet50_v1_640x640",
    "faster_rcnn_resnet50_v1_fpn_640x640",
    "mask_rcnn_inception_resnet_v2_1024x1024",
    "centernet_resnet50_v2_512x512_kpts",
]
CLASSES = 3


def built(entry: str) -> tuple[int, tuple[int, ...]]:
    """The number of trainable values of the entry's model for `CLASSES` classes, and the shape of its boxes."""
    import odrun.compat

    odrun.compat.load()
    from odrun.compat.engine import DetectionModel, tf

    job = composed("train", [f"model={entry}"])
    assert isinstance(job, TrainJob)
    config: Any = complete(
        build(job.pipeline, job.augmentation),
        train_records="train",
        validation_records="validation",
        label_map=Path("label_map.pbtxt"),
        num_classes=CLASSES,
        checkpoint=None,
    ).config
    tf.keras.backend.clear_session()
    model = DetectionModel(config, is_training=False)
    assert job.model.input_px is not None
    height_px, width_px = job.model.input_px

    # Traced, not run: the variables are made, and no memory is taken for the features.
    @tf.function(autograph=False)
    def detect() -> Any:
        images, shapes = model.network.preprocess(tf.zeros([1, height_px, width_px, 3]))
        return model.detect(images, shapes)

    found = detect.get_concrete_function().structured_outputs
    return sum(int(tf.size(variable)) for variable in model.trainable_variables), tuple(found.boxes.shape)


@pytest.mark.slow
@pytest.mark.parametrize("entry", FAMILIES)
def test_a_model_of_each_family_is_built(entry: str) -> None:
    values, boxes = built(entry)
    assert values > 1_000_000
    assert boxes[-1] == 4


@pytest.mark.zoo
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_model_of_the_zoo_is_built(entry: str) -> None:
    values, boxes = built(entry)
    assert values > 1_000_000
    assert boxes[-1] == 4
