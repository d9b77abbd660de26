"""How the values of a swept parameter, which are text, stand on an axis, and how they and their keys are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOG_FROM = 10.0
"""The ratio of a parameter's largest value to its smallest from which its axis is logarithmic."""
FEW_VALUES = 10
"""Up to so many values each can have its own mark on an axis."""
_LONG_NUMBER = 7
_KEPT_HEAD = 8


@dataclass(frozen=True)
class ParameterAxis:
    """Where each value stands: numbers at themselves, other values side by side from 0 on in their order."""

    places: dict[str, float]
    is_numeric: bool
    is_log: bool

    @classmethod
    def of(cls, texts: Sequence[str]) -> ParameterAxis:
        """The axis for these values; a single one that is no finite number makes all of them names."""
        try:
            places = {text: float(text) for text in texts}
        except ValueError:
            places = {}
        if not places or not all(map(math.isfinite, places.values())):
            return cls({name: float(place) for place, name in enumerate(dict.fromkeys(texts))}, False, False)
        low, high = min(places.values()), max(places.values())
        return cls(places, True, low > 0 and high / low >= LOG_FROM)

    @property
    def heights(self) -> dict[str, float]:
        """The places from 0 to 1, of their logarithms where the axis is logarithmic; 0.5 where there is one alone."""
        values = {text: math.log(place) if self.is_log else place for text, place in self.places.items()}
        low, high = min(values.values()), max(values.values())
        return {text: 0.5 if high == low else (value - low) / (high - low) for text, value in values.items()}

    def marked(self, *, apart: float) -> list[str]:
        """The values to write beside the axis, first the ends: each `apart` (a share of it) from those before it.

        Of many numbers only the ends: what lies between can be seen.
        """
        ordered = sorted(self.heights.items(), key=lambda pair: pair[1])
        ends = [ordered[0], ordered[-1]]
        candidates = [*ends, *([] if self.is_numeric and len(set(self.places.values())) > FEW_VALUES else ordered)]
        kept: dict[str, float] = {}
        for text, height in candidates:
            if all(abs(height - other) >= apart for other in kept.values()):
                kept[text] = height
        return list(kept)


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last parts of the keys, where they tell them apart."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return [last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)]


def shown_value(text: str) -> str:
    """A value as a reader wants it: of a number with many digits the first three."""
    if len(text) <= _LONG_NUMBER or text.lstrip("+-").isdigit():
        return text
    try:
        return f"{float(text):.3g}"
    except ValueError:
        return text


def cut(text: str, most: int) -> str:
    """`text` in at most so many characters: the begin and, which tells more, the end of one that is longer."""
    return text if len(text) <= most else f"{text[:_KEPT_HEAD]}…{text[len(text) - most + _KEPT_HEAD + 1 :]}"
