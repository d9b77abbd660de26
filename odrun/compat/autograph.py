"""AutoGraph kept away from library code, which is where most of the time to a first step goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from odrun.compat.tensorflow import tf  # noqa: F401 - makes `tensorflow` importable as the OD API needs it

# isort: split
from tensorflow.python.autograph.core import config as autograph_config

_LIBRARY_RULES = tuple(
    autograph_config.DoNotConvert(name) for name in ("object_detection", "official", "tf_keras", "tf_slim", "odrun")
)


@contextmanager
def library_code_unconverted() -> Iterator[None]:
    """Within it, AutoGraph leaves the code of the OD API, tf-keras, tf-slim, tf-models-official and odrun as it is.

    They are written with graph operations and need no conversion, which costs most of the time to a first step.
    """
    with _conversion_rules((*_LIBRARY_RULES, *autograph_config.CONVERSION_RULES)):
        yield


@contextmanager
def library_code_converted() -> Iterator[None]:
    """Within it, AutoGraph converts library code as published, inside `library_code_unconverted` too."""
    published = tuple(rule for rule in autograph_config.CONVERSION_RULES if rule not in _LIBRARY_RULES)
    with _conversion_rules(published):
        yield


@contextmanager
def _conversion_rules(rules: tuple[Any, ...]) -> Iterator[None]:
    before = autograph_config.CONVERSION_RULES
    autograph_config.CONVERSION_RULES = rules
    try:
        yield
    finally:
        autograph_config.CONVERSION_RULES = before
