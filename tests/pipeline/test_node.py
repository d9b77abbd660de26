from __future__ import annotations

import pytest

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import new_config
from odrun.pipeline.node import node_of
from odrun.settings import AugmentationSettings, TrainJob

NO_STEPS = AugmentationSettings(steps={}, order=None)


@pytest.mark.parametrize(
    "entry",
    [
        "ssd_efficientdet_d7_1536x1536",
        "centernet_hourglass104_1024x1024_kpts",
        "centernet_hourglass104_512x512",
        "mask_rcnn_inception_resnet_v2_1024x1024",
    ],
)
def test_the_node_of_a_message_builds_the_same_message(entry: str) -> None:
    job = composed("train", [f"model={entry}"])
    assert isinstance(job, TrainJob)
    config = build(job.pipeline, job.augmentation)
    again = build(node_of(config), NO_STEPS)
    assert again.SerializeToString(deterministic=True) == config.SerializeToString(deterministic=True)


def test_values_are_what_a_person_would_write() -> None:
    given = {
        "train_config": {"gradient_clipping_by_norm": 0.1, "fine_tune_checkpoint_version": "V2"},
        "eval_config": {"metrics_set": ["a", "b"]},
        "model": {"ssd": {"similarity_calculator": {"iou_similarity": {}}}},
    }
    assert node_of(build(given, NO_STEPS)) == given
    assert node_of(new_config()) == {}
