"""How far a loop has come and how long it will still take."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """A loop over `total` things that starts with `done` of them; `clock` gives seconds."""

    def __init__(self, total: int, done: int, *, clock: Callable[[], float]) -> None:
        self.total = total
        self.done = done
        self._clock = clock
        self._started = clock()
        self._first: tuple[int, float] | None = None

    @property
    def share(self) -> float:
        """The part that is done, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    def reach(self, done: int) -> bool:
        """Note that `done` things are done; whether this is the first time something is."""
        self.done = done
        if self._first is not None:
            return False
        self._first = (done, self._clock())
        return True

    def elapsed(self) -> float:
        """Seconds since the loop began."""
        return self._clock() - self._started

    def left(self) -> str:
        """The time left, in words; empty while unknown and at the end.

        The first thing is left out of the speed: it often pays for tracing or for a cache.
        """
        if self._first is None or self.done >= self.total:
            return ""
        first_done, first_at = self._first
        if self.done <= first_done:
            return ""
        seconds_each = (self._clock() - first_at) / (self.done - first_done)
        return f"{duration(seconds_each * (self.total - self.done))} left"


def duration(seconds: float) -> str:
    """Seconds as `8 s`, `4:12` (minutes) or `1:04:12` (hours)."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
