"""What a launcher is given to run: the overrides of trials, known beforehand or asked for one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Jobs:
    """The overrides of trials by their numbers: all of `known`, then those of `later`, each when it has a place.

    At most `at_a_time` run at a time, as many as the launcher can if it is `None`. `shared` are overrides that all
    trials have; without them they are found out from the known ones.
    """

    known: Mapping[int, Sequence[str]]
    later: Iterator[tuple[int, Sequence[str]]] = field(default_factory=lambda: iter(()))
    at_a_time: int | None = None
    shared: Collection[str] = ()

    @property
    def common(self) -> set[str]:
        """The overrides of every trial, which need not be shown with each."""
        if self.shared or len(self.known) < 2:
            return set(self.shared)
        return set.intersection(*map(set, self.known.values()))
