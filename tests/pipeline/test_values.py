from __future__ import annotations

import math

import pytest
from google.protobuf.descriptor import FieldDescriptor

from odrun.pipeline import values
from odrun.pipeline.descriptors import field_at

WHOLE = "train_config.batch_size"
SIGNED = "model.ssd.num_classes"
REAL = "train_config.gradient_clipping_by_norm"
SWITCH = "train_config.sync_replicas"
TEXT = "train_config.fine_tune_checkpoint"
NAME = "train_config.fine_tune_checkpoint_version"


def field(path: str) -> FieldDescriptor:
    found = field_at(path.split("."))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "value", "made"),
    [
        (WHOLE, 4, 4),
        (SIGNED, -1, -1),
        (REAL, 4, 4.0),
        (REAL, 0.1, 0.1),
        (SWITCH, False, False),
        (TEXT, "a/b", "a/b"),
        (NAME, "V2", 2),
    ],
)
def test_a_fitting_value_is_taken(path: str, value: object, made: object) -> None:
    assert values.convert(field(path), value) == made


@pytest.mark.parametrize(
    ("path", "value", "what", "remedy"),
    [
        (WHOLE, 4.0, "is the number 4.0, where a whole number is meant", "KEY=4"),
        (WHOLE, 4.5, "is the number 4.5, where a whole number is meant", "give a number without a point"),
        (WHOLE, True, "is the switch true, where a whole number is meant", "give a number without a point"),
        (WHOLE, -1, "is -1, out of range", "give a number from 0 to 4294967295"),
        (SIGNED, 2**31, "is 2147483648, out of range", "give a number from -2147483648 to 2147483647"),
        (REAL, "0.1", "is the text '0.1', where a number is meant", "give a number such as KEY=0.5"),
        (REAL, True, "is the switch true, where a number is meant", "give a number such as KEY=0.5"),
        (REAL, math.nan, "is nan, which is not a finite number of the field's size", "give a finite number"),
        (REAL, 1e39, "is 1e+39, which is not a finite number of the field's size", "give a finite number"),
        (SWITCH, 1, "is the number 1, where true or false is meant", "KEY=true or KEY=false"),
        (TEXT, 7, "is the number 7, where text is meant", "quote it: 'KEY=\"7\"'"),
        (TEXT, None, "is null, where text is meant", "quote it: 'KEY=\"None\"'"),
        (NAME, "V3", "is 'V3', which is not a value of it", "valid: UNKNOWN, V1, V2"),
        (NAME, 2, "is the number 2, where a name is meant", "valid: UNKNOWN, V1, V2"),
    ],
)
def test_an_unfit_value_is_refused_with_what_to_type(path: str, value: object, what: str, remedy: str) -> None:
    with pytest.raises(values.UnfitError) as caught:
        values.convert(field(path), value)
    assert (caught.value.what, caught.value.remedy) == (what, remedy)


@pytest.mark.parametrize(
    ("value", "words"), [({}, "a mapping"), ([1, 2], "a list of 2"), ("a", "the text 'a'"), (object(), "a object")]
)
def test_a_value_is_described_in_words(value: object, words: str) -> None:
    assert values.describe(value) == words
