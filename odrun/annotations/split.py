"""Which images are held back for validation: by the data's own split, by chance, or by fold.

Comes in: of each image its name, its classes and its given part. Goes out: the places of those held back. Refused: a
data set that cannot be divided, a `group_by` that is no regular expression or does not fit each name, a fold that is
empty.

Chance is a hash of the seed and the image's name (or its group's), so that an image has its place whatever other images
there are. That alone would leave each class's share to chance, so it is corrected where it strays: a class of two or
more images or groups gets some in each part, and comes within `STRAY` standard deviations of chance (or one image) of
its share, unless that takes another class further from its own. To keep every share exact, images would have to move
whenever others are added; so, about one class in twenty has a few images that may. Folds are not corrected: an image's
fold is fixed for ever.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from odrun.annotations.model import TRAIN, VALIDATION
from odrun.errors import InputError

STRAY = 2.0
_DRAW_BITS = 64
_EXAMPLES = 3
_GROUP_BY = "dataset.split.group_by"
_FOLD = "dataset.split.fold"
_FOLD_REMEDY = f"{_FOLD}=0/5 is the first of five folds, {_FOLD}=4/5 the last"
_GROUP_REMEDY = (
    "a regular expression that is found in each image's name, the group in parentheses, such as "
    f"'{_GROUP_BY}=\"^([^_]+)_\"' for all up to the first underscore"
)


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What a split has to know of an image; `split` is one of `SPLITS`, None where the data bring none."""

    name: str
    class_names: frozenset[str]
    split: str | None


def held_back(
    facts: Sequence[SplitFacts],
    *,
    validation_share: float,
    seed: int,
    group_by: str | None,
    fold: tuple[int, int] | None,
) -> Sequence[int]:
    """The places of the validation images among `facts`, which are sorted by name; at least one is in each part.

    Where all images bring a split, it is theirs, and `group_by` is refused; `fold` divides them anew nonetheless.
    Else images with the same group (what the first group of `group_by`, or all of it, finds in the name) share a part.
    `fold` (k, n) holds back the k-th (from 0) of n parts of nearly the same size, disjoint and together all images:
    of N images or groups each has N / n, give or take a few times the square root of that.

    Raises:
        InputError: there are fewer than two images or groups, a part is empty, `group_by` is no regular expression,
            or finds no group in an image's name.
    """
    if len(facts) < 2:
        raise InputError(
            f"The data set has {len(facts)} usable images; one to train on and one to validate on are needed.",
            remedy="add annotated images",
        )
    pattern = None if group_by is None else group_pattern(group_by)
    if fold is None and all(image.split is not None for image in facts):
        if pattern is not None:
            raise InputError(
                "The data bring a split of their own, in which groups are not kept together.",
                where=_GROUP_BY,
                remedy=f"{_GROUP_BY}=null to take that split, or {_FOLD}=0/5 to divide the data anew",
            )
        return _given(facts)
    units = _units(facts, seed, pattern)
    if len(units) < 2:
        what = f"All {len(facts)} images are of one group; a group is not divided."
        raise InputError(what, where=_GROUP_BY, remedy=_GROUP_REMEDY)
    held = _stratified(units, validation_share) if fold is None else _of_fold(units, fold)
    return array("I", (place for place, unit in enumerate(units.of_image) if held[unit]))


def group_pattern(group_by: str) -> re.Pattern[str]:
    """The regular expression of `dataset.split.group_by`; InputError if it is none."""
    try:
        return re.compile(group_by)
    except (re.error, OverflowError, RecursionError) as error:
        what = f"{_GROUP_BY} is no regular expression: {error}."
        raise InputError(what, where=_GROUP_BY, remedy=_GROUP_REMEDY) from error


def parse_fold(text: str) -> tuple[int, int]:
    """`k/n` as (k, n): the k-th (from 0) of n folds.

    Raises:
        InputError: it is not written so, n is below 2, or k is not below n.
    """
    written = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    number, count = (0, 0) if written is None else (int(written[1]), int(written[2]))
    if count < 2 or number >= count:
        what = f"{_FOLD} is {text!r}; it has to be k/n with n of 2 or more and k from 0 to n - 1."
        raise InputError(what, where=_FOLD, remedy=_FOLD_REMEDY)
    return number, count


@dataclass(frozen=True, slots=True)
class _Units:
    """Images that share a part, in the order of their `draws` (0 to 2**64 - 1), in a few bytes each.

    `kinds` has of each unit which of `images_of` it has: how many images of each class; None stands for all. `of_image`
    has the unit of each image.
    """

    draws: Sequence[int]
    kinds: Sequence[int]
    images_of: Sequence[Mapping[str | None, int]]
    of_image: Sequence[int]

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, unit: int) -> Mapping[str | None, int]:
        return self.images_of[self.kinds[unit]]


@dataclass(frozen=True, slots=True)
class _Aim:
    """How many of a class's `images` are to be held back; `holders` are the units that have some, in order of draws."""

    holders: Sequence[int]
    images: int
    wanted: float
    tolerance: float

    def miss(self, held: int, *, nearness: bool) -> tuple[bool, float]:
        """How far from the aim `held` images are: a part without any is worst; without `nearness` only that counts."""
        excess = max(0.0, abs(held - self.wanted) - self.tolerance) if nearness else 0.0
        return held in (0, self.images), excess


def _given(facts: Sequence[SplitFacts]) -> Sequence[int]:
    held = array("I", (place for place, image in enumerate(facts) if image.split == VALIDATION))
    for part, count in ((TRAIN, len(facts) - len(held)), (VALIDATION, len(held))):
        if count == 0:
            raise InputError(
                f"The {part} part of the data set's own split has no usable image.",
                remedy=f"put annotated images into the {part} part",
            )
    return held


def _units(facts: Sequence[SplitFacts], seed: int, pattern: re.Pattern[str] | None) -> _Units:
    """The groups (single images without a pattern) in order of their draws."""
    # It takes a while to be imported, and the settings ask this module for no more than what a fold is.
    import numpy as np

    draws, kinds, unit_of_image = array("Q"), array("I"), array("I")
    images_of: list[Counter[str | None]] = []
    kind_of_single: dict[frozenset[str], int] = {}
    units: dict[str, int] = {}
    without = []
    for image in facts:
        key = image.name if pattern is None else _group(image.name, pattern)
        unit = len(draws) if pattern is None else units.setdefault(key, len(draws))
        unit_of_image.append(unit)
        if unit < len(draws):
            if images_of[kinds[unit]][None] == 1:
                images_of.append(images_of[kinds[unit]].copy())
                kinds[unit] = len(images_of) - 1
            images_of[kinds[unit]].update((None, *image.class_names))
        else:
            draws.append(_draw(seed, key))
            kinds.append(kind_of_single.setdefault(image.class_names, len(images_of)))
            if kinds[unit] == len(images_of):
                images_of.append(Counter((None, *image.class_names)))
        if not key:
            without.append(image.name)
    if without:
        examples = ", ".join(map(repr, sorted(without)[:_EXAMPLES])) + (", ..." if len(without) > _EXAMPLES else "")
        what = f"{_GROUP_BY} finds no group in the names of {len(without)} of {len(facts)} images: {examples}."
        raise InputError(what, where=_GROUP_BY, remedy=_GROUP_REMEDY)
    order = np.argsort(np.frombuffer(draws, np.uint64), kind="stable")
    ranks = np.empty(len(order), np.uint32)
    ranks[order] = np.arange(len(order), dtype=np.uint32)
    return _Units(
        draws=array("Q", np.frombuffer(draws, np.uint64)[order].tobytes()),
        kinds=array("I", np.frombuffer(kinds, np.uint32)[order].tobytes()),
        images_of=images_of,
        of_image=array("I", ranks[np.frombuffer(unit_of_image, np.uint32)].tobytes()),
    )


def _group(name: str, pattern: re.Pattern[str]) -> str:
    found = pattern.search(name)
    return "" if found is None else (found[min(pattern.groups, 1)] or "")


def _draw(seed: int, key: str) -> int:
    """Composed and decomposed accents draw alike: file systems differ in which of them they keep."""
    text = f"{seed}:{unicodedata.normalize('NFC', key)}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[: _DRAW_BITS // 8], "big")


def _of_fold(units: _Units, fold: tuple[int, int]) -> Sequence[int]:
    number, count = fold
    held = bytearray(draw * count >> _DRAW_BITS == number for draw in units.draws)
    if sum(held) in (0, len(units)):
        how_many = "all" if any(held) else "none"
        raise InputError(
            f"Fold {number}/{count} of the {len(units)} images or groups holds {how_many} of them.",
            where=_FOLD,
            remedy="take fewer folds, add images, or set another dataset.split.seed",
        )
    return held


def _stratified(units: _Units, share: float) -> Sequence[int]:
    """Which units chance holds back, with as few moved as bring each class near its share."""
    parts = _Parts(units, share)
    # This ends: a move takes an absent class into a part, or else brings a class nearer and none further.
    while sum(parts.correct(name, nearness=nearness) for nearness in (False, True) for name in parts.aims):
        pass
    return parts.held


def _aims(units: _Units, share: float) -> dict[str | None, _Aim]:
    """The aim of each class that two or more units have: of the rarest class first, of the whole last."""
    holders: dict[str | None, array[int]] = {}
    for index in range(len(units)):
        for class_name in units[index]:
            holders.setdefault(class_name, array("I")).append(index)
    aims = {}
    for class_name in sorted(holders, key=lambda name: (name is None, len(holders[name]), name or "")):
        sizes = array("Q", (units[index][class_name] for index in holders[class_name]))
        if len(sizes) >= 2:
            deviation = math.sqrt(share * (1 - share) * sum(size * size for size in sizes))
            tolerance = max(1.0, STRAY * deviation)
            aims[class_name] = _Aim(holders[class_name], sum(sizes), share * sum(sizes), tolerance)
    return aims


class _Parts:
    """The units while they are being divided: by chance at first, then as corrected."""

    def __init__(self, units: _Units, share: float) -> None:
        self.units = units
        self.aims = _aims(units, share)
        self.held = bytearray(draw < share * 2**_DRAW_BITS for draw in units.draws)
        self._images_held: Counter[str | None] = Counter()
        for index, is_held in enumerate(self.held):
            if is_held:
                self._images_held.update(units[index])

    def correct(self, class_name: str | None, *, nearness: bool) -> bool:
        """Whether units were moved to bring the class to its aim: those that chance nearly put on the other side."""
        aim = self.aims[class_name]
        more = self._images_held[class_name] < aim.wanted
        corrected = False
        for index in aim.holders[:: 1 if more else -1]:
            if not any(aim.miss(self._images_held[class_name], nearness=nearness)):
                break
            if self.held[index] != more:
                moved = {name: images if more else -images for name, images in self.units[index].items()}
                if self._betters(class_name, moved, nearness=nearness):
                    self._images_held.update(moved)
                    self.held[index] ^= 1
                    corrected = True
        return corrected

    def _betters(self, class_name: str | None, moved: Mapping[str | None, int], *, nearness: bool) -> bool:
        """Whether the move brings `class_name` nearer to its aim and takes no other class further from its own.

        The share of the whole gives way to that of a class.
        """
        for name, change in moved.items():
            if name in self.aims:
                near = nearness and (name is not None or class_name is None)
                before = self.aims[name].miss(self._images_held[name], nearness=near)
                after = self.aims[name].miss(self._images_held[name] + change, nearness=near)
                if after > before or (name == class_name and after == before):
                    return False
        return True
