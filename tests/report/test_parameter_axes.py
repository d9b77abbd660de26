from __future__ import annotations

import pytest

from odrun.report.parameter_axes import ParameterAxis, cut, short_keys, shown_value


def test_numbers_stand_at_themselves_and_names_side_by_side() -> None:
    assert ParameterAxis.of(["16", "4", "8"]).places == {"16": 16.0, "4": 4.0, "8": 8.0}
    assert ParameterAxis.of(["flip", "none", "flip"]).places == {"flip": 0.0, "none": 1.0}
    assert not ParameterAxis.of(["4", "null"]).is_numeric
    assert not ParameterAxis.of(["4", "nan"]).is_numeric


@pytest.mark.parametrize(
    ("texts", "is_log"), [(("1", "9.9"), False), (("1", "10"), True), (("0", "10"), False), (("-1", "10"), False)]
)
def test_an_axis_is_logarithmic_from_a_decade_on(texts: tuple[str, ...], is_log: bool) -> None:
    assert ParameterAxis.of(texts).is_log is is_log


def test_heights_are_shares_of_the_axis() -> None:
    assert ParameterAxis.of(["0.001", "0.01", "0.1"]).heights == {
        "0.001": 0.0,
        "0.01": pytest.approx(0.5),
        "0.1": 1.0,
    }
    assert ParameterAxis.of(["1", "2", "5"]).heights == {"1": 0.0, "2": 0.25, "5": 1.0}
    assert ParameterAxis.of(["7"]).heights == {"7": 0.5}


def test_marks_keep_their_distance_and_the_ends_come_first() -> None:
    assert ParameterAxis.of(["1.0", "0.98", "0.5", "0.0", "0.01"]).marked(apart=0.05) == ["0.0", "1.0", "0.5"]
    assert ParameterAxis.of([f"{n}" for n in range(11)]).marked(apart=0.05) == ["0", "10"]
    assert len(ParameterAxis.of([f"name {n}" for n in range(11)]).marked(apart=0.05)) == 11
    assert ParameterAxis.of(["7"]).marked(apart=0.05) == ["7"]


def test_keys_are_short_where_that_tells_them_apart() -> None:
    assert short_keys(["train.steps", "model"]) == ["steps", "model"]
    assert short_keys(["a.rate", "b.rate", "c"]) == ["a.rate", "b.rate", "c"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.00025", "0.00025"),
        ("0.00023049944255391574", "0.00023"),
        ("200000000", "200000000"),
        ("9.956015316899905e-06", "9.96e-06"),
        ("crop_colour_pad", "crop_colour_pad"),
    ],
)
def test_numbers_are_shown_with_the_digits_that_matter(text: str, shown: str) -> None:
    assert shown_value(text) == shown


def test_a_long_text_keeps_its_begin_and_its_end() -> None:
    assert cut("/data/a very long/place/number 3/images", 24) == "/data/a …number 3/images"
    assert cut("short", 24) == "short"
