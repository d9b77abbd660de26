"""What training saves and goes on from: TensorFlow 2 checkpoints under the names that the OD API's programs use.

A checkpoint appears whole or not at all: it is written beside its place, and its index, without which it is none, is
moved there last.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from odrun.compat.refusals import first_line
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.runs.files import write_whole
from odrun.runs.steps import steps_in
from odrun.training.step import Trainer

_UNFINISHED = ".saving"


class Checkpoints:
    """The checkpoints of one training: `folder/ckpt-<step>`, the newest `keep` of them, and the best in `best`."""

    def __init__(self, trainer: Trainer, *, folder: Path, best: Path, keep: int) -> None:
        self._trainer = trainer
        self.folder = folder
        self._latest = _Store(trainer, folder, keep)
        self._best = _Store(trainer, best, 1)

    def save(self, step: int) -> None:
        """Save the state after `step`, unless it has been saved already.

        Raises:
            RunFailedError: it cannot be written (a full disk).
        """
        if step not in steps_in(self.folder):
            self._latest.save(step)

    def save_best(self, step: int) -> None:
        """Save the state after `step` as the best, with the averaged weights where the pipeline keeps averages.

        Without averages a checkpoint of that step which is there already is the same, and is not written again.
        """
        if not self._trainer.keeps_averages and step in steps_in(self.folder):
            self._best.take(self.folder, step)
            return
        with self._trainer.averaged_weights():
            self._best.save(step)

    @property
    def best_step(self) -> int | None:
        """The step of the best checkpoint; `None` if there is none yet."""
        return max(steps_in(self._best.folder), default=None)

    def restore(self, step: int) -> None:
        """Make the state of the training what it was after `step`.

        Raises:
            InputError: the checkpoint is damaged or of another model.
        """
        prefix = self.folder / f"ckpt-{step}"
        try:
            tf.train.Checkpoint(**self._trainer.trackable).restore(str(prefix)).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
            before = max((older for older in steps_in(self.folder) if older < step), default=None)
            remedy = f"remove the files {prefix}.*"
            remedy += f" to go on from step {before}" if before is not None else " and begin a new run"
            raise InputError(
                f"the checkpoint cannot be read: {first_line(error)}", where=str(prefix), remedy=remedy
            ) from (error)

    def restore_best(self) -> None:
        """Fill the model with the weights of the best checkpoint."""
        model_only = tf.train.Checkpoint(model=self._trainer.model.network)
        prefix = self._best.folder / f"ckpt-{self.best_step}"
        model_only.restore(str(prefix)).expect_partial().assert_existing_objects_matched()


class _Store:
    """A folder with the newest `keep` checkpoints, and TensorFlow's own list of them."""

    def __init__(self, trainer: Trainer, folder: Path, keep: int) -> None:
        self._checkpoint = tf.train.Checkpoint(**trainer.trackable)
        self.folder = folder
        self._keep = keep

    def save(self, step: int) -> None:
        """Write the state after `step`."""
        self._add(step, lambda temporary: self._write(temporary, step))

    def take(self, other: Path, step: int) -> None:
        """Have the checkpoint of `step` in the folder `other` here as well."""

        def link(temporary: Path) -> None:
            for path in other.glob(f"ckpt-{step}.*"):
                _link(path, temporary / path.name)

        self._add(step, link)

    def _add(self, step: int, fill: Callable[[Path], None]) -> None:
        try:
            self._fill(fill)
            kept = [older for older in steps_in(self.folder) if older <= step][-self._keep :]
            self._list(kept)
            self._remove_all_but(kept)
        except (tf.errors.OpError, OSError) as error:
            raise RunFailedError(
                f"the checkpoint of step {step} cannot be written: {first_line(error)}",
                where=str(self.folder),
                remedy="free some disk space; checkpoints saved before are whole",
            ) from error

    def _fill(self, fill: Callable[[Path], None]) -> None:
        temporary = self.folder / _UNFINISHED
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            fill(temporary)
            for path in sorted(temporary.iterdir(), key=lambda path: path.suffix == ".index"):
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
                path.replace(self.folder / path.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write(self, folder: Path, step: int) -> None:
        # The OD API's exporter looks for this variable of TensorFlow's, which `write` alone does not make.
        self._checkpoint.save_counter.assign_add(1)
        self._checkpoint.write(str(folder / f"ckpt-{step}"))

    def _list(self, steps: list[int]) -> None:
        """TensorFlow's `CheckpointState` in its text form, by which its own programs find the newest."""
        lines = [f'model_checkpoint_path: "ckpt-{steps[-1]}"']
        lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in steps]
        write_whole(self.folder / "checkpoint", "\n".join(lines) + "\n")

    def _remove_all_but(self, kept: list[int]) -> None:
        """Also a later step goes: it is left over from before a resume at an earlier one."""
        for step in sorted({*steps_in(self.folder)} - {*kept}):
            # Without its index the rest is no checkpoint any more, whenever the process is killed.
            (self.folder / f"ckpt-{step}.index").unlink()
            for data in self.folder.glob(f"ckpt-{step}.data-*"):
                data.unlink()


def _link(path: Path, other: Path) -> None:
    """The file under another name as well; a copy where the file system has no links."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
