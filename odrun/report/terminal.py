"""What a run shows on the terminal: a line per fact, a progress bar per loop, a closing table.

On a terminal with colours the bars move; elsewhere (a file, a pipe, `NO_COLOR`, `TERM=dumb`) they become plain lines,
one each 10 % or 30 seconds. Paths are never cut, so that they can be copied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from odrun.report.closing import Closing
from odrun.report.pace import Pace, duration

LOSS = "train/loss/total"
LEARNING_RATE = "train/learning_rate"
IMAGES_PER_S = "train/images_per_s"

_PLAIN_SHARE = 0.1
_PLAIN_INTERVAL_S = 30.0
_STAGE_WIDTH = 10
_TABLE_WIDTH = 140
_CELL_GAP = 2


class Terminal:
    """Writes to `stream`; `clock` gives seconds and is there for tests."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = _StreamConsole(
            file=stream, force_terminal=stream.isatty(), force_jupyter=False, highlight=False, markup=False, emoji=False
        )
        self._clock = clock

    @property
    def moves(self) -> bool:
        """Whether progress is shown by a moving bar."""
        return self._console.color_system is not None and not self._console.no_color

    def stage(self, name: str, fact: str) -> None:
        """One line on a stage of the run: its name, then what there is to say."""
        self._print(Text.assemble((f"{name:<{_STAGE_WIDTH}} ", "bold cyan"), fact))

    def fact(self, text: str) -> None:
        """One line that belongs to the stage before it."""
        self._print(Text(" " * (_STAGE_WIDTH + 1) + text))

    def warning(self, text: str) -> None:
        """One line that should be read."""
        self._print(Text.assemble((f"{'warning':<{_STAGE_WIDTH}} ", "bold yellow"), text))

    @contextmanager
    def training(self, steps: int, *, first_step: int = 1) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
        """Show the progress of training; yields what to call after each step, with its number and logged metrics.

        Loss, learning rate and images/s are taken from the metrics under `LOSS`, `LEARNING_RATE` and `IMAGES_PER_S`
        where they are in it, and stay as they are at other steps. `first_step` is above 1 after a resume.
        """
        values: dict[str, float] = {}
        with self._bar("training", total=steps, done=first_step - 1, unit="step") as show:

            def after_step(step: int, metrics: Mapping[str, float]) -> None:
                values.update(metrics)
                show(step, _training_facts(values))

            yield after_step

    @contextmanager
    def progress(self, name: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show the progress of a loop over `total` things; yields what to call with the number done so far."""
        with self._bar(name, total=total, done=0, unit=unit) as show:
            yield lambda done: show(done, "")

    @contextmanager
    def loops(self) -> Iterator[Callable[[str, int, int, str], None]]:
        """Like `progress`, for loops of which name and length are known once they run, one after the other.

        Yields what to call with (name, done, total, unit); another name begins another bar.
        """
        shows: dict[str, Callable[[int, str], None]] = {}
        with ExitStack() as bar:

            def count(name: str, done: int, total: int, unit: str) -> None:
                if name not in shows:
                    bar.close()
                    shows.clear()
                    shows[name] = bar.enter_context(self._bar(name, total=total, done=0, unit=unit))
                shows[name](done, "")

            yield count

    def table(self, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under a heading; cells are folded to the terminal's width, never cut. Nothing without rows.

        On a terminal that is narrow, and too narrow for them, each row is a block of lines instead.
        """
        if not rows:
            return
        needed = sum(max(map(len, column)) + _CELL_GAP for column in zip(heading, *rows, strict=True))
        if self._console.width < min(needed, _TABLE_WIDTH):
            for first, *others in rows:
                self.fact(f"{heading[0]} {first}")
                self.fact("  " + ", ".join(f"{name} {cell}" for name, cell in zip(heading[1:], others, strict=True)))
            return
        from rich.table import Table

        table = Table(box=None, padding=(0, _CELL_GAP, 0, 0), header_style="bold")
        for name in heading:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        self._console.print(table)

    def closing(self, closing: Closing) -> None:
        """Print the closing table."""
        self._print(Text())
        for line in closing.lines():
            self._print(Text(line.text, style="bold" if line.is_heading else ""))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    @contextmanager
    def _bar(self, name: str, *, total: int, done: int, unit: str) -> Iterator[Callable[[int, str], None]]:
        pace = Pace(total, done, clock=self._clock)
        if self.moves:
            with self._moving_bar(name, pace, unit) as show:
                yield show
        else:
            yield self._plain_lines(name, pace, unit)

    @contextmanager
    def _moving_bar(self, name: str, pace: Pace, unit: str) -> Iterator[Callable[[int, str], None]]:
        # What moves takes a while to be imported, and most loops find their work done.
        from odrun.report.bars import moving_bar

        description = f"{name:<{_STAGE_WIDTH}}"
        with moving_bar(self._console, description, total=pace.total, done=pace.done) as move:

            def show(done: int, facts: str) -> None:
                pace.reach(done)
                move(done, _joined(f"{unit} {done}/{pace.total}", facts, pace.left()))

            yield show
        if pace.done:
            self.stage(name, f"{pace.done} of {pace.total} {unit}s in {duration(pace.elapsed())}")

    def _plain_lines(self, name: str, pace: Pace, unit: str) -> Callable[[int, str], None]:
        shown_share, shown_at = pace.share, self._clock()

        def show(done: int, facts: str) -> None:
            nonlocal shown_share, shown_at
            is_first = pace.reach(done)
            further = pace.share - shown_share >= _PLAIN_SHARE - 1e-9
            late = self._clock() - shown_at >= _PLAIN_INTERVAL_S
            if is_first or further or late or done == pace.total:
                shown_share, shown_at = pace.share, self._clock()
                self.stage(name, _joined(f"{unit} {done}/{pace.total}", facts, pace.left()))

        return show


class _StreamConsole(Console):
    """A console as wide as its stream's terminal; rich asks descriptors 0 to 2, which may be elsewhere."""

    @property
    def size(self) -> ConsoleDimensions:
        try:
            columns, lines = os.get_terminal_size(self.file.fileno())
        except (OSError, ValueError):
            return super().size
        return ConsoleDimensions(columns or 80, lines or 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


def _training_facts(values: Mapping[str, float]) -> str:
    formats = {LOSS: "loss {:.3g}", LEARNING_RATE: "lr {:.2g}", IMAGES_PER_S: "{:.0f} images/s"}
    return "  ".join(form.format(values[key]) for key, form in formats.items() if key in values)


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
