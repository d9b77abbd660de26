"""Sweeps in Hydra's override grammar → what a search chooses from.

choice(a,b), a,b            one of these
range(1,9,2)                whole numbers (or others) with a step; as in Python the end is not one of them
interval(0.1,0.9)           any number between, the ends too; to six digits
int(interval(4,64))         any whole number between, the ends too
tag(log,interval(1e-4,1))   evenly in the logarithm
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Sweep

from odrun.errors import InputError

GRID_MAX = 10_000
LOG = "log"
_DIGITS = 6


@dataclass(frozen=True)
class Choice:
    """One of these values, as the text of an override."""

    texts: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that are tried out before a search begins: all of them."""
        return self.texts

    def text(self, value: object) -> str:
        """A value of it in an override."""
        return str(value)


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

    @property
    def values(self) -> list[int | float]:
        """All its values, of one with steps."""
        assert self.step is not None
        count = round((self.high - self.low) / self.step) + 1
        return [self.at(place) for place in range(count)]

    def text(self, value: object) -> str:
        """A value of it in an override: a whole number, one of its steps, or so many digits as matter."""
        number = float(str(value))
        if self.is_whole:
            return str(round(number))
        if self.step is not None:
            return repr(self.at(round((number - self.low) / self.step)))
        short = float(f"{number:.{_DIGITS}g}")
        return repr(short if self.low <= short <= self.high else number)

    def at(self, place: int) -> int | float:
        """The value so many steps from the lowest, in decimals as they were written: the third step of 0.1 is 0.3."""
        number = Decimal(repr(self.low)) + place * Decimal(repr(self.step))
        return int(number) if self.is_whole else float(number)


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
            values[key] = list(dimension.values)
    return values


def _dimension(override: Override) -> Dimension:
    value = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        _refuse_tags(override, value, known={LOG})
        _refuse_unordered(override, value.start, value.end, is_log=LOG in value.tags)
        return Span(value.start, value.end, None, LOG in value.tags)
    if isinstance(value, RangeSweep | ChoiceSweep):
        _refuse_tags(override, value, known=set())
        if value.shuffle:
            raise _refused(override, "is shuffled, and a search finds its own order", "leave shuffle out")
        return _range(override, value) if isinstance(value, RangeSweep) else _choice(override)
    raise _refused(override, "cannot be searched", "choice(...), range(...) or interval(...) can")


def _choice(override: Override) -> Choice:
    return Choice(tuple(dict.fromkeys(override.sweep_string_iterator())))


def _range(override: Override, value: RangeSweep) -> Span:
    start, stop, step = value.start, value.stop, value.step
    assert start is not None
    assert stop is not None
    _refuse_unordered(override, start, stop, is_log=False)
    count = math.ceil((Decimal(repr(stop)) - Decimal(repr(start))) / Decimal(repr(step))) if step > 0 else 0
    if count < 1:
        raise _refused(override, "has no value", "range(START,STOP,STEP): STOP is not one of its values")
    steps = Span(start, stop, step, is_log=False)
    return replace(steps, high=steps.at(count - 1))


def _refuse_tags(override: Override, value: Sweep, *, known: set[str]) -> None:
    odd = sorted(value.tags - known)
    if odd:
        remedy = "tag(log,interval(LOW,HIGH)) is the only one; numbers with steps can be given as choice(...)"
        raise _refused(override, f"has a tag that means nothing here: {', '.join(odd)}", remedy)


def _refuse_unordered(override: Override, low: float, high: float, *, is_log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _refused(override, "has an end that is no finite number", "give both ends")
    if low > high or (is_log and low <= 0):
        wanted = "above 0 and not above the second" if is_log else "not above the second"
        raise InputError(f"the first end of {override.input_line} has to be {wanted}", where=str(override.key_or_group))


def _refused(override: Override, why: str, remedy: str) -> InputError:
    return InputError(f"{override.input_line} {why}", where=str(override.key_or_group), remedy=remedy)
