"""Where the keypoints of objects stand."""

from __future__ import annotations

import pytest

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots

SLOTS = KeypointSlots({"person": ("nose", "left_eye", "right_eye"), "dog": ("nose", "left_ear")})


def test_slots_are_numbered_over_all_classes() -> None:
    assert len(SLOTS) == 5
    assert SLOTS.by_label_id({1: "cat", 2: "dog", 3: "person"}) == {1: slice(0, 0), 2: slice(3, 5), 3: slice(0, 3)}
    assert SLOTS.flat[3] == ("dog", "nose")
    assert not NO_KEYPOINTS


def test_a_mirror_exchanges_left_and_right_of_one_class_where_both_are_there() -> None:
    assert SLOTS.mirrored == [0, 2, 1, 3, 4]


@pytest.mark.parametrize(
    "names",
    [
        ("left_eye", "right_eye"),
        ("LeftEye", "RightEye"),
        ("eye.l", "eye.r"),
        ("L-eye", "R-eye"),
        ("eye left", "eye right"),
    ],
)
def test_sides_are_known_however_they_are_written(names: tuple[str, str]) -> None:
    assert KeypointSlots({"cat": names}).mirrored == [1, 0]


def test_what_only_begins_like_a_side_is_none() -> None:
    assert KeypointSlots({"cat": ("lip", "rip", "ball", "barr")}).mirrored == [0, 1, 2, 3]
