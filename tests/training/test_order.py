from __future__ import annotations

from collections import Counter

import pytest

from odrun.errors import InputError
from odrun.training.order import Order, chosen_images


def order(images: int = 10, *, batch_size: int = 4, seed: int = 7, shuffle: bool = True) -> Order:
    return Order(tuple(range(100, 100 + images)), batch_size=batch_size, seed=seed, shuffle=shuffle)


def test_each_pass_takes_every_image_once_in_an_order_of_its_own() -> None:
    passes = [tuple(order().record(number) for number in range(first, first + 10)) for first in (0, 10, 20)]

    assert all(sorted(one) == list(range(100, 110)) for one in passes)
    assert len(set(passes)) == 3


def test_a_batch_is_a_function_of_seed_and_step_alone() -> None:
    forwards, backwards = order(), order()
    expected = [forwards.batch(step) for step in range(1, 30)]

    assert [backwards.batch(step) for step in range(29, 0, -1)] == expected[::-1]
    assert expected != [order(seed=8).batch(step) for step in range(1, 30)]


def test_batches_follow_each_other_without_a_gap_over_the_end_of_a_pass() -> None:
    counts = Counter(record for step in range(1, 6) for record in order().batch(step))

    assert set(counts.values()) == {2}


def test_the_records_until_a_step_are_those_of_its_batches() -> None:
    order = Order((3, 5, 7, 11, 13), batch_size=2, seed=1)
    assert order.records_until(2) == {*order.batch(1), *order.batch(2)}
    assert order.records_until(9) == {3, 5, 7, 11, 13}


def test_without_shuffling_every_pass_has_the_order_of_the_records() -> None:
    assert order(images=3, shuffle=False).batch(2) == (101, 102, 100, 101)


def test_all_images_are_used_unless_less_is_asked_for() -> None:
    assert choose(10) == tuple(range(10))
    assert choose(10, every=3) == (0, 3, 6, 9)


def test_a_fraction_is_a_part_that_depends_on_the_seed_alone() -> None:
    part = choose(1000, fraction=0.1)

    assert len(part) == 100
    assert list(part) == sorted(set(part))
    assert part == choose(1000, fraction=0.1, batch_size=8) != choose(1000, fraction=0.1, seed=2)
    assert part != tuple(range(100))
    assert choose(1000, max_images=8, batch_size=8) == choose(1000, max_images=8, fraction=0.5, batch_size=8)


@pytest.mark.parametrize("cut", [{}, {"fraction": 0.1}, {"max_images": 7}])
def test_fewer_images_than_a_batch_are_refused(cut: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"a batch has 8 images, and . of . are there") as refusal:
        choose(7, batch_size=8, **cut)

    assert refusal.value.where == "train.batch_size"


def choose(
    count: int,
    *,
    fraction: float = 1.0,
    max_images: int | None = None,
    every: int = 1,
    seed: int = 1,
    batch_size: int = 1,
) -> tuple[int, ...]:
    return chosen_images(count, fraction=fraction, max_images=max_images, every=every, seed=seed, batch_size=batch_size)
