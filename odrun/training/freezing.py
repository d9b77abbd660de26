"""Frozen variables: those that training leaves as they are, with the statistics of their batch normalization.

Comes in: a built model and regular expressions, searched for in the variables' names (`train.freeze`; the name is
without the `:0` at its end). Goes out: the variables that remain to be trained.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from odrun.compat.engine import DetectionModel
from odrun.compat.normalization import hold_statistics, normalization_layers
from odrun.compat.restoring import name_of
from odrun.compat.tensorflow import tf
from odrun.errors import InputError

EXAMPLES = 4
_KEY = "train.freeze"


@dataclass(frozen=True)
class Frozen:
    """The variables that are trained, those that are not, and how many normalization layers keep their statistics."""

    trainable: list[tf.Variable]
    frozen: list[tf.Variable]
    layers: int

    def __str__(self) -> str:
        text = f"frozen {len(self.frozen)} variables ({_weights(self.frozen)}), "
        text += f"trainable {len(self.trainable)} ({_weights(self.trainable)})"
        return f"{text}, {self.layers} batch normalizations keep their statistics" if self.layers else text


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
            f"{' and '.join(map(repr, patterns))} freeze all {len(trainable)} trainable variables of the model",
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
        raise InputError(f"{pattern!r} matches no variable of the model", where=_KEY, remedy=_examples(pattern, names))
    return expression


def _examples(pattern: str, names: set[str]) -> str:
    """Names close to the pattern, else one of each kind of name, the most frequent kinds first."""
    close = difflib.get_close_matches(pattern, sorted(names), n=EXAMPLES)
    if close:
        return f"did you mean {' or '.join(close)}"
    first_words = {name: re.split(r"[^a-zA-Z]", name)[0] for name in sorted(names)}
    kinds = [word for word, _ in Counter(first_words.values()).most_common(EXAMPLES)]
    return f"names are such as {', '.join(next(name for name in first_words if first_words[name] == k) for k in kinds)}"


def _weights(variables: Sequence[tf.Variable]) -> str:
    return f"{sum(variable.shape.num_elements() for variable in variables):,} weights"
