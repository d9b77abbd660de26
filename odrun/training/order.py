"""Which image comes when: a pure function of the seed and a number, so that a resumed run goes on where it was.

Samples are numbered from 0 over the whole training: step s (from 1) of a batch of b takes numbers (s - 1) * b to
s * b - 1. Each pass over the images is a permutation of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from odrun.errors import InputError

_CHOICE_OF_IMAGES = 2**63


@dataclass(frozen=True)
class Order:
    """The order of `images` records that are used out of all, as indices into the records.

    With `shuffle` each pass over them has another order; without, all have that of `images`.
    """

    images: tuple[int, ...]
    batch_size: int
    seed: int
    shuffle: bool = True

    def record(self, number: int) -> int:
        """The record of sample `number`."""
        epoch, position = divmod(number, len(self.images))
        return self.images[_permutation(len(self.images), self.seed, epoch)[position] if self.shuffle else position]

    def batch(self, step: int) -> tuple[int, ...]:
        """The records of step `step`, counted from 1."""
        first = self.first_number(step)
        return tuple(self.record(number) for number in range(first, first + self.batch_size))

    def records_until(self, step: int) -> frozenset[int]:
        """The records of all steps up to `step`, counted from 1."""
        samples = step * self.batch_size
        return frozenset(self.images if samples >= len(self.images) else map(self.record, range(samples)))

    def first_number(self, step: int) -> int:
        """The number of the first sample of step `step`, counted from 1."""
        return (step - 1) * self.batch_size


def chosen_images(
    count: int, *, fraction: float, max_images: int | None, every: int, seed: int, batch_size: int
) -> tuple[int, ...]:
    """Indices of the records to train on, ascending: each `every`th of `count`, of those a random part.

    The part is `fraction` of them, rounded up, and at most `max_images`; which it is depends on `seed` alone.

    Raises:
        InputError: they do not fill one batch.
    """
    candidates = np.arange(0, count, every)
    wanted = min(math.ceil(fraction * len(candidates)), max_images or count)
    if wanted < batch_size:
        raise InputError(
            f"a batch has {batch_size} images, and {wanted} of {count} are there to train on",
            where="train.batch_size",
            remedy=f"train.batch_size={wanted} or less, more images, or a larger train.fraction or train.max_images",
        )
    if wanted == len(candidates):
        return tuple(candidates.tolist())
    return tuple(sorted(candidates[_shuffled(len(candidates), seed, _CHOICE_OF_IMAGES)[:wanted]].tolist()))


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return _shuffled(count, seed, epoch)


def _shuffled(count: int, seed: int, stream: int) -> npt.NDArray[np.int64]:
    """Philox is counter-based (Salmon et al. 2011): any two keys give unrelated streams."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream], np.uint64))).permutation(count)
