"""SIGINT and SIGTERM while trials run: noted, so that what follows is in order."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM)


class SweepStoppedError(KeyboardInterrupt):
    """A signal stopped the sweep, after its running trials had ended, or at once when it came twice."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class Signals:
    """Within it SIGINT and SIGTERM are only noted, in `noted`; outside of the main thread nothing is done."""

    def __init__(self, noted: list[int]) -> None:
        self._noted = noted
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPS:
                before = signal.getsignal(number)
                if before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._noted.append(number)
