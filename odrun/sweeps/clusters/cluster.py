"""What a cluster is to the launchers: who takes errands, says which have ended, and stops them."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from odrun.sweeps.clusters.errand import Errand


class Cluster(Protocol):
    """Runs errands, each in a process of its own; a context, at whose end nothing more is to be asked."""

    @property
    def poll_s(self) -> float:
        """How often it bears to be asked."""

    def __enter__(self) -> Cluster:
        """Connect to it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let go of it."""

    def submit(self, errands: Mapping[int, Errand]) -> None:
        """Have the errands run, named by their numbers; `RunFailedError` if they are not taken."""

    def ended(self, *, now: bool) -> list[int]:
        """The numbers of those that have ended since it was last asked; with `now`, whatever asking costs."""

    def fault(self, number: int) -> BaseException | str:
        """Why an errand that has ended left no result."""

    def stop(self, number: int) -> None:
        """Have an errand save and end, or never begin."""
