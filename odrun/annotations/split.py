"""Which images are trained on and which are held back, where the data do not say it themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set

from odrun.annotations.model import TRAIN, VALIDATION, AnnotatedImage
from odrun.errors import InputError

Parts = tuple[tuple[AnnotatedImage, ...], tuple[AnnotatedImage, ...]]


def split_images(images: Sequence[AnnotatedImage], *, validation_share: float, seed: int) -> Parts:
    """The training and the validation part of `images`, in their order.

    Where the images bring a split, it is theirs. Else each is held back by a hash of the seed and its name, with the
    chance `validation_share`: images added later leave the others where they are. A class of two or more images that
    would be missing from one part then gets one there, if that takes no other class's last one away.

    Raises:
        InputError: there are fewer than two images, or a part of the given split is empty.
    """
    if len(images) < 2:
        raise InputError(
            f"The data set has {len(images)} usable images; one to train on and one to validate on are needed.",
            remedy="add annotated images",
        )
    if all(image.split is not None for image in images):
        held_back = {image.name for image in images if image.split == VALIDATION}
        _refuse_empty_part(len(images) - len(held_back), len(held_back))
    else:
        held_back = _held_back(images, validation_share, seed)
    train = tuple(image for image in images if image.name not in held_back)
    return train, tuple(image for image in images if image.name in held_back)


def _held_back(images: Sequence[AnnotatedImage], share: float, seed: int) -> set[str]:
    chance = {image.name: _fraction(f"{seed}:{image.name}") for image in images}
    held_back = {name for name, fraction in chance.items() if fraction < share}
    if not held_back:
        held_back.add(min(chance, key=chance.__getitem__))
    if len(held_back) == len(images):
        held_back.remove(max(chance, key=chance.__getitem__))
    holders: dict[str, list[str]] = {}
    for image in sorted(images, key=lambda image: chance[image.name]):
        for class_name in image.class_names:
            holders.setdefault(class_name, []).append(image.name)
    everything = frozenset(chance)
    for names in (holders[name] for name in sorted(holders, key=lambda name: (len(holders[name]), name))):
        if len(names) >= 2 and held_back.isdisjoint(names):
            held_back |= _spare(names, everything - held_back, holders)
        elif len(names) >= 2 and held_back.issuperset(names):
            held_back -= _spare(names[::-1], held_back, holders)
    return held_back


def _spare(names: Sequence[str], part: Set[str], holders: Mapping[str, Sequence[str]]) -> set[str]:
    """The first of `names` without which `part` still has an image of every class it has one of, if there is one."""
    for name in names:
        groups = [set(group) for group in holders.values() if name in group]
        if all(group & part > {name} for group in groups):
            return {name}
    return set()


def _fraction(text: str) -> float:
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _refuse_empty_part(train_images: int, validation_images: int) -> None:
    for part, count in ((TRAIN, train_images), (VALIDATION, validation_images)):
        if count == 0:
            raise InputError(
                f"The {part} part of the data set's own split has no usable image.",
                remedy=f"put annotated images into the {part} part",
            )
