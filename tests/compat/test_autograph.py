from __future__ import annotations

from collections.abc import Callable

import pytest

from odrun.compat.autograph import library_code_unconverted

# isort: split
from object_detection.core import preprocessor
from tensorflow.python.autograph.core import config as autograph_config
from tensorflow.python.autograph.impl import conversion

PUBLISHED_RULES = autograph_config.CONVERSION_RULES


@pytest.fixture(autouse=True)
def published_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `built` model of the session may hold the context under test open; here each test starts outside of it."""
    monkeypatch.setattr(autograph_config, "CONVERSION_RULES", PUBLISHED_RULES)


def is_converted(function: Callable[..., object]) -> bool:
    return not conversion.is_allowlisted(function)


def test_only_code_of_the_engine_is_left_unconverted_and_only_within_the_context() -> None:
    before = is_converted(preprocessor.preprocess), is_converted(own_function)
    with library_code_unconverted():
        within = is_converted(preprocessor.preprocess), is_converted(own_function)
    after = is_converted(preprocessor.preprocess), is_converted(own_function)

    assert (before, within, after) == ((True, True), (False, True), (True, True))


def test_the_rules_of_conversion_come_back_also_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="planted"), library_code_unconverted():
        raise RuntimeError("planted")

    assert autograph_config.CONVERSION_RULES is PUBLISHED_RULES


def test_the_context_can_be_entered_within_itself() -> None:
    with library_code_unconverted():
        outer = autograph_config.CONVERSION_RULES
        with library_code_unconverted():
            assert not is_converted(preprocessor.preprocess)
        assert autograph_config.CONVERSION_RULES is outer


def own_function() -> None:
    pass
