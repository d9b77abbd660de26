"""What was left out of a data set on its way, counted by the fault that led to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Loss:
    """How many images and boxes a fault has led to being left out."""

    fault: str
    images: int
    boxes: int


@dataclass
class Losses:
    """Losses of many images, by fault."""

    images: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)

    def add(self, fault: str, *, images: int = 0, boxes: int = 0) -> None:
        """Add what a fault has led to being left out; nothing is no loss."""
        if images:
            self.images[fault] += images
        if boxes:
            self.boxes[fault] += boxes

    def add_all(self, losses: Iterable[Loss]) -> None:
        """Add each of `losses`."""
        for loss in losses:
            self.add(loss.fault, images=loss.images, boxes=loss.boxes)
