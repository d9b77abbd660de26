from __future__ import annotations

import random
from pathlib import Path

from odrun.annotations.duplicates import NEAR_BITS, note_near_duplicates
from odrun.annotations.model import AnnotatedImage
from odrun.annotations.problems import ProblemLog

LOOK = 0x0123456789ABCDEF


def image(name: str, look: int, sha256: str | None = None) -> AnnotatedImage:
    return AnnotatedImage(name, Path(name), Path(name), 1, 1, "jpeg", False, sha256 or name, 1, look, (), None)


def told(train: list[AnnotatedImage], validation: list[AnnotatedImage]) -> list[str]:
    log = ProblemLog()
    note_near_duplicates(train, validation, log)
    return [str(problem) for problem in log.problems]


def test_images_that_look_alike_are_told_once_with_the_first():
    images = [image("a", LOOK), image("b", LOOK ^ 0b101), image("c", LOOK)]
    assert told(images, []) == ["b: looks like a", "c: looks like a"]


def test_a_likeness_across_the_split_says_so():
    assert told([image("a", LOOK)], [image("b", LOOK)]) == ["b: looks like a, on the other side of the split"]


def test_the_same_bytes_are_told_even_without_any_structure():
    assert told([image("a", 0, "x"), image("b", 0, "x"), image("c", 0, "y")], []) == ["b: has the same bytes as a"]


def test_every_pair_within_the_limit_is_found_and_none_beyond():
    chance = random.Random(0)
    for bits in range(8):
        for _ in range(50):
            look = chance.getrandbits(64)
            other = look
            for position in chance.sample(range(64), bits):
                other ^= 1 << position
            assert bool(told([image("a", look), image("b", other)], [])) == (bits <= NEAR_BITS)
