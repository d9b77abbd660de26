"""Signals that ask a run to stop: noted, so that the loop can save first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequests:
    """Within this context the first SIGINT or SIGTERM sets `requested`; a SIGINT after it raises `KeyboardInterrupt`.

    `on_request` is called with the signal's number, once, between two instructions of the main thread. A signal that
    was ignored before (as under `nohup`) stays ignored. Outside of the main thread nothing is installed.
    """

    def __init__(self, on_request: Callable[[int], None] | None = None) -> None:
        self.requested: int | None = None
        self._on_request = on_request
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                before = signal.getsignal(number)
                if before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested is None:
            self.requested = number
            if self._on_request is not None:
                self._on_request(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
