from __future__ import annotations

import pytest

from odrun.checks.finding import Finding, finding_of, refuse_errors
from odrun.errors import InputError


def test_warnings_and_notes_are_not_refused() -> None:
    refuse_errors([Finding("data", "warning", "few images"), Finding("data", "note", "600 images")])


def test_one_error_is_refused_in_its_own_words() -> None:
    with pytest.raises(InputError) as caught:
        refuse_errors([Finding("data", "warning", "a"), Finding("data", "error", "no images", "label some")])
    assert (caught.value.what, caught.value.remedy) == ("no images", "label some")


def test_several_errors_are_told_at_once() -> None:
    errors = [Finding("data", "error", "no images", "label some"), Finding("model", "error", "no model")]
    with pytest.raises(InputError) as caught:
        refuse_errors(errors)
    assert caught.value.what == "2 errors:\n  no images; label some\n  no model"


def test_a_refusal_becomes_an_error_with_its_place() -> None:
    error = InputError("it is absent", where="file.txt", remedy="write it")
    assert finding_of("data", error) == Finding("data", "error", "it is absent (file.txt)", "write it")
