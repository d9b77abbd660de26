"""A first signal is a request, a second Ctrl-C is obeyed at once, and handlers are put back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from odrun.runs.signals import STOP_SIGNALS, StopRequests


def test_nothing_is_requested_without_a_signal() -> None:
    with StopRequests() as stop:
        assert stop.requested is None


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_is_noted_and_told_once(number: signal.Signals) -> None:
    told: list[int] = []
    with StopRequests(told.append) as stop:
        os.kill(os.getpid(), number)
        assert stop.requested == number
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, told) == (number, [number])


def test_a_second_interrupt_stops_at_once() -> None:
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def fail_within() -> None:
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested == signal.SIGTERM
        raise RuntimeError


def test_the_handlers_before_are_put_back_even_after_an_error() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with pytest.raises(RuntimeError):
        fail_within()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequests() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.requested is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_nothing_is_installed() -> None:
    seen: list[bool] = []

    def enter() -> None:
        before = signal.getsignal(signal.SIGINT)
        with StopRequests():
            seen.append(signal.getsignal(signal.SIGINT) == before)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [True]
