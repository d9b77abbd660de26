from __future__ import annotations

import gc

from odrun.runs.collection import collection_paused, leave_uncollected, resume_collection


def test_collection_pauses_until_it_is_resumed_or_the_context_is_left() -> None:
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
        resume_collection()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    with collection_paused():
        pass
    assert gc.isenabled()


def test_a_collector_that_works_is_left_alone() -> None:
    resume_collection()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_left_uncollected_is_not_gone_through_again() -> None:
    try:
        leave_uncollected()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
