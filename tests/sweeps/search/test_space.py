"""What a search chooses from, as it is written in Hydra's override grammar."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from odrun.errors import InputError
from odrun.sweeps.search.space import Choice, Dimension, Span, corners, grid, split


def space(*texts: str) -> dict[str, Dimension]:
    return split(OverridesParser.create().parse_overrides(list(texts)))[0]


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("a=1,2,2", Choice(("1", "2"))),
        ("a=x,null,[1,2]", Choice(("x", "null", "[1,2]"))),
        ("a=interval(0.1,0.9)", Span(0.1, 0.9, None, is_log=False)),
        ("a=int(interval(4,64))", Span(4, 64, None, is_log=False)),
        ("a=tag(log,int(interval(4,64)))", Span(4, 64, None, is_log=True)),
        ("a=range(1,9,2)", Span(1, 7, 2, is_log=False)),
        ("a=range(0,1,0.1)", Span(0, 0.9, 0.1, is_log=False)),
        ("a=range(4)", Span(0, 3, 1, is_log=False)),
    ],
)
def test_each_kind_of_sweep_is_a_dimension(text: str, dimension: Dimension) -> None:
    assert space(text) == {"a": dimension}


def test_what_is_no_sweep_is_common_to_all_trials() -> None:
    parsed = OverridesParser.create().parse_overrides(["b=1", "+c=1,2", "~d"])
    assert split(parsed) == ({"+c": Choice(("1", "2"))}, ["b=1", "~d"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a=tag(log,range(1,100))", "has a tag that means nothing here: log"),
        ("a=tag(log,choice(1,10))", "has a tag that means nothing here: log"),
        ("a=tag(lgo,interval(1,10))", "has a tag that means nothing here: lgo"),
        ("a=tag(log,interval(0,10))", "has to be above 0 and not above the second"),
        ("a=interval(2,1)", "has to be not above the second"),
        ("a=interval(0,inf)", "has an end that is no finite number"),
        ("a=interval(nan,1)", "has an end that is no finite number"),
        ("a=range(3,3)", "has no value"),
        ("a=range(1,9,-1)", "has no value"),
        ("a=shuffle(choice(1,2))", "is shuffled"),
        ("a=shuffle(range(1,5))", "is shuffled"),
    ],
)
def test_what_would_mean_nothing_is_refused_with_its_key(text: str, told: str) -> None:
    with pytest.raises(InputError, match="where:  a") as caught:
        space(text)
    assert told in str(caught.value)


def test_steps_are_the_decimals_that_were_written() -> None:
    tenths = space("a=range(0,1,0.1)")
    assert grid(tenths)["a"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert [tenths["a"].text(place * 0.1) for place in range(4)] == ["0.0", "0.1", "0.2", "0.3"]


@pytest.mark.parametrize(
    ("dimension", "value", "text"),
    [
        (Span(1e-4, 0.1, None, is_log=True), 0.0012345678912, "0.00123457"),
        (Span(0.123456111, 1.0, None, is_log=False), 0.123456111, "0.123456111"),
        (Span(4, 64, None, is_log=False), 17, "17"),
        (Choice(("null", "[1,2]")), "[1,2]", "[1,2]"),
    ],
)
def test_a_value_has_the_digits_that_matter(dimension: Dimension, value: object, text: str) -> None:
    assert dimension.text(value) == text


def test_corners_have_every_end() -> None:
    found = corners(space("a=interval(0.1,0.9)", "b=x,y,z"))
    assert found == [["a=0.1", "b=x"], ["a=0.9", "b=y"], ["a=0.1", "b=z"]]
