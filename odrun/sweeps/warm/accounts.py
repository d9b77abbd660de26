"""What is known of the trials of a batch, and who is told each time that it changes: `trial.json`, hook and board."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from odrun.sweeps.warm.board import Board
from odrun.sweeps.warm.hooks import Hook, Progress
from odrun.sweeps.warm.trials import Trial


class Accounts:
    """The trials of the sweep in the folder `sweep` that a launcher runs now, by number; `earlier` ones are past.

    `is_here` says whether the trials' directories are made by this process; otherwise they may be absent.
    """

    def __init__(self, sweep: Path, earlier: Sequence[Trial], *, hook: Hook, board: Board, is_here: bool) -> None:
        self.trials: dict[int, Trial] = {}
        self.returned: dict[int, JobReturn] = {}
        self.hook = hook
        self.board = board
        self._sweep = sweep
        self._earlier = tuple(earlier)
        self._is_here = is_here
        self._progress: dict[int, Progress] = {}
        self._warned: set[str] = set()

    def change(self, number: int, **changes: Any) -> None:
        """Note what is new of a trial, and tell it."""
        trial = self.trials[number] = replace(self.trials[number], **changes)
        try:
            if self._is_here or trial.directory.is_dir():
                trial.write()
        except OSError as error:
            # The trials go on; what they wrote themselves is there.
            self.warn(f"the record of a trial cannot be written: {error.strerror}")
        self.tell()

    def end(self, number: int, returned: JobReturn, **changes: Any) -> None:
        """Note the end of a trial and what Hydra is told of it."""
        self.returned[number] = returned
        self._progress[number] = self.hook.progress(self.trials[number].directory)
        self.change(number, ended=time.time(), **changes)
        self.board.ended(self.trials[number], self._progress[number])

    def look(self, running: Collection[int]) -> None:
        """See how far these trials are, and show it."""
        seen = {number: self.hook.progress(self.trials[number].directory) for number in running}
        if any(self._progress.get(number) != progress for number, progress in seen.items()):
            self._progress.update(seen)
            self.tell()
        else:
            self.board.show(self._everything(), self._progress)

    def tell(self) -> None:
        """Tell all trials as they are."""
        try:
            self.hook.changed(self._sweep, self._everything())
        except OSError as error:
            self.warn(f"the record of the sweep cannot be written: {error.strerror}")
        self.board.show(self._everything(), self._progress)

    def warn(self, fact: str) -> None:
        """Say it once."""
        if fact not in self._warned:
            self._warned.add(fact)
            self.board.say(fact)

    def _everything(self) -> list[Trial]:
        return [*self._earlier, *self.trials.values()]
