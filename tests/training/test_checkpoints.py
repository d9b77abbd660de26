from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odrun.compat.engine import DetectionModel
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.training.checkpoints import Checkpoints, restore_start


def first_kernel(trainer: Any) -> Any:
    return next(variable for variable in trainer.model.trainable_variables if variable.name.startswith("Conv1/"))


def started_from(built: Any, checkpoint: str) -> DetectionModel:
    """The built model, told to start from another checkpoint."""
    pipeline = type(built.tiny.pipeline)()
    pipeline.CopyFrom(built.tiny.pipeline)
    pipeline.train_config.fine_tune_checkpoint = checkpoint
    pipeline.train_config.fine_tune_checkpoint_type = "detection"
    model = DetectionModel.__new__(DetectionModel)
    model.network, model._pipeline = built.trainer.model.network, pipeline
    return model


def test_the_newest_checkpoints_are_kept_under_the_names_of_the_engine(built: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=2)
    for step in (10, 20, 30, 30):
        checkpoints.save(step)

    assert sorted(path.name for path in (tmp_path / "all").glob("*.index")) == ["ckpt-20.index", "ckpt-30.index"]
    assert tf.train.latest_checkpoint(str(tmp_path / "all")) == str(tmp_path / "all" / "ckpt-30")
    assert {name.split("/")[0] for name, _ in tf.train.list_variables(str(tmp_path / "all" / "ckpt-30"))} >= {
        "model",
        "optimizer",
        "step",
    }


def test_the_best_weights_come_back_after_further_training(built: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=2)
    kernel = first_kernel(built.trainer)
    best = kernel.numpy().copy()
    checkpoints.save_best(10)

    kernel.assign(best + 1)
    checkpoints.restore_best()

    np.testing.assert_array_equal(kernel.numpy(), best)


def test_a_checkpoint_that_cannot_be_written_fails_the_run_and_names_the_folder(built: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=1)
    (tmp_path / "all").rmdir() if (tmp_path / "all").is_dir() else None
    (tmp_path / "all").write_text("a file where the folder should be")

    with pytest.raises(RunFailedError, match="the checkpoint of step 10 cannot be written"):
        checkpoints.save(10)


def test_a_start_fills_the_model_and_counts_the_variables(built: Any, tmp_path: Path) -> None:
    Checkpoints(built.trainer, folder=tmp_path, best=tmp_path / "best", keep=1).save(1)
    kernel = first_kernel(built.trainer)
    saved = kernel.numpy().copy()
    kernel.assign(saved + 1)

    restored = restore_start(started_from(built, str(tmp_path / "ckpt-1")))

    np.testing.assert_array_equal(kernel.numpy(), saved)
    assert 100 < restored < built.trainer.model.variable_count


def test_a_start_from_another_architecture_is_refused(built: Any, tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(model=tf.Module(), weight=tf.Variable([1.0])).write(str(tmp_path / "other"))

    with pytest.raises(InputError, match="the checkpoint is of another architecture") as refusal:
        restore_start(started_from(built, prefix))

    assert refusal.value.where == prefix
    assert refusal.value.remedy is not None
    assert "model.checkpoint=none" in refusal.value.remedy


def test_a_truncated_start_is_refused(built: Any, tmp_path: Path) -> None:
    Checkpoints(built.trainer, folder=tmp_path, best=tmp_path / "best", keep=1).save(1)
    data = next(tmp_path.glob("ckpt-1.data-*"))
    data.write_bytes(data.read_bytes()[:1000])

    with pytest.raises(InputError, match="the checkpoint cannot be read"):
        restore_start(started_from(built, str(tmp_path / "ckpt-1")))


def test_a_tensorflow_1_checkpoint_is_refused_by_name(built: Any, tmp_path: Path) -> None:
    prefix = str(tmp_path / "old")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["weight"], shape_and_slices=[""], tensors=[tf.constant([1.0])])

    with pytest.raises(InputError, match="TensorFlow 1 checkpoint"):
        restore_start(started_from(built, prefix))
