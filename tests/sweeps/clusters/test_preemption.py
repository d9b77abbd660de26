from __future__ import annotations

import os
import signal

import pytest

from odrun.runs.signals import StopRequests
from odrun.sweeps.clusters.preemption import WARNING, Preemption


def test_a_loop_is_asked_to_stop_by_the_warning_as_by_sigterm() -> None:
    with Preemption() as preemption, StopRequests() as stop:
        os.kill(os.getpid(), WARNING)
        assert stop.requested == signal.SIGTERM
        os.kill(os.getpid(), WARNING)
    assert preemption.is_warned


@pytest.mark.parametrize("number", [signal.SIGTERM, WARNING])
def test_without_a_loop_the_trial_is_interrupted_once(number: int) -> None:
    with Preemption() as preemption:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert preemption.is_warned is (number == WARNING)


def test_sigterm_then_the_warning_is_a_warning() -> None:
    with Preemption() as preemption, StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), WARNING)
        assert stop.requested == signal.SIGTERM
    assert preemption.is_warned


def test_what_answered_before_answers_again() -> None:
    heard: list[int] = []
    before = signal.signal(WARNING, lambda number, _: heard.append(number))
    try:
        with Preemption() as preemption:
            pass
        os.kill(os.getpid(), WARNING)
        assert heard == [WARNING]
        preemption.answer_before(WARNING, None)
        assert heard == [WARNING, WARNING]
    finally:
        signal.signal(WARNING, before)
