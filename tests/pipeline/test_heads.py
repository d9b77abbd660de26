from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.complete import CompletedPipeline, complete
from odrun.pipeline.descriptors import new_config
from odrun.pipeline.heads import has_mask_head, settle_heads
from odrun.pipeline.keypoint_head import oks_sigmas
from odrun.settings import TrainJob


def completed(
    entry: str, *overrides: str, has_masks: bool = False, keypoints: KeypointSlots = NO_KEYPOINTS
) -> CompletedPipeline:
    job = composed("train", [f"model={entry}", *overrides])
    assert isinstance(job, TrainJob)
    return complete(
        build(job.pipeline, job.augmentation),
        train_records="train",
        validation_records="validation",
        label_map=Path("label_map.pbtxt"),
        num_classes=3,
        checkpoint=None,
        has_masks=has_masks,
        keypoints=keypoints,
    )


def test_the_joints_of_centernet_are_taken_out_and_told() -> None:
    done = completed("centernet_resnet50_v2_512x512_kpts")
    config: Any = done.config
    assert config.model.center_net.num_classes == 3
    assert not config.model.center_net.keypoint_estimation_task
    assert config.model.center_net.HasField("object_detection_task")
    assert (config.train_input_reader.num_keypoints, config.eval_input_reader[0].num_keypoints) == (0, 0)
    assert not config.eval_config.parameterized_metric
    note = "pipeline.model.center_net.keypoint_estimation_task is taken out: "
    assert f"{note}the records that are trained on have no keypoints" in done.notes


def test_the_masks_of_mask_rcnn_are_taken_out_and_told() -> None:
    done = completed("mask_rcnn_inception_resnet_v2_1024x1024")
    config: Any = done.config
    model = config.model.faster_rcnn
    predictor = model.second_stage_box_predictor.mask_rcnn_box_predictor
    assert (model.num_classes, model.number_of_stages, predictor.predict_instance_masks) == (3, 2, False)
    assert config.train_input_reader.load_instance_masks is False
    assert list(config.eval_config.metrics_set) == ["coco_detection_metrics"]
    assert [note for note in done.notes if "have no masks" in note] == [
        "pipeline.model.faster_rcnn.number_of_stages=3 is taken out: the records that are trained on have no masks",
        "pipeline.model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks is taken "
        "out: the records that are trained on have no masks",
    ]


@pytest.mark.parametrize(
    "task",
    [
        "mask_estimation_task",
        "deepmac_mask_estimation",
        "densepose_estimation_task",
        "track_estimation_task",
        "temporal_offset_task",
    ],
)
def test_every_other_head_of_centernet_is_taken_out(task: str) -> None:
    config: Any = new_config()
    getattr(config.model.center_net, task).SetInParent()
    (note,) = settle_heads(config, has_masks=False)
    assert task in note
    assert not config.model.center_net.HasField(task)


def test_a_head_that_is_not_known_here_would_be_found() -> None:
    config: Any = new_config()
    tasks = {
        field.name
        for field in config.model.center_net.DESCRIPTOR.fields
        if field.name.endswith(("_task", "mask_estimation")) and field.name != "object_detection_task"
    }
    for name in tasks:
        model = config.model.center_net
        field = model.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            getattr(model, name).add()
        else:
            getattr(model, name).SetInParent()
    assert len(settle_heads(config, has_masks=False)) == len(tasks) == 6


@pytest.mark.parametrize("entry", ["ssd_mobilenet_v2_320x320", "faster_rcnn_resnet50_v1_640x640"])
def test_a_detector_of_boxes_stays_as_it_is(entry: str) -> None:
    job = composed("train", [f"model={entry}"])
    assert isinstance(job, TrainJob)
    config = build(job.pipeline, job.augmentation)
    before = config.SerializeToString(deterministic=True)
    assert settle_heads(config, has_masks=False) == ()
    assert config.SerializeToString(deterministic=True) == before


def masked(entry: str, *overrides: str) -> CompletedPipeline:
    return completed(entry, *overrides, has_masks=True)


def test_the_head_for_masks_stays_as_published_where_the_records_have_masks() -> None:
    job = composed("train", ["model=mask_rcnn_inception_resnet_v2_1024x1024"])
    assert isinstance(job, TrainJob)
    official: Any = build(job.pipeline, job.augmentation)
    done = masked("mask_rcnn_inception_resnet_v2_1024x1024")
    config: Any = done.config
    official.model.faster_rcnn.num_classes = 3
    assert config.model == official.model
    readers = (config.train_input_reader, config.eval_input_reader[0])
    assert [(reader.load_instance_masks, reader.mask_type) for reader in readers] == [(True, 2), (True, 2)]
    assert config.eval_config.eval_instance_masks is True
    assert list(config.eval_config.metrics_set) == ["coco_detection_metrics", "coco_mask_metrics"]
    assert [note for note in done.notes if "masks" in note] == [
        "pipeline.model.faster_rcnn.number_of_stages=3 is kept: the records that are trained on have masks",
        "pipeline.model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks is kept: "
        "the records that are trained on have masks",
    ]


def test_a_head_for_masks_is_read_and_scored_though_its_configuration_did_not_say_so() -> None:
    config: Any = new_config()
    config.model.center_net.mask_estimation_task.SetInParent()
    config.eval_input_reader.add()
    settle_heads(config, has_masks=True)
    assert has_mask_head(config)
    assert config.train_input_reader.load_instance_masks
    assert config.eval_input_reader[0].load_instance_masks
    assert list(config.eval_config.metrics_set) == ["coco_detection_metrics", "coco_mask_metrics"]


def test_a_model_without_a_head_for_masks_does_not_read_those_that_are_there() -> None:
    done = masked("ssd_mobilenet_v2_320x320", "+pipeline.train_input_reader.load_instance_masks=true")
    config: Any = done.config
    assert not has_mask_head(config)
    assert not config.train_input_reader.load_instance_masks
    note = "pipeline.train_input_reader.load_instance_masks is not used: the model has no head for masks"
    assert note in done.notes
    assert masked("ssd_mobilenet_v2_320x320").config == completed("ssd_mobilenet_v2_320x320").config


def test_masks_do_not_keep_the_other_heads() -> None:
    assert masked("centernet_resnet50_v2_512x512_kpts").config == completed("centernet_resnet50_v2_512x512_kpts").config


COCO_KEYPOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
KEYPOINTS_ENTRY = "centernet_resnet50_v2_512x512_kpts"


def test_the_head_for_keypoints_stays_as_published_where_the_records_have_those_of_coco() -> None:
    """But for the class, which is called as in the data, and the edges, which are for pictures of the OD API."""
    job = composed("train", [f"model={KEYPOINTS_ENTRY}"])
    assert isinstance(job, TrainJob)
    official: Any = build(job.pipeline, job.augmentation)
    config: Any = completed(KEYPOINTS_ENTRY, keypoints=KeypointSlots({"person": COCO_KEYPOINTS})).config
    (task,) = config.model.center_net.keypoint_estimation_task
    assert task.keypoint_class_name == "person"
    task.keypoint_class_name = official.model.center_net.keypoint_estimation_task[0].keypoint_class_name
    assert task == official.model.center_net.keypoint_estimation_task[0]
    assert config.model.center_net.keypoint_label_map_path == "label_map.pbtxt"
    assert (config.train_input_reader.num_keypoints, config.eval_input_reader[0].num_keypoints) == (17, 17)
    (metric,) = config.eval_config.parameterized_metric
    (published,) = official.eval_config.parameterized_metric
    assert oks_sigmas(config) == pytest.approx(dict(published.coco_keypoint_metrics.keypoint_label_to_sigmas))
    assert metric.coco_keypoint_metrics.class_label == "person"
    assert flips(config) == flips(official) != []


def test_keypoints_of_ones_own_get_a_task_for_each_class_that_has_some() -> None:
    slots = KeypointSlots({"arrow": ("left_end", "right_end", "tip"), "dog": ("nose",)}, {"dog": "/m/0bt9lr"})
    done = completed(KEYPOINTS_ENTRY, keypoints=slots)
    config: Any = done.config
    tasks = config.model.center_net.keypoint_estimation_task
    assert [(task.task_name, task.keypoint_class_name) for task in tasks] == [
        ("human_pose_arrow", "arrow"),
        ("human_pose_dog", "/m/0bt9lr"),
    ]
    assert [sorted(task.keypoint_label_to_std) for task in tasks] == [[], ["nose"]]
    assert config.train_input_reader.num_keypoints == 4
    assert oks_sigmas(config) == pytest.approx({"left_end": 0.05, "right_end": 0.05, "tip": 0.05, "nose": 0.026})
    told = "no spread is known of left_end, right_end, tip of arrow: 1 is taken for training, 0.05 for evaluation"
    assert told in done.notes


def test_a_model_without_a_head_for_keypoints_does_not_read_those_that_are_there() -> None:
    slots = KeypointSlots({"person": COCO_KEYPOINTS})
    done = completed(
        "ssd_mobilenet_v2_fpnlite_320x320", "+pipeline.train_input_reader.num_keypoints=17", keypoints=slots
    )
    config: Any = done.config
    assert config.train_input_reader.num_keypoints == 0
    assert "pipeline.train_input_reader.num_keypoints is not used: the model has no head for keypoints" in done.notes


def told_of_flips(notes: tuple[str, ...]) -> list[str]:
    return [note for note in notes if "exchanged by the left and right" in note]


def flips(config: Any) -> list[list[int]]:
    steps = config.train_config.data_augmentation_options
    found = [step.random_horizontal_flip for step in steps if step.HasField("random_horizontal_flip")]
    return [list(flip.keypoint_flip_permutation) for flip in found]


def test_mirrors_exchange_keypoints_by_their_names_and_that_is_told() -> None:
    done = completed(KEYPOINTS_ENTRY, keypoints=KeypointSlots({"arrow": ("left_end", "right_end", "tip")}))
    assert flips(done.config) == [[1, 0, 2]]
    assert len(told_of_flips(done.notes)) == 1
    assert told_of_flips(completed(KEYPOINTS_ENTRY, keypoints=KeypointSlots({"person": COCO_KEYPOINTS})).notes) == []


def test_a_permutation_of_ones_own_is_kept_where_names_tell_no_sides() -> None:
    slots = KeypointSlots({"arrow": ("a", "b", "c")})
    job = composed("train", [f"model={KEYPOINTS_ENTRY}"])
    assert isinstance(job, TrainJob)
    config: Any = build(job.pipeline, job.augmentation)
    for step in config.train_config.data_augmentation_options:
        if step.HasField("random_horizontal_flip"):
            step.random_horizontal_flip.keypoint_flip_permutation[:] = [2, 1, 0]
    notes = settle_heads(config, has_masks=False, keypoints=slots, label_map="label_map.pbtxt")
    assert flips(config) == [[2, 1, 0]]
    assert told_of_flips(notes) == []


def test_weights_that_are_not_one_for_each_keypoint_and_depths_are_taken_out_and_told() -> None:
    job = composed("train", [f"model={KEYPOINTS_ENTRY}"])
    assert isinstance(job, TrainJob)
    config: Any = build(job.pipeline, job.augmentation)
    center_net = config.model.center_net
    center_net.object_center_params.keypoint_weights_for_center[:] = [1.0, 2.0]
    center_net.keypoint_estimation_task[0].predict_depth = True
    config.train_input_reader.keypoint_type_weight[:] = [1.0, 2.0, 3.0]
    config.eval_input_reader[0].keypoint_type_weight[:] = [1.0] * 17
    slots = KeypointSlots({"arrow": ("left_end", "right_end", "tip")})
    notes = settle_heads(config, has_masks=False, keypoints=slots, label_map="label_map.pbtxt")
    assert not center_net.object_center_params.keypoint_weights_for_center
    assert not center_net.keypoint_estimation_task[0].predict_depth
    assert list(config.train_input_reader.keypoint_type_weight) == [1.0, 2.0, 3.0]
    assert not config.eval_input_reader[0].keypoint_type_weight
    assert [note for note in notes if "weights, and the data 3 keypoints" in note or "no depth" in note] == [
        "pipeline.model.center_net.keypoint_estimation_task: no depth of arrow, of which records know none",
        "pipeline.eval_input_reader.0.keypoint_type_weight is not used: it has 17 weights, and the data 3 keypoints",
        "pipeline.model.center_net.object_center_params.keypoint_weights_for_center is not used: it has 2 weights, and "
        "the data 3 keypoints",
    ]


def test_a_class_has_the_settings_of_its_own_task_where_there_is_one() -> None:
    job = composed("train", [f"model={KEYPOINTS_ENTRY}"])
    assert isinstance(job, TrainJob)
    config: Any = build(job.pipeline, job.augmentation)
    tasks = config.model.center_net.keypoint_estimation_task
    tasks.add().CopyFrom(tasks[0])
    tasks[1].task_name, tasks[1].keypoint_class_name, tasks[1].task_loss_weight = "dog_pose", "dog", 0.25
    slots = KeypointSlots({"arrow": ("tip",), "dog": ("nose",)})
    settle_heads(config, has_masks=False, keypoints=slots, label_map="label_map.pbtxt")
    assert [(task.task_name, task.keypoint_class_name, task.task_loss_weight) for task in tasks] == [
        ("human_pose_arrow", "arrow", 1.0),
        ("dog_pose", "dog", 0.25),
    ]
