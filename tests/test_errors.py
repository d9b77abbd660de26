from __future__ import annotations

import pickle
import signal

import pytest

from odrun.errors import InputError, InterruptedRunError, OdrunError, RunFailedError, nearest


def test_an_error_reads_what_where_and_remedy() -> None:
    error = InputError("the box is empty", where="a.xml, line 3", remedy="remove it")
    assert str(error) == "the box is empty\n  where:  a.xml, line 3\n  remedy: remove it"
    assert str(RunFailedError("it failed")) == "it failed"


def test_each_kind_of_error_has_its_exit_status() -> None:
    stopped = InterruptedRunError("stopped", signal_number=signal.SIGTERM)
    errors = (OdrunError("a"), InputError("a"), RunFailedError("a"), stopped)
    assert [error.exit_status for error in errors] == [1, 2, 1, 143]


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("stepz", "did you mean steps"),
        ("step", "did you mean steps"),
        ("zzz", "valid: batch_size, seed, steps"),
    ],
)
def test_the_nearest_names_are_offered_and_all_of_them_when_none_is_near(name: str, phrase: str) -> None:
    assert nearest(name, {"steps", "seed", "batch_size"}) == phrase


@pytest.mark.parametrize(
    "error",
    [
        InputError("a", where="b", remedy="c"),
        RunFailedError("a"),
        InterruptedRunError("a", signal_number=signal.SIGTERM, where="b"),
    ],
)
def test_an_error_can_be_handed_to_another_process(error: OdrunError) -> None:
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), other.exit_status) == (type(error), str(error), error.exit_status)
    assert other.args == ("a",)
