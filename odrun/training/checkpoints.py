"""What training saves and starts from: TensorFlow 2 checkpoints under the names that the OD API's programs use."""

from __future__ import annotations

from pathlib import Path

from odrun.compat.engine import DetectionModel
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.training.step import Trainer


class Checkpoints:
    """The checkpoints of one training: `folder/ckpt-<step>`, the newest `keep` of them, and the best in `best`."""

    def __init__(self, trainer: Trainer, *, folder: Path, best: Path, keep: int) -> None:
        self._trainer = trainer
        self.folder = folder
        self._latest = _manager(trainer, folder, keep)
        self._best = _manager(trainer, best, 1)

    def save(self, step: int) -> None:
        """Save the state after `step`, unless it has been saved already.

        Raises:
            RunFailedError: it cannot be written (a full disk).
        """
        if step not in _steps(self._latest):
            _save(self._latest, step)

    def save_best(self, step: int) -> None:
        """Save the state after `step` as the best, with the averaged weights where the pipeline keeps averages."""
        with self._trainer.averaged_weights():
            _save(self._best, step)

    def restore_best(self) -> None:
        """Fill the model with the weights of the best checkpoint."""
        model_only = tf.train.Checkpoint(model=self._trainer.model.network)
        model_only.restore(self._best.latest_checkpoint).expect_partial().assert_existing_objects_matched()


def restore_start(model: DetectionModel) -> int:
    """Fill a built model from the checkpoint that its pipeline starts from; return how many variables were filled.

    Raises:
        InputError: the checkpoint is unreadable, not object-based, or does not fit the model.
    """
    prefix, objects = model.start, model.start_objects()
    remedy = "give the model's own archive (model.archive=FILE.tar.gz), or start afresh (model.checkpoint=none)"
    try:
        stored = {name for name, _ in tf.train.list_variables(prefix)}
        if "_CHECKPOINTABLE_OBJECT_GRAPH" not in stored:
            raise InputError("this is a TensorFlow 1 checkpoint; a TensorFlow 2 one is needed", where=prefix)
        tf.train.Checkpoint(**objects).restore(prefix).expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise InputError(f"the checkpoint cannot be read: {_first_line(error)}", where=prefix, remedy=remedy) from error
    except AssertionError as error:
        raise InputError("the checkpoint is of another architecture", where=prefix, remedy=remedy) from error
    return len({variable.ref() for part in objects.values() for variable in _variables(part)})


def _variables(part: object) -> list[tf.Variable]:
    if isinstance(part, tf.Module):
        return list(part.variables)
    return [variable for child in vars(part).values() if isinstance(child, tf.Module) for variable in child.variables]


def _manager(trainer: Trainer, folder: Path, keep: int) -> tf.train.CheckpointManager:
    return tf.train.CheckpointManager(
        tf.train.Checkpoint(**trainer.trackable), str(folder), max_to_keep=keep, checkpoint_name="ckpt"
    )


def _save(manager: tf.train.CheckpointManager, step: int) -> None:
    try:
        manager.save(checkpoint_number=step)
    except tf.errors.OpError as error:
        raise RunFailedError(
            f"the checkpoint of step {step} cannot be written: {_first_line(error)}",
            where=manager.directory,
            remedy="free some disk space; checkpoints saved before are whole",
        ) from error


def _steps(manager: tf.train.CheckpointManager) -> set[int]:
    return {int(path.rpartition("-")[2]) for path in manager.checkpoints}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
