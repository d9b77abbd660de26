from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from random_messages import configs

from odrun.pipeline.build import build
from odrun.pipeline.importing import augmentation_difference, difference, parts_of, without_paths
from odrun.pipeline.node import node_of
from odrun.pipeline.text import from_text, to_text
from odrun.settings import AugmentationSettings

NO_STEPS = AugmentationSettings(steps={}, order=None)


def merged(base: Any, changes: Any) -> Any:
    """As Hydra merges, with what is `null` taken out."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    whole = {name: merged(base[name], value) if name in base else value for name, value in changes.items()}
    return {name: value for name, value in {**base, **whole}.items() if value is not None}


@example(from_text("train_config { keep_checkpoint_every_n_hours: 3.4028235e38 }", name="x"))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(configs())
def test_any_message_survives_becoming_a_node_and_its_augmentation(config: Any) -> None:
    wanted = config.SerializeToString(deterministic=True)
    assert build(node_of(config), NO_STEPS).SerializeToString(deterministic=True) == wanted
    assert build(*parts_of(config)).SerializeToString(deterministic=True) == wanted


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(configs(), configs())
def test_the_difference_leads_from_any_message_to_any_other(before: Any, after: Any) -> None:
    held, wanted = node_of(before), node_of(after)
    assert merged(held, difference(held, wanted)) == wanted
    assert difference(wanted, wanted) == {}


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ("random_rgb_to_gray {}|random_horizontal_flip {}", ["random_rgb_to_gray", "random_horizontal_flip"]),
        ("random_rgb_to_gray {}|random_rgb_to_gray {}", []),
        ("", []),
        ("random_rgb_to_gray {}|", []),
    ],
)
def test_steps_that_a_mapping_cannot_say_stay_a_list(options: str, steps: list[str]) -> None:
    lines = [f"data_augmentation_options {{ {option} }}" for option in options.split("|")] if options else []
    config = from_text("train_config { " + " ".join(lines) + " }", name="x")
    node, augmentation = parts_of(config)
    assert list(augmentation.steps) == steps
    assert len(node["train_config"].get("data_augmentation_options", [])) == (0 if steps else len(lines))
    assert build(node, augmentation) == config


@given(
    st.lists(st.sampled_from("abcd"), unique=True),
    st.lists(st.sampled_from("abcd"), unique=True),
    st.booleans(),
)
def test_the_steps_come_in_the_wanted_order_and_one_is_written_only_where_it_is_needed(
    before: list[str], after: list[str], has_order: bool
) -> None:
    held = AugmentationSettings({name: {} for name in before}, sorted(before) if has_order else None)
    wanted = AugmentationSettings({name: {} for name in after}, None)
    changes = augmentation_difference(held, wanted)
    steps = list(merged(held.steps, changes.get("steps", {})))
    order = changes.get("order", held.order)
    assert (steps if order is None else order) == after
    assert sorted(steps) == sorted(after)
    if before == after and not has_order:
        assert changes == {}


def test_paths_that_odrun_replaces_are_left_out_and_nothing_else() -> None:
    config = from_text(
        'train_config { batch_size: 2 fine_tune_checkpoint: "c" fine_tune_checkpoint_type: "detection" }\n'
        'train_input_reader { label_map_path: "l" tf_record_input_reader { input_path: "t" } }\n'
        'eval_input_reader { label_map_path: "l" shuffle: false tf_record_input_reader { input_path: "v" } }\n'
        'model { center_net { num_classes: 1 keypoint_label_map_path: "k" } }\n',
        name="x",
    )
    assert to_text(without_paths(config)) == (
        "model {\n  center_net {\n    num_classes: 1\n  }\n}\n"
        'train_config {\n  batch_size: 2\n  fine_tune_checkpoint_type: "detection"\n}\n'
        "eval_input_reader {\n  shuffle: false\n}\n"
    )
    assert "keypoint_label_map_path" in to_text(config)
