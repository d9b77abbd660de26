from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.pipeline.descriptors import message_at
from odrun.pipeline.honoured import PARTS, Fields, unhonoured
from odrun.settings import AugmentationSettings, TrainJob

ENTRIES = ("ssd_mobilenet_v2_fpnlite_digits", "ssd_mobilenet_v2_fpnlite_320x320")
# What the published TensorFlow 2 configurations of the model zoo set beside the model, whatever its architecture.
ZOO: dict[str, Any] = {
    "train_config": {
        "sync_replicas": True,
        "replicas_to_aggregate": 8,
        "startup_delay_steps": 0.0,
        "max_number_of_boxes": 100,
        "unpad_groundtruth_tensors": False,
        "fine_tune_checkpoint_version": "V2",
        "use_bfloat16": True,
        "num_steps": 25000,
    },
    "train_input_reader": {"shuffle": True, "num_readers": 4},
    "eval_config": {"metrics_set": ["coco_detection_metrics"], "use_moving_averages": False, "batch_size": 1},
    "eval_input_reader": [{"shuffle": False, "num_epochs": 1}],
}


def told(node: dict[str, Any]) -> tuple[str, ...]:
    return unhonoured(build(node, AugmentationSettings(steps={}, order=None)))


def refusal(node: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        told(node)
    return caught.value


def groups(fields: Fields) -> list[list[str]]:
    return [sorted(group) for group in (fields.honoured, fields.silent, fields.named, fields.refused)]


def unsorted(part: str, fields: Fields) -> set[str]:
    """The fields of the OD API's message that are in none of the groups, and those in a group that it has not."""
    message = message_at(part.split(".") if part else ())
    assert message is not None
    return set(message.fields_by_name) ^ {name for group in groups(fields) for name in group}


@pytest.mark.parametrize("part", PARTS)
def test_every_field_of_the_od_api_stands_in_exactly_one_group(part: str) -> None:
    assert unsorted(part, PARTS[part]) == set()
    names = [name for group in groups(PARTS[part]) for name in group]
    assert sorted(names) == sorted(set(names))


def test_a_field_that_a_newer_od_api_adds_would_be_seen() -> None:
    known = PARTS["train_config"]
    older = Fields(known.honoured - {"freeze_variables"}, known.silent, known.named, known.refused)
    assert unsorted("train_config", older) == {"freeze_variables"}


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_shipped_entries_have_nothing_to_tell(entry: str) -> None:
    job = composed("train", (f"model={entry}",))
    assert isinstance(job, TrainJob)
    assert unhonoured(build(job.pipeline, job.augmentation)) == ()


def test_what_the_zoos_configurations_carry_is_passed_over_in_silence() -> None:
    assert told(ZOO) == ()


@pytest.mark.parametrize(
    ("node", "note"),
    [
        (
            {"train_config": {"keep_checkpoint_every_n_hours": 2}},
            "pipeline.train_config.keep_checkpoint_every_n_hours is not used: "
            "train.checkpoint.every and train.checkpoint.keep decide",
        ),
        (
            {"train_config": {"max_number_of_boxes": 50}},
            "pipeline.train_config.max_number_of_boxes is not used: in TensorFlow 2 that of train_input_reader decides",
        ),
        (
            {"eval_config": {"metrics_set": ["pascal_voc_detection_metrics"]}},
            "pipeline.eval_config.metrics_set is not used: odrun scores by COCO's metrics of boxes, masks and "
            "keypoints",
        ),
        (
            {"eval_input_reader": [{"sample_1_of_n_examples": 10}]},
            "pipeline.eval_input_reader.0.sample_1_of_n_examples is not used: all validation images are evaluated",
        ),
        (
            {"train_config": {"optimizer": {"rms_prop_optimizer": {"decay": 0.5}}}},
            "pipeline.train_config.optimizer.rms_prop_optimizer.decay divides the learning rate by 1 + 0.5 x step, "
            "as in the Object Detection API: 0 avoids it",
        ),
    ],
)
def test_what_somebody_may_have_counted_on_is_named(node: dict[str, Any], note: str) -> None:
    assert told(node) == (note,)


@pytest.mark.parametrize(
    ("part", "field", "value", "why"),
    [
        ("train_config", "bias_grad_multiplier", 2.0, "gradients are applied as they are"),
        ("train_config", "use_multiclass_scores", True, "odrun's records hold boxes, classes, masks and keypoints"),
        ("train_config", "update_trainable_variables", ["a"], "train.freeze, with a regular expression for the others"),
        ("train_config", "load_all_detection_checkpoint_vars", True, "in TensorFlow 2 fine_tune_checkpoint_type=full"),
        ("train_input_reader", "num_epochs", 3, "train.steps says how long training is"),
        ("train_input_reader", "sample_from_datasets_weights", [0.5, 0.5], "odrun trains on one data set"),
        ("train_input_reader", "num_additional_channels", 1, "odrun's images have three channels"),
        ("train_input_reader", "input_type", "TF_SEQUENCE_EXAMPLE", "odrun's records are tf.train.Example"),
        ("train_input_reader", "load_track_id", True, "odrun's records hold boxes, classes, masks and keypoints"),
        ("eval_config", "ignore_groundtruth", True, "the best checkpoint is chosen by scores against the truth"),
        ("graph_rewriter", "quantization", {}, "the Object Detection API does not quantize in TensorFlow 2"),
    ],
)
def test_what_would_make_another_training_is_refused(part: str, field: str, value: object, why: str) -> None:
    key = f"pipeline.{part}" if part == "graph_rewriter" else f"pipeline.{part}.{field}"
    error = refusal({part: {field: value}})
    assert error.what.startswith(f"{key} has no effect in odrun: {why}")
    assert (error.where, error.remedy) == (key, f"{key}=null")


@pytest.mark.parametrize(
    "node",
    [
        {"train_config": {"bias_grad_multiplier": 0.0}},
        {"train_config": {"bias_grad_multiplier": 1.0}},
        {"train_input_reader": {"num_epochs": 0, "input_type": "TF_EXAMPLE", "load_track_id": False}},
    ],
)
def test_a_value_that_changes_nothing_is_taken(node: dict[str, Any]) -> None:
    assert told(node) == ()


def test_all_refused_fields_are_told_at_once() -> None:
    error = refusal({"train_config": {"bias_grad_multiplier": 2.0}, "train_input_reader": {"num_epochs": 3}})
    assert error.what == (
        "2 fields of the pipeline have no effect in odrun:\n"
        "  pipeline.train_config.bias_grad_multiplier: gradients are applied as they are\n"
        "  pipeline.train_input_reader.num_epochs: train.steps says how long training is"
    )
    assert error.remedy == (
        "pipeline.train_config.bias_grad_multiplier=null pipeline.train_input_reader.num_epochs=null"
    )


def test_a_job_with_a_refused_field_does_not_compose() -> None:
    with pytest.raises(InputError, match="bias_grad_multiplier has no effect"):
        composed("train", ("+pipeline.train_config.bias_grad_multiplier=2",))


def test_the_notes_are_among_those_of_the_completed_pipeline() -> None:
    job = composed("train", ("+pipeline.train_config.summarize_gradients=true",))
    assert isinstance(job, TrainJob)
    done = complete(
        build(job.pipeline, job.augmentation),
        train_records="",
        validation_records="",
        label_map=Path(),
        num_classes=1,
        checkpoint=None,
    )
    assert done.notes == (
        "pipeline.train_config.summarize_gradients is not used: the norm of the gradients is always logged",
    )
