from __future__ import annotations

import threading

import pytest

from odrun.annotations.threads import map_in_order, usable_cores


def test_results_come_in_the_order_of_the_items_whoever_is_first():
    later = threading.Event()

    def square(number: int) -> int:
        if number == 0:
            later.wait(5)
        if number == 1:
            later.set()
        return number * number

    assert list(map_in_order(square, range(20), workers=2)) == [number * number for number in range(20)]


def test_no_more_items_are_taken_than_are_worked_on():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_in_order(abs, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 8


def test_an_error_is_raised_at_its_turn():
    results = map_in_order(lambda number: 1 // number, [1, 0, 1], workers=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_there_is_a_core_to_use():
    assert usable_cores() >= 1
