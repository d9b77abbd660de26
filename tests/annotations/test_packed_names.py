from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odrun.annotations import packed_names
from odrun.annotations.packed_names import BLOCK_NAMES, PackedNames

NAMES = st.sets(st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1, max_size=6))


def numbered(count: int) -> list[str]:
    return [f"images/{number:06d}.jpg" for number in range(count)]


@given(NAMES)
def test_names_come_sorted_whatever_their_order_and_signs(names):
    packed = PackedNames(names)
    assert [*packed] == [packed[number] for number in range(len(packed))] == sorted(names)


@pytest.mark.parametrize("count", [0, 1, BLOCK_NAMES - 1, BLOCK_NAMES, BLOCK_NAMES + 1, 5 * BLOCK_NAMES])
def test_each_name_has_a_number_and_others_have_none(count):
    packed = PackedNames(numbered(count))
    assert [packed.number(name) for name in numbered(count)] == [*range(count)]
    others = ("", "images/000000", "images/000000.jpg ", "images/000001.jp", "z")
    assert [packed.number(name) for name in others] == [None] * len(others)


def test_more_than_are_sorted_at_once_are_merged(monkeypatch):
    monkeypatch.setattr(packed_names, "RUN_NAMES", 100)
    names = numbered(1050)
    random.Random(0).shuffle(names)
    assert [*PackedNames(names)] == numbered(1050)


def test_places_are_counted_from_the_end_too_and_refused_beyond():
    packed = PackedNames("abc")
    assert (packed[-1], packed[1:], "b" in packed, "d" in packed) == ("c", ["b", "c"], True, False)
    with pytest.raises(IndexError):
        packed[3]
