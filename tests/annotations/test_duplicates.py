from __future__ import annotations

import hashlib
import random
from pathlib import Path

from odrun.annotations.duplicates import NEAR_BITS, note_duplicates
from odrun.annotations.kept import KeptImage, Place
from odrun.annotations.problems import Policies, ProblemLog

LOOK = 0x0123456789ABCDEF


def image(name: str, look: int, sha256: str | None = None) -> KeptImage:
    return KeptImage(name, (), None, hashlib.sha256((sha256 or name).encode()).digest(), look, 1, 0, (), Place(0, 0))


def told(train: list[KeptImage], validation: list[KeptImage]) -> list[str]:
    log = ProblemLog()
    assert note_duplicates(train, validation, Path(), log) == {}
    return [f"{problem.fault} {problem}" for problem in log.problems]


def test_what_is_to_be_left_out_is_named_with_its_fault():
    log = ProblemLog(Policies({"duplicate_content": "drop", "duplicate_across_split": "drop"}))
    train = [image("a", LOOK), image("b", LOOK, "a"), image("c", LOOK)]
    found = note_duplicates(train, [image("d", LOOK, "a")], Path("data"), log)
    assert found == {"b": "duplicate_content", "d": "duplicate_across_split"}
    assert [problem.file for problem in log.problems] == [Path("data/b"), Path("data/c"), Path("data/d")]


def test_images_that_look_alike_are_told_once_with_the_first():
    images = [image("a", LOOK), image("b", LOOK ^ 0b101), image("c", LOOK)]
    assert told(images, []) == ["near_duplicate b: looks like a", "near_duplicate c: looks like a"]


def test_a_likeness_across_the_split_says_so():
    assert told([image("a", LOOK)], [image("b", LOOK)]) == [
        "duplicate_across_split b: looks like a, on the other side of the split"
    ]


def test_the_same_bytes_are_told_even_without_any_structure():
    assert told([image("a", 0, "x"), image("b", 0, "x"), image("c", 0, "y")], []) == [
        "duplicate_content b: has the same bytes as a"
    ]


def test_every_pair_within_the_limit_is_found_and_none_beyond():
    chance = random.Random(0)
    for bits in range(8):
        for _ in range(50):
            look = chance.getrandbits(64)
            other = look
            for position in chance.sample(range(64), bits):
                other ^= 1 << position
            assert bool(told([image("a", look), image("b", other)], [])) == (bits <= NEAR_BITS)
