from __future__ import annotations

from typing import Any

import pytest

from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.text import to_text
from odrun.settings import AugmentationSettings

NO_AUGMENTATION = AugmentationSettings(steps={}, order=None)


def message(node: dict[str, Any], augmentation: AugmentationSettings = NO_AUGMENTATION) -> Any:
    return build(node, augmentation)


def fault(node: dict[str, Any], augmentation: AugmentationSettings = NO_AUGMENTATION) -> tuple[str, str | None]:
    with pytest.raises(InputError) as caught:
        build(node, augmentation)
    return caught.value.what, caught.value.remedy


def test_every_kind_of_field_arrives_in_the_message() -> None:
    node = {
        "model": {"ssd": {"num_classes": 3, "feature_extractor": {"type": "x", "depth_multiplier": 0.5}}},
        "train_config": {"batch_size": 8, "sync_replicas": True, "fine_tune_checkpoint_version": "V2"},
        "eval_config": {"metrics_set": ["a", "b"], "super_categories": {"pets": "cat,dog"}},
        "eval_input_reader": [{"shuffle": False}, {"num_epochs": 2}],
    }
    assert to_text(message(node)) == (
        "model {\n  ssd {\n    num_classes: 3\n    feature_extractor {\n"
        '      type: "x"\n      depth_multiplier: 0.5\n    }\n  }\n}\n'
        "train_config {\n  batch_size: 8\n  sync_replicas: true\n  fine_tune_checkpoint_version: V2\n}\n"
        'eval_config {\n  metrics_set: "a"\n  metrics_set: "b"\n'
        '  super_categories {\n    key: "pets"\n    value: "cat,dog"\n  }\n}\n'
        "eval_input_reader {\n  shuffle: false\n}\neval_input_reader {\n  num_epochs: 2\n}\n"
    )


def test_null_leaves_a_field_unset_and_an_empty_mapping_sets_its_message() -> None:
    built = message({"train_config": {"batch_size": None}, "eval_config": None, "model": {"ssd": {}}})
    assert to_text(built) == "model {\n  ssd {\n  }\n}\ntrain_config {\n}\n"


def test_null_empties_a_oneof_so_that_another_member_can_be_set() -> None:
    resizer = {"fixed_shape_resizer": None, "keep_aspect_ratio_resizer": {"min_dimension": 9}}
    built = message({"model": {"ssd": {"image_resizer": resizer}}})
    assert built.model.ssd.image_resizer.WhichOneof("image_resizer_oneof") == "keep_aspect_ratio_resizer"


@pytest.mark.parametrize(
    ("node", "what", "remedy"),
    [
        (
            {"model": {"ssd": {"num_clases": 3}}},
            "pipeline.model.ssd.num_clases is not a field of the OD API",
            "did you mean num_classes",
        ),
        (
            {"model": {"ssd": {"num_clases": None}}},
            "pipeline.model.ssd.num_clases is not a field of the OD API",
            "did you mean num_classes",
        ),
        (
            {"train_config": {"batch_size": "8"}},
            "pipeline.train_config.batch_size is the text '8', where a whole number is meant",
            "give a number without a point",
        ),
        (
            {"train_config": {"batch_size": 8.0}},
            "pipeline.train_config.batch_size is the number 8.0, where a whole number is meant",
            "pipeline.train_config.batch_size=8",
        ),
        (
            {"train_config": {"batch_size": [8]}},
            "pipeline.train_config.batch_size is a list of 1, where one value is meant",
            "give the value itself",
        ),
        (
            {"eval_config": {"metrics_set": "coco"}},
            "pipeline.eval_config.metrics_set is the text 'coco', where a list is meant",
            "put it in brackets: 'pipeline.eval_config.metrics_set=[coco]'",
        ),
        (
            {"eval_input_reader": {"shuffle": True}},
            "pipeline.eval_input_reader is a mapping, where a list is meant",
            "write it as a list",
        ),
        (
            {"eval_input_reader": [3]},
            "pipeline.eval_input_reader.0 is the number 3, where a group of fields is meant",
            "set one of its fields, as in pipeline.eval_input_reader.0.name=VALUE, or pipeline.eval_input_reader.0={}",
        ),
        (
            {"eval_config": {"super_categories": "pets"}},
            "pipeline.eval_config.super_categories is the text 'pets', where a mapping is meant",
            "pipeline.eval_config.super_categories={KEY: VALUE}",
        ),
        (
            {"model": {"ssd": {"similarity_calculator": {"iou_similarity": 1}}}},
            "pipeline.model.ssd.similarity_calculator.iou_similarity is the number 1, where a group of fields is meant",
            "pipeline.model.ssd.similarity_calculator.iou_similarity={}",
        ),
        (
            {"model": {"ssd": {"post_processing": {"score_converter": "SIGMOYD"}}}},
            "pipeline.model.ssd.post_processing.score_converter is 'SIGMOYD', which is not a value of it",
            "did you mean SIGMOID",
        ),
        (
            {"model": {"ssd": {}, "faster_rcnn": {}}},
            "pipeline.model has faster_rcnn and ssd, of which only one can be set (model)",
            "to keep ssd: pipeline.model.faster_rcnn=null",
        ),
    ],
)
def test_each_fault_is_named_with_its_key_and_remedy(node: dict[str, Any], what: str, remedy: str) -> None:
    assert fault(node) == (what, remedy)


def test_all_faults_are_told_at_once() -> None:
    what, _ = fault({"modell": {}, "train_config": {"batch_size": True, "num_steps": -1}})
    assert what.splitlines() == [
        "3 faults in the configuration of the model and its training:",
        "  pipeline.modell is not a field of the OD API; did you mean model",
        "  pipeline.train_config.batch_size is the switch true, where a whole number is meant; "
        "give a number without a point",
        "  pipeline.train_config.num_steps is -1, out of range; give a number from 0 to 4294967295",
    ]


def test_augmentation_steps_are_rendered_in_the_order_of_the_mapping() -> None:
    steps = {"random_rgb_to_gray": {"probability": 0.5}, "random_horizontal_flip": {}, "random_adjust_hue": None}
    built = message({"train_config": {}}, AugmentationSettings(steps=steps, order=None))
    assert to_text(built) == (
        "train_config {\n"
        "  data_augmentation_options {\n    random_rgb_to_gray {\n      probability: 0.5\n    }\n  }\n"
        "  data_augmentation_options {\n    random_horizontal_flip {\n    }\n  }\n}\n"
    )


def test_an_order_moves_the_augmentation_steps() -> None:
    steps = {"random_rgb_to_gray": {}, "random_horizontal_flip": {}}
    settings = AugmentationSettings(steps=steps, order=["random_horizontal_flip", "random_rgb_to_gray"])
    options = message({}, settings).train_config.data_augmentation_options
    assert [step.WhichOneof("preprocessing_step") for step in options] == settings.order


@pytest.mark.parametrize(
    ("steps", "order", "what", "remedy"),
    [
        (
            {"random_horizontal_flipp": {}},
            None,
            "augmentation.steps.random_horizontal_flipp is not a preprocessing step of the OD API",
            "did you mean random_horizontal_flip or random_vertical_flip or random_rotation90",
        ),
        (
            {"random_horizontal_flip": {"probabilty": 1}},
            None,
            "augmentation.steps.random_horizontal_flip.probabilty is not a field of the OD API",
            "did you mean probability",
        ),
        (
            {"random_horizontal_flip": {}},
            [],
            "augmentation.order leaves out random_horizontal_flip",
            "name it, or take it out: ~augmentation.steps.random_horizontal_flip",
        ),
        (
            {"random_horizontal_flip": {}},
            ["random_horizontal_flip", "random_horizontal_flip"],
            "augmentation.order names random_horizontal_flip more than once",
            "name each step once",
        ),
        (
            {},
            ["rgb_to_gray"],
            "augmentation.order names rgb_to_gray, which is not in augmentation.steps",
            "augmentation.order=null",
        ),
    ],
)
def test_a_wrong_augmentation_is_refused(
    steps: dict[str, Any], order: list[str] | None, what: str, remedy: str
) -> None:
    assert fault({}, AugmentationSettings(steps=steps, order=order)) == (what, remedy)


def test_augmentation_in_both_places_is_refused() -> None:
    node = {"train_config": {"data_augmentation_options": [{"rgb_to_gray": {}}]}}
    what, _ = fault(node, AugmentationSettings(steps={"random_horizontal_flip": {}}, order=None))
    assert what == "pipeline.train_config.data_augmentation_options is set, and so is augmentation.steps"
