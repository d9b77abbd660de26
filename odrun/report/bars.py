"""A progress bar that moves, with a text beside it; for a terminal that has colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text


@contextmanager
def moving_bar(console: Console, description: str, *, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """Show a bar until this is left, and then nothing of it; yields what to call with the number done and the text."""
    progress = Progress(
        _Description(table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None),
        _Facts(table_column=Column(no_wrap=True)),
        console=console,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
        expand=True,
    )
    with progress:
        task = progress.add_task(description, total=total, completed=done, facts="")
        yield lambda done, facts: progress.update(task, completed=done, facts=facts)


class _Description(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.description, style="bold cyan")


class _Facts(ProgressColumn):
    """The text beside the bar; it takes the room it needs, the bar what is left."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["facts"])
