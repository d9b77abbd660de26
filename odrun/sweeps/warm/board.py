"""The trials on the terminal: a table that is rewritten where there is one, a line for each event elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from odrun.sweeps.warm.hooks import Progress
from odrun.sweeps.warm.trials import Trial

ROWS_MAX = 16
_COLOURS = {"running": "cyan", "completed": "green", "failed": "red", "interrupted": "yellow", "pending": "dim"}


class Board:
    """Shows trials on `stream`; a context, within which `show` is called now and then.

    A trial is named by its overrides but for `common`, those that all trials have.
    """

    def __init__(self, stream: TextIO, *, common: Collection[str] = (), clock: Callable[[], float] = time.time) -> None:
        self._common = common
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._clock = clock
        self._live: Live | None = None

    def __enter__(self) -> Board:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def started(self, trial: Trial) -> None:
        """A trial has a process; a table shows that by itself."""
        if self._live is None:
            self.say(f"trial {trial.number} started: {self._name(trial)}")

    def ended(self, trial: Trial, progress: Progress) -> None:
        """A trial has ended: how, after how long, with what."""
        facts = [f"trial {trial.number} {trial.status}"]
        if trial.started is not None and trial.ended is not None:
            facts[0] += f" after {duration(trial.ended - trial.started)}"
        self.say(f"{', '.join([*facts, *_reached(progress)])}: {self._name(trial)}")
        if trial.reason is not None:
            for line in trial.reason.splitlines():
                self.say(f"  {line}")
        if trial.status == "failed":
            self.say(f"  what it printed: {trial.log}")

    def show(self, trials: Sequence[Trial], progress: Mapping[int, Progress]) -> None:
        """Rewrite the table, where there is one."""
        if self._live is not None:
            self._live.update(Group(self._table(trials, progress), _counts(trials)), refresh=True)

    def _table(self, trials: Sequence[Trial], progress: Mapping[int, Progress]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("trial", "overrides", "state", "step", "metric", "time left"):
            table.add_column(name, no_wrap=name != "overrides")
        for trial in _chosen(trials):
            at = progress.get(trial.number, Progress())
            steps = "" if at.step is None else f"{at.step}" if at.steps is None else f"{at.step}/{at.steps}"
            metric = "" if at.value is None else f"{at.metric} {at.value:.4g}"
            state = Text(trial.status, style=_COLOURS[trial.status])
            table.add_row(str(trial.number), Text(self._name(trial)), state, steps, metric, self._left(trial, at))
        return table

    def _name(self, trial: Trial) -> str:
        return " ".join(text for text in trial.overrides if text not in self._common) or "no overrides"

    def _left(self, trial: Trial, at: Progress) -> str:
        if trial.status != "running" or trial.started is None or not at.step or at.steps is None:
            return ""
        return duration((self._clock() - trial.started) / at.step * max(0, at.steps - at.step))


def duration(seconds: float) -> str:
    """Seconds as people say them: `8 s`, `3:05 min`, `2:03:05 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02} h"


def _reached(progress: Progress) -> list[str]:
    parts = []
    if progress.step is not None:
        of = "" if progress.steps in (None, progress.step) else f" of {progress.steps}"
        parts.append(f"step {progress.step}{of}")
    if progress.value is not None:
        parts.append(f"{progress.metric} {progress.value:.4g}")
    return parts


def _chosen(trials: Sequence[Trial]) -> list[Trial]:
    """At most `ROWS_MAX`: those that run, then the next and the last ones, in the order of their numbers."""
    running = [trial for trial in trials if trial.status == "running"]
    waiting = [trial for trial in trials if trial.status == "pending"]
    ended = [trial for trial in trials if trial.has_ended]
    room = max(0, ROWS_MAX - len(running))
    shown = [*running, *waiting[: max(room // 2, room - len(ended))]]
    shown += ended[max(0, len(ended) - max(0, ROWS_MAX - len(shown))) :]
    return sorted(shown, key=lambda trial: trial.number)


def _counts(trials: Sequence[Trial]) -> Text:
    counts: Counter[str] = Counter(trial.status for trial in trials)
    return Text(", ".join(f"{counts[status]} {status}" for status in _COLOURS if counts[status]))
