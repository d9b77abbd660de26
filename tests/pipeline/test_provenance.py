"""What of a configuration is not official, and who says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.pipeline.provenance import Change, Source, changes
from odrun.settings import TrainJob


def changed(*overrides: str) -> dict[str, Change]:
    configs: list[Any] = []
    for arguments in ((), overrides):
        job = composed("train", ["model=centernet_resnet50_v2_512x512_kpts", *arguments])
        assert isinstance(job, TrainJob)
        configs.append(build(job.pipeline, job.augmentation))
    completed = complete(
        configs[1],
        train_records="train",
        validation_records="validation",
        label_map=Path("label_map.pbtxt"),
        num_classes=3,
        checkpoint=None,
    ).config
    found = changes(configs[0], configs[1], completed, lambda key: Source("command line", key))
    return {change.field: change for change in found}


def test_what_is_taken_out_as_a_whole_is_one_change() -> None:
    found = changed()
    fields = [field for field in found if "keypoint" in field or "parameterized" in field]
    assert fields == sorted(
        [
            "pipeline.eval_config.keypoint_edge",
            "pipeline.eval_config.parameterized_metric",
            "pipeline.eval_input_reader.0.num_keypoints",
            "pipeline.model.center_net.keypoint_estimation_task",
            "pipeline.train_input_reader.num_keypoints",
        ]
    )
    edges = found["pipeline.eval_config.keypoint_edge"]
    assert isinstance(edges.official, list)
    assert (len(edges.official), edges.now, edges.source.kind) == (18, None, "odrun")


def test_a_value_of_the_user_and_one_of_the_data_are_told_with_who_set_them() -> None:
    found = changed("train.batch_size=7")
    batch = found["pipeline.train_config.batch_size"]
    assert (batch.official, batch.now) == (128, 7)
    assert batch.source.kind == "command line"
    classes = found["pipeline.model.center_net.num_classes"]
    assert (classes.official, classes.now, classes.source.kind) == (90, 3, "odrun")
