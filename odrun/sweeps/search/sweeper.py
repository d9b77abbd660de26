"""`hydra/sweeper=search`: trials that Optuna asks for, as many at a time as `n_jobs` says, until a budget is spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from odrun.errors import InputError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Summary
from odrun.sweeps import record
from odrun.sweeps.search.settings import PLUGIN_MODULE, SearchSweeperConf, is_maximized
from odrun.sweeps.search.space import split
from odrun.sweeps.sweeper import GridSweeper

if TYPE_CHECKING:
    from odrun.sweeps.search.study import Study


class SearchSweeper(GridSweeper):
    """Looks for the best settings; each trial is one of a sweep like any other."""

    __module__ = PLUGIN_MODULE

    def __init__(self, **settings: Any) -> None:
        plain: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(settings))  # type: ignore[assignment]
        self._settings = SearchSweeperConf(**plain)
        super().__init__(None, self._settings.params)

    def _results(self, arguments: Sequence[str], folder: Path, *, is_resumed: bool) -> dict[int, JobReturn]:
        """Ask, run, tell, until the budget is spent."""
        from odrun.sweeps.search.study import Study

        assert self.config is not None
        space, common = split(self._parsed(arguments))
        objectives = self._settings.objectives or [str(OmegaConf.select(self.config, "eval.metric"))]
        study = Study(
            folder,
            space,
            sampler=self._settings.sampler,
            seed=self._settings.seed,
            objectives=objectives,
            maximized=[is_maximized(name) for name in objectives],
        )
        lines = {line.number: line for line in record.read_sweep(folder)[1]} if is_resumed else {}
        at_a_time = self._settings.n_jobs or int(OmegaConf.select(self.config, "hydra.launcher.n_jobs", default=1))
        ended = time.monotonic() + (self._settings.minutes or float("inf")) * 60
        returns: dict[int, JobReturn] = {}
        untold = study.untold()
        while untold or (time.monotonic() < ended and study.count < self._limit(study)):
            asked = dict(list(untold.items())[:at_a_time])
            while len(asked) < at_a_time and study.count < self._limit(study):
                asked |= [study.ask()]
            batch = [lines.get(number) or self._begun_line(number, [*common, *new]) for number, new in asked.items()]
            returns |= self._run(batch, folder)
            lines = {line.number: line for line in record.read_sweep(folder)[1]}
            for number in asked:
                study.tell(number, _values(folder / lines[number].dir, objectives))
            untold = {number: text for number, text in untold.items() if number not in asked}
        return returns

    def _limit(self, study: Study) -> float:
        """How many trials there may be."""
        limits = [limit for limit in (self._settings.n_trials, study.limit) if limit is not None]
        return min(limits, default=float("inf"))


def _values(directory: Path, objectives: Sequence[str]) -> list[float] | None:
    """The objectives of a trial that has ended; `None` if one is missing."""
    try:
        summary = Summary.read(RunDirectory(directory).summary)
    except (InputError, OSError):
        return None
    if summary.status not in ("completed", "stopped_early"):
        return None
    found = {**(summary.metrics or {}), "total_s": summary.timings.total_s}
    if summary.exported is not None:
        found |= {"latency_ms": summary.exported.latency_ms, "size_mb": summary.exported.size_mb}
    if summary.best is not None:
        found.setdefault(summary.best.metric, summary.best.value)
    values = [found.get(name) for name in objectives]
    return None if None in values else [value for value in values if value is not None]
