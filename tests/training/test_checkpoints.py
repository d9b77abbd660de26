from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.runs.steps import steps_in
from odrun.training.checkpoints import Checkpoints


def first_kernel(trainer: Any) -> Any:
    return next(variable for variable in trainer.model.trainable_variables if variable.name.startswith("Conv1/"))


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


@pytest.mark.parametrize("has_links", [True, False])
def test_the_best_is_the_checkpoint_of_its_step_where_there_is_one(
    has_links: bool, built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=1)
    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    kernel = first_kernel(built.trainer)
    best = kernel.numpy().copy()
    checkpoints.save(10)
    checkpoints.save_best(10)
    kernel.assign(best + 1)
    checkpoints.save(20)

    assert steps_in(tmp_path / "all") == [20]
    assert tf.train.latest_checkpoint(str(tmp_path / "best")) == str(tmp_path / "best" / "ckpt-10")
    checkpoints.restore_best()
    np.testing.assert_array_equal(kernel.numpy(), best)
    kernel.assign(best + 2)
    checkpoints.save_best(30)
    kernel.assign(best)
    checkpoints.restore_best()
    np.testing.assert_array_equal(kernel.numpy(), best + 2, "no checkpoint of its step was there: written")
    kernel.assign(best)


def refuse(source: Path, target: Path) -> None:
    raise OSError(f"{source} and {target}: no links here")


def test_a_checkpoint_that_cannot_be_written_fails_the_run_and_names_the_folder(built: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=1)
    (tmp_path / "all").rmdir() if (tmp_path / "all").is_dir() else None
    (tmp_path / "all").write_text("a file where the folder should be")

    with pytest.raises(RunFailedError, match="the checkpoint of step 10 cannot be written"):
        checkpoints.save(10)


def test_the_whole_state_comes_back(built: Any, tmp_path: Path) -> None:
    trainer, (features, labels) = built.trainer, built.batch
    checkpoints = Checkpoints(trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=2)
    trainer.train(features, labels)
    trainer.halve_learning_rate()
    step, rate = int(trainer.step), trainer.learning_rate()
    checkpoints.save(step)
    expected = [float(value) for _ in range(2) for value in trainer.train(features, labels).losses.values()]
    trainer.halve_learning_rate()

    checkpoints.restore(step)

    assert (int(trainer.step), trainer.learning_rate()) == (step, rate)
    again = [float(value) for _ in range(2) for value in trainer.train(features, labels).losses.values()]
    assert again == expected


def test_a_damaged_checkpoint_is_refused_with_the_one_before(built: Any, tmp_path: Path) -> None:
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=3)
    checkpoints.save(10)
    checkpoints.save(20)
    data = next((tmp_path / "all").glob("ckpt-20.data-*"))
    data.write_bytes(data.read_bytes()[:1000])

    with pytest.raises(InputError, match="the checkpoint cannot be read") as refusal:
        checkpoints.restore(20)

    assert refusal.value.remedy == f"remove the files {tmp_path}/all/ckpt-20.* to go on from step 10"


@pytest.mark.parametrize("moved", [0, 1])
def test_what_a_killed_process_left_of_a_checkpoint_is_none_and_in_nobodys_way(
    moved: int, built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the moves of the files to their place, of which the first is that of the data."""

    class KilledError(BaseException):
        pass

    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=3)
    checkpoints.save(10)
    replace, done = Path.replace, []

    def replace_until_killed(self: Path, target: Path) -> Path:
        if len(done) == moved:
            raise KilledError
        done.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_until_killed)
    with pytest.raises(KilledError):
        checkpoints.save(20)
    monkeypatch.undo()

    assert steps_in(tmp_path / "all") == [10]
    checkpoints.save(20)
    assert steps_in(tmp_path / "all") == [10, 20]
    checkpoints.restore(20)


def test_a_best_checkpoint_of_an_earlier_step_takes_the_place_of_a_later_one(built: Any, tmp_path: Path) -> None:
    """A run that goes on from before its best checkpoint finds a new one."""
    checkpoints = Checkpoints(built.trainer, folder=tmp_path / "all", best=tmp_path / "best", keep=1)
    checkpoints.save_best(30)
    checkpoints.save_best(20)

    assert checkpoints.best_step == 20
    assert tf.train.latest_checkpoint(str(tmp_path / "best")) == str(tmp_path / "best" / "ckpt-20")
