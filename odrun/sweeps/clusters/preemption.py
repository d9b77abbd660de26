"""The signals by which a cluster takes a machine back: they make a trial save and end in order.

SIGTERM: the trial is to end. SIGUSR2: submitit's warning, before the time is over or the machine is taken.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

WARNING = getattr(signal, "SIGUSR2", signal.SIGTERM)


class Preemption:
    """Within it either signal ends the trial: its training loop in order where one runs, else by `KeyboardInterrupt`.

    `is_warned`: it is to be queued again. `answer_before` is what answered the warning before. To be entered in the
    main thread.
    """

    def __init__(self) -> None:
        self.is_warned = False
        self.answer_before: Any = None
        self._before: dict[int, Any] = {}
        self._is_ending = False

    def __enter__(self) -> Preemption:
        for number in {signal.SIGTERM, WARNING}:
            self._before[number] = signal.signal(number, self._note)
        self.answer_before = self._before[WARNING]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_warned = self.is_warned or number == WARNING
        loop = signal.getsignal(signal.SIGTERM)
        if loop != self._note and callable(loop):
            loop(signal.SIGTERM, frame)
        elif not self._is_ending:
            self._is_ending = True
            raise KeyboardInterrupt
