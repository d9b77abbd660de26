from __future__ import annotations

import sys

import pytest

from odrun.pipeline import descriptors


def test_a_new_config_is_of_the_class_that_pipeline_pb2_has() -> None:
    config = descriptors.new_config()
    from object_detection.protos import pipeline_pb2

    assert type(config) is pipeline_pb2.TrainEvalPipelineConfig


def test_describing_the_pipeline_imports_no_tensorflow_that_was_not_there() -> None:
    before = "tensorflow" in sys.modules
    descriptors.field_at(("model", "ssd", "num_classes"))
    assert ("tensorflow" in sys.modules) == before


@pytest.mark.parametrize(
    ("path", "full_name"),
    [
        ("model.ssd.num_classes", "object_detection.protos.Ssd.num_classes"),
        ("eval_input_reader.0.shuffle", "object_detection.protos.InputReader.shuffle"),
        ("eval_config.metrics_set", "object_detection.protos.EvalConfig.metrics_set"),
        ("model.ssd.num_clases", None),
        ("model.ssd.num_classes.deeper", None),
        ("modell", None),
    ],
)
def test_a_field_is_found_by_its_path(path: str, full_name: str | None) -> None:
    field = descriptors.field_at(path.split("."))
    assert (field and field.full_name) == full_name


def test_the_message_at_the_empty_path_is_the_root_and_a_value_has_none() -> None:
    assert descriptors.message_at(()) is descriptors.root()
    ssd = descriptors.message_at(("model", "ssd"))
    assert ssd is not None
    assert ssd.full_name == "object_detection.protos.Ssd"
    assert descriptors.message_at(("model", "ssd", "num_classes")) is None


def test_a_misspelt_field_gets_its_near_name_and_a_misplaced_one_its_path() -> None:
    ssd = descriptors.message_at(("model", "ssd"))
    assert ssd is not None
    assert descriptors.suggest(ssd, "num_clases") == "did you mean num_classes"
    assert descriptors.suggest(ssd, "max_total_detections") == (
        "did you mean post_processing.batch_non_max_suppression.max_total_detections"
    )


def test_a_map_field_is_told_from_a_list_of_messages() -> None:
    maps = descriptors.field_at(("eval_config", "super_categories"))
    lists = descriptors.field_at(("eval_config", "parameterized_metric"))
    assert maps is not None
    assert lists is not None
    assert (descriptors.is_map(maps), descriptors.is_map(lists)) == (True, False)


def test_an_extension_that_is_not_registered_is_no_field() -> None:
    assert descriptors.find_field(descriptors.root(), "[some.extension]") is None
