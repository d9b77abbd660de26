from __future__ import annotations

import pickle
from pathlib import Path
from struct import Struct

import pytest

from odrun.annotations.rows import BLOCK_BYTES, Rows

LAYOUT = Struct("<Q3s")
SEVERAL_BLOCKS = 3 * BLOCK_BYTES // LAYOUT.size


def rows(path: Path, count: int) -> Rows:
    made = Rows(path.open("w+b"), LAYOUT)
    for number in range(count):
        made.append(number, b"abc")
    return made


def test_rows_are_read_by_their_number_in_any_order(tmp_path):
    made = rows(tmp_path / "rows", SEVERAL_BLOCKS)
    numbers = [*range(SEVERAL_BLOCKS)][::-7]
    assert [made[number] for number in numbers] == [(number, b"abc") for number in numbers]


def test_a_row_that_comes_after_reading_is_read_too(tmp_path):
    made = rows(tmp_path / "rows", 1)
    assert made[0] == (0, b"abc")
    made.append(7, b"xyz")
    assert (made[1], len(made)) == ((7, b"xyz"), 2)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_row_that_is_not_there_is_refused(tmp_path, number):
    with pytest.raises(IndexError):
        rows(tmp_path / "rows", 2)[number]


def test_pickled_rows_are_read_where_they_lie(tmp_path):
    made = pickle.loads(pickle.dumps(rows(tmp_path / "rows", 3)))
    assert [made[number] for number in range(len(made))] == [(0, b"abc"), (1, b"abc"), (2, b"abc")]
