from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from odrun.annotations.classes import Resolved, class_map, unify
from odrun.errors import InputError

NAMES = st.text(min_size=1, max_size=8).filter(str.strip)


def test_null_takes_every_class_as_it_is_written():
    classes = class_map(None)
    assert classes.names is None
    assert classes.resolve(" Cat") == Resolved(" Cat", is_exact=True)


def test_a_list_gives_the_classes_in_its_order():
    classes = class_map(["dog", "cat"])
    assert classes.names == ("dog", "cat")
    assert classes.resolve("cat") == Resolved("cat", is_exact=True)


def test_a_mapping_renames_and_merges_in_its_order():
    classes = class_map({"vehicle": ["car", "van"], "human": "person"})
    assert classes.names == ("vehicle", "human")
    assert [classes.resolve(text).name for text in ("van", "car", "person")] == ["vehicle", "vehicle", "human"]


def test_the_new_name_is_taken_from_the_data_only_if_it_is_listed():
    assert class_map({"vehicle": ["car"]}).resolve("vehicle").name is None
    assert class_map({"car": ["car", "van"]}).resolve("car") == Resolved("car", is_exact=True)


@pytest.mark.parametrize(
    "text",
    ["Traffic Light", " traffic light ", "traffic   light", "traffic\tlight\n", "traffic\xa0light"],
)
def test_another_case_or_other_spaces_are_another_spelling_of_the_class(text):
    assert class_map({"light": "traffic light"}).resolve(text) == Resolved("light", is_exact=False)


def test_composed_and_decomposed_accents_are_one_name():
    assert class_map(["caf\u00e9"]).resolve("cafe\u0301") == Resolved("caf\u00e9", is_exact=False)


@pytest.mark.parametrize("text", ["trafficlight", "traffic_light", "traffic lights"])
def test_what_differs_in_more_is_another_class_with_the_nearest_as_a_hint(text):
    assert class_map(["traffic light"]).resolve(text) == Resolved(
        None, is_exact=False, hint="did you mean traffic light"
    )


def test_classes_that_differ_in_case_only_are_kept_apart_and_a_third_spelling_is_unknown():
    classes = class_map(["us", "US"])
    assert [classes.resolve(text) for text in ("US", "us")] == [Resolved(text, is_exact=True) for text in ("US", "us")]
    assert classes.resolve("Us") == Resolved(None, is_exact=False, hint="did you mean us or US")


def test_old_names_that_differ_in_case_only_may_mean_one_class():
    assert class_map({"cat": ["Cat", "cat"]}).resolve("CAT") == Resolved("cat", is_exact=False)


def test_a_hint_is_short_however_many_or_long_the_names_are():
    many = class_map([f"class number {number}" for number in range(500)])
    assert many.resolve("zebra").hint == "none of its 500 names is close"
    assert many.resolve("class number 7" * 100_000).hint == "none of its 500 names is close"


def test_an_answer_does_not_depend_on_how_many_were_given_before(monkeypatch):
    monkeypatch.setattr("odrun.annotations.classes._REMEMBERED", 2)
    classes = class_map(["cat"])
    answers = [classes.resolve(text) for text in ("Cat", "cta", "CAT", "cut", "Cat", "cut")]
    assert answers == [class_map(["cat"]).resolve(text) for text in ("Cat", "cta", "CAT", "cut", "Cat", "cut")]


def test_a_class_map_reaches_another_process_as_it_is():
    classes = class_map({"vehicle": ["car", "van"]})
    copy = pickle.loads(pickle.dumps(classes))
    assert (copy, copy.resolve("Van")) == (classes, Resolved("vehicle", is_exact=False))


def test_a_whole_number_stands_for_its_digits():
    assert class_map([0, 7]).names == ("0", "7")
    assert class_map({"odd": [1, 3], 2: 2}).sources == {"1": "odd", "3": "odd", "2": "2"}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ([], "is empty"),
        ({}, "is empty"),
        (["cat", "cat"], "names the class 'cat' twice"),
        ([1, "1"], "names the class '1' twice"),
        (["cat", ""], "has the empty name ''"),
        (["  "], "has the empty name '  '"),
        ([None], "has None, which is no name"),
        ([True], "has True, which is no name"),
        ([1.5], "has 1.5, which is no name"),
        ([["cat"]], r"has \['cat'\], which is no name"),
        ("cat", "is 'cat', neither null, a list nor a mapping"),
        (7, "is 7, neither"),
        ({"cat"}, "is {'cat'}, neither"),
        ({"": "cat"}, "has the empty name ''"),
        ({"cat": []}, "has no old name for the class 'cat'"),
        ({"cat": None}, "has None, which is no name"),
        ({"cat": {"a": 1}}, "has {'a': 1}, which is no name"),
        ({"cat": [["a"]]}, r"has \['a'\], which is no name"),
        ({"vehicle": ["car", "car"]}, "names 'car' twice"),
        ({"vehicle": ["car", "van"], "car": "car"}, "takes 'car' for 'vehicle' and 'car'"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(chosen, told):
    with pytest.raises(InputError, match=told) as caught:
        class_map(chosen)
    assert caught.value.where == "dataset.classes"
    assert caught.value.remedy


@settings(max_examples=100)
@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1, unique=True), min_size=1), st.lists(st.text(max_size=8)))
@example({"a": ["İ"], "b": ["i̇"]}, ["İ"])
def test_every_old_name_means_its_class_and_every_answer_is_a_class_or_a_hint(chosen, texts):
    try:
        classes = class_map(chosen)
    except InputError:
        sources = [source for names in chosen.values() for source in names]
        assert len(set(sources)) < len(sources)
        return
    assert classes.names == tuple(chosen)
    for target, sources in chosen.items():
        assert all(classes.resolve(source) == Resolved(target, is_exact=True) for source in sources)
    for text in texts:
        answer = classes.resolve(text)
        assert (answer.name in chosen) != bool(answer.hint)


def test_spellings_become_the_most_frequent_one():
    assert unify({"cat": 3, "Cat": 5, "cat ": 1, "dog": 1}) == {"cat": "Cat", "Cat": "Cat", "cat ": "Cat", "dog": "dog"}


def test_of_equally_frequent_spellings_the_first_in_sorted_order_is_taken():
    assert unify({"cat": 2, "CAT": 2, "Cat": 2}) == dict.fromkeys(("cat", "CAT", "Cat"), "CAT")


@settings(max_examples=100)
@given(st.dictionaries(st.text("aAbB \t", max_size=4), st.integers(1, 5)))
def test_unifying_is_done_after_once_and_no_order_matters(counts):
    unified = unify(counts)
    assert set(unified) == set(counts)
    assert unify(dict(reversed(counts.items()))) == unified
    assert all(unified[chosen] == chosen for chosen in unified.values())
    totals = dict.fromkeys(unified.values(), 1)
    assert unify(totals) == {name: name for name in totals}
