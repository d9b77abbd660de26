from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import DetectionModel, seed_everything
from odrun.compat.tensorflow import tf
from odrun.errors import InputError
from odrun.training.restore import Restored, restore


def saved(path: Path, **objects: Any) -> str:
    return str(tf.train.Checkpoint(**objects).write(str(path / "ckpt-0")))


def values(model: DetectionModel) -> list[np.ndarray[Any, Any]]:
    return [variable.numpy().copy() for variable in model.network.variables]


def equal(before: list[np.ndarray[Any, Any]], after: list[np.ndarray[Any, Any]]) -> list[bool]:
    return [np.array_equal(old, new) for old, new in zip(before, after, strict=True)]


def of_other_weights(model: DetectionModel) -> None:
    for variable in model.network.variables:
        variable.assign(variable + 1)


def refused(model: DetectionModel, prefix: str, kind: str | None = None) -> InputError:
    """The error of a restore that leaves the model as it was."""
    before = values(model)
    with pytest.raises(InputError) as caught:
        restore(model, prefix, kind=kind)
    assert all(equal(before, values(model)))
    return caught.value


def variant(built: Any, **changed: int) -> DetectionModel:
    """The tiny model with other values in its pipeline; its weights are other ones, too."""
    pipeline = type(built.tiny.pipeline)()
    pipeline.CopyFrom(built.tiny.pipeline)
    for name, value in changed.items():
        *path, field = name.split("__")
        node = pipeline.model.ssd
        for part in path:
            node = getattr(node, part)
        setattr(node, field, value)
    seed_everything(5)
    model = DetectionModel(pipeline, is_training=True)
    model.build(built.batch[0])
    return model


@pytest.fixture(scope="module")
def of_five_classes(as_built: Any) -> Iterator[DetectionModel]:
    with library_code_unconverted():
        yield variant(as_built(), num_classes=5)


def test_all_of_a_run_comes_back_but_its_step_and_its_optimizer(built: Any, tmp_path: Path) -> None:
    trainer = built.trainer
    trainer.step.assign(7)
    prefix, expected = saved(tmp_path, **trainer.trackable), values(trainer.model)
    of_other_weights(trainer.model)
    trainer.step.assign(0)

    restored = restore(trainer.model, prefix, kind=None)

    assert all(equal(expected, values(trainer.model)))
    assert restored == Restored("full", restored=len(expected), fresh=0, unused=0)
    assert str(restored) == f"{len(expected)} of {len(expected)} variables restored (full), 0 fresh"
    assert int(trainer.step) == 0


def test_the_counter_that_the_engines_program_leaves_in_a_network_is_no_part_of_it(built: Any, tmp_path: Path) -> None:
    with library_code_unconverted():
        network = variant(built).network
    network._training_step = tf.Variable(5, dtype=tf.int64, trainable=False)
    prefix = saved(tmp_path, model=network, step=tf.Variable(5))

    restored = restore(built.trainer.model, prefix, kind=None)

    assert (restored.kind, restored.fresh, restored.unused) == ("full", 0, 0)


def test_with_other_classes_all_but_the_predictor_comes_as_the_engine_restores_it(
    built: Any, of_five_classes: DetectionModel, tmp_path: Path
) -> None:
    model = of_five_classes
    prefix, before = saved(tmp_path, model=built.trainer.model.network), values(model)

    restored = restore(model, prefix, kind=None)
    ours = values(model)
    for variable, value in zip(model.network.variables, before, strict=True):
        variable.assign(value)
    parts = model.network.restore_from_objects(fine_tune_checkpoint_type="detection")
    tf.train.Checkpoint(**parts).restore(prefix).expect_partial()

    assert all(equal(ours, values(model)))
    is_of_predictor = ["BoxPredictor" in variable.name for variable in model.network.variables]
    of_features = values_of_features(built.trainer.model)
    assert restored == Restored("detection", restored=len(of_features), fresh=sum(is_of_predictor), unused=0)
    assert all(equal(of_features, values_of_features(model)))


def values_of_features(model: DetectionModel) -> list[np.ndarray[Any, Any]]:
    return [variable.numpy() for variable in model.network.variables if "BoxPredictor" not in variable.name]


def test_a_backbone_alone_is_restored_as_classification(
    built: Any, of_five_classes: DetectionModel, tmp_path: Path
) -> None:
    model = built.trainer.model
    backbone = of_five_classes.network._feature_extractor.classification_backbone
    of_other_weights(model)

    restored = restore(model, saved(tmp_path, feature_extractor=backbone), kind=None)

    count, total = len(backbone.variables), len(model.network.variables)
    assert restored == Restored("classification", restored=count, fresh=total - count, unused=0)
    own = model.network._feature_extractor.classification_backbone
    assert all(np.array_equal(*pair) for pair in zip(own.get_weights(), backbone.get_weights(), strict=True))


def test_a_type_that_is_asked_for_is_the_one_restored(built: Any, tmp_path: Path) -> None:
    model = built.trainer.model
    prefix = saved(tmp_path, model=model.network)

    assert restore(model, prefix, kind="detection").kind == "detection"
    error = refused(model, prefix, kind="classification")
    assert error.what.splitlines()[0] == (
        "the checkpoint holds none of the variables of the restore type classification; it holds model"
    )


def test_a_type_that_the_architecture_has_not_is_refused(built: Any, tmp_path: Path) -> None:
    error = refused(built.trainer.model, saved(tmp_path, model=built.trainer.model.network), kind="fine_tune")

    assert error.what == "this architecture cannot restore a checkpoint of type 'fine_tune'"
    assert error.where == "pipeline.train_config.fine_tune_checkpoint_type"
    assert error.remedy == "valid: classification, detection, full"


def test_heads_of_another_make_stay_fresh(built: Any, tmp_path: Path) -> None:
    """Of two layers of the predictor the model would have found its one, and the rest of the net makes no sense."""
    field = "box_predictor__weight_shared_convolutional_box_predictor__num_layers_before_predictor"
    with library_code_unconverted():
        shallow = variant(built, **{field: 1})

    restored = restore(shallow, saved(tmp_path, model=built.trainer.model.network), kind=None)

    assert (restored.kind, restored.unused) == ("detection", 0)


def test_what_only_the_checkpoint_has_is_told(built: Any, tmp_path: Path) -> None:
    parts = tf.train.TrackableView.children(built.trainer.model.network._feature_extractor)
    extractor = tf.train.Checkpoint(**parts, odd=tf.Variable([1.0]))
    prefix = saved(tmp_path, model=tf.train.Checkpoint(_feature_extractor=extractor))

    assert str(restore(built.trainer.model, prefix, kind=None)).endswith(" fresh, 1 of the checkpoint not used")


def test_other_shapes_are_refused_variable_by_variable(built: Any, tmp_path: Path) -> None:
    with library_code_unconverted():
        narrow = variant(built, feature_extractor__fpn__additional_layer_depth=48)
    error = refused(narrow, saved(tmp_path, model=built.trainer.model.network))

    first, *lines = error.what.splitlines()
    counted = re.fullmatch(
        r"the checkpoint does not fit the model: (\d+) of (\d+) variables \(detection\) differ", first
    )
    assert counted is not None
    features = len(values_of_features(narrow))
    assert 10 < int(counted[1]) < int(counted[2]) == features
    assert len(lines) == 11
    assert all(
        re.fullmatch(r"    \S+: in the checkpoint float32 \[[\d, ]+\], in the model float32 \[[\d, ]+\]", line)
        for line in lines[:10]
    )
    assert lines[10] == f"    and {int(counted[1]) - 10} more"
    assert error.where == f"{tmp_path}/ckpt-0"


def test_another_architecture_is_refused(built: Any, tmp_path: Path) -> None:
    other = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])

    error = refused(built.trainer.model, saved(tmp_path, model=other))

    first, second, *_ = error.what.splitlines()
    assert first == "the checkpoint holds none of the variables of the restore type detection; it holds model"
    assert second == "    Conv1/kernel: in the checkpoint absent, in the model float32 [3, 3, 3, 16]"
    assert error.remedy is not None
    assert error.remedy.endswith("model.checkpoint=none")


def cut_off(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_a_wrong_byte(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [cut_off, with_a_wrong_byte])
@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
def test_a_damaged_checkpoint_is_refused(suffix: str, damage: Any, built: Any, tmp_path: Path) -> None:
    prefix = saved(tmp_path, model=built.trainer.model.network)
    of_other_weights(built.trainer.model)
    file = Path(f"{prefix}.{suffix}")
    file.write_bytes(damage(file.read_bytes()))

    error = refused(built.trainer.model, prefix)

    assert error.what.startswith("the checkpoint cannot be read: ")
    assert error.where == prefix


def test_an_absent_checkpoint_is_refused(built: Any, tmp_path: Path) -> None:
    assert "cannot be read" in refused(built.trainer.model, str(tmp_path / "ckpt-0")).what


def test_a_checkpoint_of_tensorflow_1_is_refused(built: Any, tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weight = tf.compat.v1.get_variable("weight", initializer=1.0)
        session.run(weight.initializer)
        prefix = tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))

    error = refused(built.trainer.model, prefix)

    assert error.what == "this is a TensorFlow 1 checkpoint; a TensorFlow 2 one is needed"
