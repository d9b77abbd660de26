"""Sweeps in Hydra's override grammar → what a search chooses from.

choice(a,b), a,b            one of these
range(1,9,2)                whole numbers (or others) with a step; as in Python the end is not one of them
interval(0.1,0.9)           any number between
int(interval(4,64))         any whole number between, the ends too
tag(log,interval(1e-4,1))   evenly in the logarithm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from odrun.errors import InputError

GRID_MAX = 10_000


@dataclass(frozen=True)
class Choice:
    """One of these values, as the text of an override."""

    texts: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that are tried out before a search begins: all of them."""
        return self.texts


@dataclass(frozen=True)
class Span:
    """A number from `low` to `high`, ends included, whole if both are; `step` apart from `low` if there is one."""

    low: float
    high: float
    step: float | None
    is_log: bool

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int | None)

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that are tried out before a search begins: the lowest and the highest."""
        return (f"{self.low!r}", f"{self.high!r}")


Dimension: TypeAlias = Choice | Span


def split(overrides: Sequence[Override]) -> tuple[dict[str, Dimension], list[str]]:
    """What is searched, by the key of an override with its sign, and the overrides that all trials have.

    Raises:
        InputError: a sweep that cannot be searched, or nothing to search.
    """
    space: dict[str, Dimension] = {}
    common = []
    for override in overrides:
        if override.is_sweep_override():
            space[override.get_key_element()] = _dimension(override)
        else:
            assert override.input_line is not None
            common.append(override.input_line)
    if not space:
        raise InputError(
            "there is nothing to search", where="command line", remedy="give a sweep: 'train.batch_size=choice(4,8)'"
        )
    return space, common


def corners(space: Mapping[str, Dimension]) -> list[list[str]]:
    """Overrides of a few trials that together have every end of every dimension."""
    count = max(len(dimension.ends) for dimension in space.values())
    return [
        [f"{key}={dimension.ends[number % len(dimension.ends)]}" for key, dimension in space.items()]
        for number in range(count)
    ]


def grid(space: Mapping[str, Dimension]) -> dict[str, list[str | int | float]]:
    """The values of each dimension; `InputError` for one that has no end of them."""
    values: dict[str, list[str | int | float]] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Choice):
            values[key] = list(dimension.texts)
        elif dimension.step is None:
            raise InputError(
                f"{key} is an interval, which has no grid",
                where="hydra.sweeper.sampler=grid",
                remedy=f"give it steps: {key}=range(START,STOP,STEP), or take another sampler",
            )
        else:
            count = round((dimension.high - dimension.low) / dimension.step) + 1
            values[key] = [dimension.low + place * dimension.step for place in range(count)]
    return values


def _dimension(override: Override) -> Dimension:
    value = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        _refuse_unordered(override, value.start, value.end, is_log="log" in value.tags)
        return Span(value.start, value.end, None, "log" in value.tags)
    if isinstance(value, RangeSweep):
        return _range(override, value)
    if isinstance(value, ChoiceSweep):
        return Choice(tuple(dict.fromkeys(override.sweep_string_iterator())))
    raise InputError(f"{override.input_line} cannot be searched", remedy="choice(...), range(...) or interval(...) can")


def _range(override: Override, value: RangeSweep) -> Span:
    assert value.start is not None
    assert value.stop is not None
    steps = list(value.range())
    if not steps:
        raise InputError(f"{override.input_line} has no value", where=str(override.key_or_group))
    _refuse_unordered(override, float(steps[0]), float(steps[-1]), is_log=False)
    return Span(_number(steps[0]), _number(steps[-1]), _number(value.step), is_log=False)


def _number(value: object) -> int | float:
    number = float(str(value))
    return value if isinstance(value, int) else number


def _refuse_unordered(override: Override, low: float, high: float, *, is_log: bool) -> None:
    if low > high or (is_log and low <= 0):
        wanted = "above 0 and not above the second" if is_log else "not above the second"
        raise InputError(f"the first end of {override.input_line} has to be {wanted}", where=str(override.key_or_group))
