from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest

from odrun.annotations.problems import FAULTS, Policies, Policy, Problem, ProblemLog
from odrun.errors import InputError

FOLDER = Path("data")


def log_of(*faults: str) -> ProblemLog:
    log = ProblemLog()
    for number, fault in enumerate(faults):
        log.add(fault, Path(f"{number}.xml"), f"message {number}", line=number)
    return log


def test_the_issue_s_policies_are_kept():
    defaults = Policies()
    by_policy = {policy: {name for name in FAULTS if defaults[name] is policy} for policy in Policy}
    assert by_policy[Policy.FIX] == {
        *(
            "bad_area",
            "clipped_box",
            "clipped_keypoint",
            "wrong_extension",
            "re_encoded_image",
            "turned_image",
            "class_spelling",
        )
    }
    assert {"near_duplicate", "tiny_box", "image_without_boxes"} <= by_policy[Policy.WARN]
    assert {
        *("malformed_annotation", "doctype", "missing_image", "undecodable_image", "unknown_class", "empty_class"),
        *("inverted_box", "empty_box", "outside_box", "bad_number", "size_mismatch", "duplicate_image", "duplicate_id"),
    } <= by_policy[Policy.ERROR]
    assert by_policy[Policy.DROP] == set()


def test_a_fault_can_be_given_another_policy_that_it_can_have():
    policies = Policies({"outside_box": "drop"})
    assert (policies["outside_box"], policies["empty_box"]) == (Policy.DROP, Policy.ERROR)
    log = ProblemLog(policies)
    assert log.add("outside_box", Path("a.xml"), "far out") is Policy.DROP
    log.refuse_errors(FOLDER)
    assert log.counts(Policy.DROP) == {"outside_box": 1}


@pytest.mark.parametrize(
    ("chosen", "what", "remedy"),
    [
        ({"outside_bxo": "drop"}, "there is no fault 'outside_bxo'", "outside_box"),
        ({"empty_box": "fix"}, "dataset.problems.empty_box cannot be 'fix'", "one of error, drop"),
        ({"empty_box": "ignore"}, "dataset.problems.empty_box cannot be 'ignore'", "one of error, drop"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(chosen, what, remedy):
    with pytest.raises(InputError, match=re.escape(what)) as caught:
        Policies(chosen)
    assert remedy in str(caught.value.remedy)


def test_the_list_has_every_problem_found_before_and_after(tmp_path):
    log = ProblemLog()
    log.add("empty_box", Path("a.xml"), "a, b\nc", line=3)
    with (tmp_path / "problems.csv").open("w", encoding="utf-8") as stream:
        log.list_to(stream)
        log.add("near_duplicate", Path(os.fsdecode(b"\xff.jpg")), "looks like a")
    with (tmp_path / "problems.csv").open(encoding="utf-8", newline="") as stream:
        assert [list(row.values()) for row in csv.DictReader(stream)] == [
            ["empty_box", "error", "a.xml", "3", "a, b\nc"],
            ["near_duplicate", "warn", "\\xff.jpg", "", "looks like a"],
        ]


def test_of_a_common_fault_all_are_counted_and_some_are_kept():
    log = log_of(*["empty_box"] * 3000)
    assert (log.counts(Policy.ERROR), len(log.problems)) == ({"empty_box": 3000}, 1000)


def test_a_fault_that_is_not_in_the_catalogue_is_refused():
    with pytest.raises(KeyError):
        ProblemLog().add("odd_box", Path("a.xml"), "odd")


def test_faults_without_the_error_policy_refuse_nothing():
    log_of("clipped_box", "near_duplicate").refuse_errors(FOLDER)


def test_one_message_counts_every_fault_and_names_file_line_and_remedy():
    with pytest.raises(InputError) as caught:
        log_of("empty_box", "clipped_box", "doctype", "empty_box").refuse_errors(FOLDER)
    assert str(caught.value) == (
        "The data set has 3 faults; nothing was written.\n"
        f"        1 doctype    {FAULTS['doctype'].meaning}\n"
        f"        2 empty_box  {FAULTS['empty_box'].meaning}\n"
        "  0.xml:0: message 0\n"
        "  2.xml:2: message 2\n"
        "  3.xml:3: message 3\n"
        "  where:  data\n"
        f"  remedy: doctype: {FAULTS['doctype'].remedy}\n"
        f"          empty_box: {FAULTS['empty_box'].remedy}"
    )
    assert caught.value.exit_status == 2


def test_twenty_examples_are_told_and_a_rare_fault_is_among_them():
    log = log_of(*["empty_box"] * 500, "inverted_box")
    with pytest.raises(InputError) as caught:
        log.refuse_errors(FOLDER)
    lines = str(caught.value).splitlines()
    assert len([line for line in lines if ": message" in line]) == 20
    assert "  500.xml:500: message 500" in lines
    assert "  and 481 more" in lines


def test_a_message_is_told_once_before_it_is_repeated():
    log = ProblemLog()
    for number in range(60):
        log.add("unknown_class", Path(f"{number}.xml"), "the class 'a'" if number < 50 else f"the class {number}")
    told = log.examples(Policy.ERROR, most=12)
    assert [problem.file.stem for problem in told] == ["0", "1", *map(str, range(50, 60))]


def test_a_problem_without_a_line_names_the_file_alone():
    assert str(Problem("doctype", Path("a.xml"), None, "is bad")) == "a.xml: is bad"


def test_signs_that_do_not_print_are_shown_by_number():
    problem = Problem("doctype", Path("a\nb\udcff.xml"), 3, "the class '\x1b[31mä 猫'")
    assert str(problem) == "a\\nb\\udcff.xml:3: the class '\\x1b[31mä 猫'"


def test_counts_are_sorted_and_of_the_policies_asked_for():
    log = log_of("near_duplicate", "empty_box", "clipped_box", "clipped_box")
    assert list(log.counts(Policy.FIX, Policy.WARN).items()) == [("clipped_box", 2), ("near_duplicate", 1)]
