"""A search → the sweep of Weights & Biases that looks for the same, as `wandb sweep` takes it.

The words of a sweep: https://docs.wandb.ai/models/sweeps/sweep-config-keys. What W&B has no word for is refused. A
trial gets its parameters from W&B's agent as `key=value`; texts that Hydra reads in its own way are texts there, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from odrun.errors import InputError
from odrun.sweeps.search.settings import COSTS, is_maximized
from odrun.sweeps.search.space import GRID_MAX, Choice, Dimension, Span

METHODS = {"tpe": "bayes", "random": "random", "grid": "grid"}
"""W&B's search for each sampler; its `bayes` is a Gaussian process."""
ARGUMENTS = "${args_no_hyphens}"
"""What W&B's agent puts the parameters in place of, each as `key=value`."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_EVALUATED = "eval/"


def method(sampler: str) -> str:
    """W&B's word for the sampler; `InputError` if it has none."""
    if sampler not in METHODS:
        raise InputError(
            f"W&B does not search by {sampler}",
            where=f"hydra.sweeper.sampler={sampler}",
            remedy=" or ".join(f"hydra.sweeper.sampler={name}" for name in METHODS),
        )
    return METHODS[sampler]


def metric(objectives: Sequence[str]) -> dict[str, str]:
    """The metric of the objective under its name in the runs; `InputError` for several, and for one W&B never hears."""
    where = f"hydra.sweeper.objectives=[{','.join(objectives)}]"
    if len(objectives) != 1:
        what = f"a sweep of W&B has one objective, and there are {len(objectives)}"
        raise InputError(what, where=where, remedy=f"hydra.sweeper.objectives=[{objectives[0]}]")
    (name,) = objectives
    if name in COSTS:
        raise InputError(
            f"{name} is not known before a trial ends, and W&B is not told",
            where=where,
            remedy="take an objective that evaluations measure: hydra.sweeper.objectives=[AP]",
        )
    return {"name": f"{_EVALUATED}{name}", "goal": "maximize" if is_maximized(name) else "minimize"}


def early_terminate(pruner: str, *, warmup_steps: int, every: int) -> dict[str, object] | None:
    """When W&B ends a trial; `every` is the number of steps between evaluations, which are what W&B counts in."""
    if pruner == "none":
        return None
    if pruner != "hyperband":
        raise InputError(
            f"W&B does not end trials by {pruner}",
            where=f"hydra.sweeper.pruner={pruner}",
            remedy="hydra.sweeper.pruner=hyperband or hydra.sweeper.pruner=none",
        )
    return {"type": "hyperband", "min_iter": max(1, math.ceil(warmup_steps / every))}


def parameters(space: Mapping[str, Dimension]) -> dict[str, dict[str, object]]:
    """Each dimension as a parameter with its distribution.

    Raises:
        InputError: a key that W&B takes for no name, or too many values to list.
    """
    odd = [key for key in space if _NAME.fullmatch(key) is None]
    if odd:
        raise InputError(
            f"W&B takes {' and '.join(odd)} for no name of a parameter: letters, digits, _ . and - can be in one",
            where="command line",
            remedy="set what is added with + in a file of your own, and search its key without the plus",
        )
    return {
        key: {"values": [_native(key, text) for text in dimension.texts]}
        if isinstance(dimension, Choice)
        else _distribution(key, dimension)
        for key, dimension in space.items()
    }


def _distribution(key: str, span: Span) -> dict[str, object]:
    ends: dict[str, object] = {"min": span.low, "max": span.high}
    if span.is_log:
        # W&B rounds to multiples of q.
        return (
            {"distribution": "q_log_uniform_values", **ends, "q": 1}
            if span.is_whole
            else {"distribution": "log_uniform_values", **ends}
        )
    if span.is_whole and span.step in (None, 1):
        return {"distribution": "int_uniform", **ends}
    if span.step is None:
        return {"distribution": "uniform", **ends}
    # Not q_uniform: its multiples of q begin at 0 and not at the lowest value, and a grid of it leaves out the highest.
    count = round((span.high - span.low) / span.step) + 1
    if count > GRID_MAX:
        raise InputError(f"{key} has {count} values", where=key, remedy=f"{key}=interval({span.low},{span.high})")
    return {"values": list(span.values)}


def _native(key: str, text: str) -> object:
    """A number or a truth value, whose text Hydra reads as it reads this one; what is neither as the text itself."""
    value = OverridesParser.create().parse_override(f"{key}={text}").value()
    is_number = isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))
    return value if is_number else text
