from __future__ import annotations

from pathlib import Path

import pytest

from odrun.annotations.problems import FAULTS, Policy, Problem, ProblemLog
from odrun.errors import InputError

FOLDER = Path("data")


def log_of(*faults: str) -> ProblemLog:
    log = ProblemLog()
    for number, fault in enumerate(faults):
        log.add(fault, Path(f"{number}.xml"), f"message {number}", line=number)
    return log


def test_the_issue_s_policies_are_kept():
    by_policy = {policy: {name for name, fault in FAULTS.items() if fault.policy is policy} for policy in Policy}
    assert by_policy[Policy.FIX] == {"clipped_box", "wrong_extension", "re_encoded_image"}
    assert "near_duplicate" in by_policy[Policy.WARN]
    assert {
        *("malformed_annotation", "doctype", "missing_image", "undecodable_image", "unknown_class", "empty_class"),
        *("inverted_box", "empty_box", "outside_box", "bad_number", "size_mismatch", "duplicate_image"),
    } <= by_policy[Policy.ERROR]


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
