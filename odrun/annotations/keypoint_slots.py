"""Where an object's keypoints stand: every box has a slot for each keypoint of each class, and fills those of its own.

The OD API reads so many keypoints of every box, and takes each slot for a keypoint of one class alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SIDES = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}
_OTHER_SIDE = {**_SIDES, **{right: left for left, right in _SIDES.items()}}
_SIDE = re.compile(r"left|right|Left|Right|LEFT|RIGHT|(?<![A-Za-z])[lrLR](?![A-Za-z])")


@dataclass(frozen=True)
class KeypointSlots:
    """The names of the keypoints of each class that has any; classes stand in the order of their label ids.

    Slots are numbered from 0, those of the first class first. `items` has the names by which the OD API finds a class
    in the label map, where they are others (`/m/01g317` for a person).
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    items: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.names.values()))

    def of_class(self, class_name: str) -> slice:
        """The slots of a class, none if it has no keypoints."""
        start = 0
        for name, points in self.names.items():
            if name == class_name:
                return slice(start, start + len(points))
            start += len(points)
        return slice(0, 0)

    def by_label_id(self, classes: Mapping[int, str]) -> dict[int, slice]:
        """The slots of each label id."""
        return {label_id: self.of_class(name) for label_id, name in classes.items()}

    @property
    def flat(self) -> list[tuple[str, str]]:
        """The class and the name of each slot."""
        return [(class_name, point) for class_name, points in self.names.items() for point in points]

    @property
    def mirrored(self) -> list[int]:
        """For each slot the one that it becomes in a mirror: of `left_eye` that of `right_eye`, of `nose` its own."""
        numbers = {slot: number for number, slot in enumerate(self.flat)}
        return [numbers.get((class_name, _mirrored(point)), own) for (class_name, point), own in numbers.items()]


NO_KEYPOINTS = KeypointSlots()


def _mirrored(name: str) -> str:
    return _SIDE.sub(lambda found: _OTHER_SIDE[found.group()], name)
