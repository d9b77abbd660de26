"""Frozen variables: those that training leaves as they are, with the statistics of their batch normalization.

Comes in: a built model and regular expressions, searched for in the variables' names (`train.freeze`; the name is
without the `:0` at its end). Goes out: the variables that remain to be trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from odrun.compat.engine import DetectionModel
from odrun.compat.normalization import hold_statistics, normalization_layers
from odrun.compat.restoring import name_of
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, nearest

_KEY = "train.freeze"


@dataclass(frozen=True)
class Frozen:
    """The variables that are trained, those that are not, and how many normalization layers keep their statistics."""

    trainable: list[tf.Variable]
    frozen: list[tf.Variable]
    layers: int

    def __str__(self) -> str:
        return f"frozen {_counted(self.frozen)}, trainable {_counted(self.trainable)}"


def freeze(model: DetectionModel, patterns: Sequence[str]) -> Frozen:
    """Freeze the trainable variables of a built `model` in whose name one of `patterns` is found.

    A batch normalization of which any variable matches normalizes with its moving statistics and leaves them alone, in
    training as well. To be said before the first training step.

    Raises:
        InputError: a pattern is no regular expression or matches nothing, or nothing would remain to be trained.
    """
    layers = normalization_layers(model.network)
    trainable = model.trainable_variables
    names = {name_of(variable) for variable in (*trainable, *model.statistics)}
    expressions = [_compiled(pattern, names) for pattern in patterns]

    def matches(variables: Iterable[tf.Variable]) -> bool:
        return any(expression.search(name_of(variable)) for variable in variables for expression in expressions)

    kept = [variable for variable in trainable if not matches([variable])]
    if not kept:
        raise InputError(
            f"{', '.join(patterns)} freezes all {len(trainable)} trainable variables of the model",
            where=_KEY,
            remedy=f"leave out some, such as {name_of(trainable[-1])}",
        )
    held = [layer for layer in layers if matches(layer.variables)]
    for layer in held:
        hold_statistics(layer)
    return Frozen(kept, [variable for variable in trainable if matches([variable])], len(held))


def _compiled(pattern: str, names: set[str]) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{pattern!r} is not a regular expression: {error}", where=_KEY, remedy="write [ and ( as \\[ and \\("
        ) from error
    if not any(expression.search(name) for name in names):
        raise InputError(f"{pattern!r} matches no variable of the model", where=_KEY, remedy=nearest(pattern, names))
    return expression


def _counted(variables: Sequence[tf.Variable]) -> str:
    weights = sum(variable.shape.num_elements() for variable in variables)
    return f"{len(variables)} variables ({weights:,} weights)"
