from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.complete import CompletedPipeline, complete
from odrun.pipeline.descriptors import message_at
from odrun.pipeline.text import to_text
from odrun.settings import AugmentationSettings


def node(
    architecture: str = "ssd", *, steps: int = 100, warmup: int = 10, hold: int | None = None, start: float = 0.01
) -> dict[str, Any]:
    cosine = {
        "learning_rate_base": 0.1,
        "total_steps": steps,
        "warmup_steps": warmup,
        "warmup_learning_rate": start,
        "hold_base_rate_steps": hold,
    }
    optimizer = {"momentum_optimizer": {"learning_rate": {"cosine_decay_learning_rate": cosine}}}
    return {"model": {architecture: {}}, "train_config": {"optimizer": optimizer}}


def completed(given: dict[str, Any], *, checkpoint: str | None = None) -> CompletedPipeline:
    return complete(
        build(given, AugmentationSettings(steps={}, order=None)),
        train_records="/records/train-*",
        validation_records="/records/validation-*",
        label_map=Path("/records/label_map.pbtxt"),
        num_classes=7,
        checkpoint=checkpoint,
    )


def cosine_of(done: CompletedPipeline) -> Any:
    config: Any = done.config
    return config.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate


@pytest.mark.parametrize("architecture", ["ssd", "faster_rcnn", "center_net"])
def test_the_number_of_classes_reaches_each_architecture(architecture: str) -> None:
    config: Any = completed(node(architecture)).config
    assert getattr(config.model, architecture).num_classes == 7


def test_no_other_part_of_a_model_has_a_number_of_classes() -> None:
    model = message_at(("model",))
    assert model is not None
    found, waiting = set(), [model]
    seen = {model.full_name}
    while waiting:
        message = waiting.pop()
        for field in message.fields:
            if field.name == "num_classes":
                found.add(message.name)
            if field.message_type is not None and field.message_type.full_name not in seen:
                seen.add(field.message_type.full_name)
                waiting.append(field.message_type)
    assert found == {"Ssd", "FasterRcnn", "CenterNet"}


def test_readers_get_one_glob_and_the_label_map_and_evaluation_reads_once_in_order() -> None:
    config: Any = completed(node()).config
    assert to_text(config.train_input_reader) == (
        'label_map_path: "/records/label_map.pbtxt"\ntf_record_input_reader {\n  input_path: "/records/train-*"\n}\n'
        "shuffle_buffer_size: 256\n"
    )
    assert [to_text(reader) for reader in config.eval_input_reader] == [
        'label_map_path: "/records/label_map.pbtxt"\nshuffle: false\nnum_epochs: 1\nnum_readers: 1\n'
        'tf_record_input_reader {\n  input_path: "/records/validation-*"\n}\n'
    ]
    assert config.eval_config.batch_size == 1


def test_a_shuffle_buffer_that_was_asked_for_stays() -> None:
    config: Any = completed(node() | {"train_input_reader": {"shuffle_buffer_size": 9}}).config
    assert config.train_input_reader.shuffle_buffer_size == 9


def test_bfloat16_is_switched_off_where_it_is_asked_for() -> None:
    given = node()
    assert not completed(given).config.train_config.HasField("use_bfloat16")  # type: ignore[attr-defined]
    given["train_config"]["use_bfloat16"] = True
    config: Any = completed(given).config
    assert config.train_config.use_bfloat16 is False


def averages(*, kept: bool, evaluated: bool) -> dict[str, Any]:
    given = node() | {"eval_config": {"use_moving_averages": evaluated}}
    given["train_config"]["optimizer"]["use_moving_average"] = kept
    return given


@pytest.mark.parametrize(("kept", "evaluated"), [(True, False), (True, True), (False, False)])
def test_averages_of_the_weights_are_evaluated_where_they_are_kept(kept: bool, evaluated: bool) -> None:
    config: Any = completed(averages(kept=kept, evaluated=evaluated)).config
    assert config.eval_config.use_moving_averages is kept


def test_completing_does_not_change_what_it_was_given() -> None:
    given = build(node(), AugmentationSettings(steps={}, order=None))
    before = given.SerializeToString(deterministic=True)
    complete(
        given,
        train_records="a",
        validation_records="b",
        label_map=Path("c"),
        num_classes=2,
        checkpoint="d",
    )
    assert given.SerializeToString(deterministic=True) == before


def test_a_checkpoint_is_named_with_its_version() -> None:
    config: Any = completed(node(), checkpoint="/zoo/ckpt-0").config
    train = config.train_config
    assert train.fine_tune_checkpoint == "/zoo/ckpt-0"
    assert train.fine_tune_checkpoint_version == 2


def test_the_configurations_own_restore_type_is_kept() -> None:
    given = node()
    given["train_config"]["fine_tune_checkpoint_type"] = "classification"
    config: Any = completed(given, checkpoint="/zoo/ckpt-0").config
    assert config.train_config.fine_tune_checkpoint_type == "classification"


def test_random_weights_leave_no_checkpoint_behind() -> None:
    given = node()
    given["train_config"] |= {"fine_tune_checkpoint": "old", "fine_tune_checkpoint_type": "detection"}
    config: Any = completed(given).config
    assert not config.train_config.HasField("fine_tune_checkpoint")
    assert not config.train_config.HasField("fine_tune_checkpoint_type")


def test_paths_set_by_hand_are_replaced_and_named() -> None:
    given = node()
    given["train_config"]["fine_tune_checkpoint"] = "mine"
    given["train_input_reader"] = {"tf_record_input_reader": {"input_path": ["mine"]}}
    given["eval_input_reader"] = [{"label_map_path": "mine"}]
    done = completed(given)
    assert b"mine" not in done.config.SerializeToString()
    assert done.notes == (
        "pipeline.train_config.fine_tune_checkpoint is not used: model.checkpoint decides",
        "pipeline.train_input_reader.tf_record_input_reader is not used: dataset decides",
        "pipeline.eval_input_reader.0.label_map_path is not used: dataset decides",
    )


@pytest.mark.parametrize(
    ("steps", "warmup", "hold", "kept", "notes"),
    [
        (100, 99, None, 99, ()),
        (100, 100, None, 10, ("warm-up shortened from 100 to 10 steps, as the training has 100",)),
        (100, 60, 40, 10, ("warm-up shortened from 100 to 10 steps, as the training has 100",)),
        (1, 50, None, 0, ("warm-up shortened from 50 to 0 steps, as the training has 1",)),
        (1, 0, None, 0, ()),
    ],
)
def test_a_warm_up_that_does_not_end_in_time_is_shortened_and_told(
    steps: int, warmup: int, hold: int | None, kept: int, notes: tuple[str, ...]
) -> None:
    done = completed(node(steps=steps, warmup=warmup, hold=hold))
    assert (cosine_of(done).warmup_steps, done.notes) == (kept, notes)
    assert cosine_of(done).warmup_steps + cosine_of(done).hold_base_rate_steps < steps


def test_other_schedules_are_left_as_they_are() -> None:
    given = node()
    given["train_config"]["optimizer"] = {
        "adam_optimizer": {"learning_rate": {"constant_learning_rate": {"learning_rate": 0.1}}}
    }
    assert completed(given).notes == ()


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({}, "pipeline.model names no architecture"),
        (
            {"model": {"experimental_model": {"name": "x"}}},
            "pipeline.model is experimental_model, which odrun cannot train",
        ),
        ({"model": {"ssd": {}}}, "pipeline.train_config.optimizer is not set"),
        (
            node() | {"eval_input_reader": [{}, {}]},
            "pipeline.eval_input_reader has 2 readers; odrun evaluates on one data set",
        ),
        (
            averages(kept=False, evaluated=True),
            "pipeline.eval_config.use_moving_averages is true, and "
            "pipeline.train_config.optimizer.use_moving_average is false",
        ),
        (
            node(start=0.2),
            "the warm-up starts at the rate 0.2, above the learning rate 0.1 that it leads to",
        ),
    ],
)
def test_what_cannot_be_completed_is_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError) as caught:
        completed(given)
    assert caught.value.what == what
