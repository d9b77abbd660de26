from __future__ import annotations

from pathlib import Path

import pytest

from odrun.annotations.model import AnnotatedImage, Box
from odrun.annotations.split import split_images
from odrun.errors import InputError


def image(name: str, *classes: str, split: str | None = None) -> AnnotatedImage:
    boxes = tuple(Box(class_name, 0, 0, 1, 1) for class_name in classes)
    return AnnotatedImage(name, Path(name), Path(name), 1, 1, "jpeg", False, name, 1, 0, boxes, split)


def many(count: int, *classes: str, prefix: str = "") -> list[AnnotatedImage]:
    return [image(f"{prefix}{number:04d}.jpg", *classes) for number in range(count)]


def held_back(images: list[AnnotatedImage], share: float = 0.2, seed: int = 0) -> set[str]:
    train, validation = split_images(images, validation_share=share, seed=seed)
    assert sorted((*train, *validation), key=lambda image: image.name) == images
    return {image.name for image in validation}


def test_a_split_of_the_data_s_own_is_taken():
    images = [image("a", "cat", split="validation"), image("b", "cat", split="train")]
    assert split_images(images, validation_share=0.9, seed=3) == ((images[1],), (images[0],))


def test_about_the_asked_share_is_held_back():
    assert 350 <= len(held_back(many(2000, "cat"))) <= 450


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    images = many(200, "cat")
    assert held_back(images, seed=1) == held_back(images, seed=1)
    assert held_back(images, seed=1) != held_back(images, seed=2)


def test_images_added_later_leave_the_others_where_they_are():
    images = many(300, "cat")
    before = held_back(images)
    after = held_back([*images, *many(300, "cat", prefix="new")])
    assert {name for name in after if not name.startswith("new")} == before


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_class_of_two_images_is_on_both_sides(share):
    images = [*many(100, "cat"), image("z1.jpg", "rare"), image("z2.jpg", "rare")]
    for seed in range(20):
        chosen = held_back(images, share, seed)
        assert len(chosen & {"z1.jpg", "z2.jpg"}) == 1
        assert 0 < len(chosen) < len(images)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_no_part_is_ever_empty(share):
    for count in (2, 3, 10):
        for seed in range(10):
            assert 0 < len(held_back(many(count), share, seed)) < count


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_cannot_be_split(count):
    with pytest.raises(InputError, match=f"{count} usable images"):
        held_back(many(count, "cat"))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_given_split_with_an_empty_part_is_refused_by_name(part):
    with pytest.raises(InputError, match=f"The {part} part"):
        held_back([image(name, split="validation" if part == "train" else "train") for name in "ab"])
