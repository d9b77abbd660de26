"""Callbacks: what a user adds to the training loop from the configuration, by dotted path.

odrun train +train.callbacks.mine='{_target_: my_package.my_module.MyCallback, patience: 3}'
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odrun.compat.tensorflow import tf
from odrun.errors import InputError
from odrun.training.loop import Control, StepReport
from odrun.training.step import Trainer

TARGET = "_target_"


@dataclass(frozen=True)
class Training:
    """The training that callbacks are told of: its run directory, its model and how to end it (`control.stop`)."""

    folder: Path
    steps: int
    trainer: Trainer
    control: Control


class Callback:
    """Does nothing; a callback derives from it and overrides what it needs. All is called in the main thread."""

    def on_start(self, training: Training) -> None:
        """All is built and restored; the first step comes next."""

    def after_step(self, report: StepReport) -> None:
        """A step is done; `report.metrics` is filled where the step is logged. `report.control.stop(reason)` ends."""

    def after_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """The model as it is after `step` has been evaluated: `eval/AP` and its fellows, `eval/loss/...`."""

    def on_end(self) -> None:
        """Training has ended, in whatever way."""


class Profile(Callback):
    """Records what TensorFlow does in `steps` steps from `first_step` on, for TensorBoard's profile page.

    The first steps trace and warm up, so they are better left out.
    """

    def __init__(self, *, first_step: int = 10, steps: int = 10) -> None:
        self._first_step = first_step
        self._last_step = first_step + steps - 1
        self._folder: Path | None = None
        self._is_recording = False

    def on_start(self, training: Training) -> None:
        """Note where to write to."""
        self._folder = training.folder / "tensorboard"

    def after_step(self, report: StepReport) -> None:
        """Begin after the step before the first, and end after the last."""
        if report.step == self._first_step - 1 and not report.is_last:
            tf.profiler.experimental.start(str(self._folder))
            self._is_recording = True
        elif report.step >= self._last_step or report.is_last:
            self.on_end()

    def on_end(self) -> None:
        """Write what was recorded."""
        if self._is_recording:
            self._is_recording = False
            tf.profiler.experimental.stop()


def make_callbacks(settings: Mapping[str, Any]) -> list[Callback]:
    """The callbacks that `train.callbacks` names, in its order.

    Raises:
        InputError: a target cannot be imported, is no `Callback`, or does not take its arguments.
    """
    return [_made(name, node) for name, node in settings.items() if node is not None]


def tell_all(callbacks: Sequence[Callback], method: str, *arguments: object) -> None:
    """Call one method of all callbacks."""
    for callback in callbacks:
        getattr(callback, method)(*arguments)


def _made(name: str, node: Any) -> Callback:
    where = f"train.callbacks.{name}"
    if not isinstance(node, Mapping) or not isinstance(node.get(TARGET), str):
        raise InputError(
            "a callback needs the dotted path of its class",
            where=where,
            remedy=f"{where}='{{{TARGET}: package.module.Class}}'",
        )
    arguments = {key: value for key, value in node.items() if key != TARGET}
    try:
        made = pkgutil.resolve_name(node[TARGET])(**arguments)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"the callback {node[TARGET]} cannot be made: {error}",
            where=where,
            remedy="give the path under which Python imports the class (PYTHONPATH counts), and its arguments",
        ) from error
    if not isinstance(made, Callback):
        raise InputError(
            f"{node[TARGET]} is no odrun.training.callbacks.Callback", where=where, remedy="derive it from that class"
        )
    return made
