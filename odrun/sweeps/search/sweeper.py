"""`hydra/sweeper=search`: trials that Optuna asks for, each as soon as it has a place, until a budget is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from odrun.errors import InputError
from odrun.report.closing import override
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path
from odrun.runs.summary import PRUNING, Summary
from odrun.sweeps import record
from odrun.sweeps.search.settings import PLUGIN_MODULE, SearchSweeperConf, is_maximized
from odrun.sweeps.search.space import Choice, Dimension, Span, split
from odrun.sweeps.sweeper import GridSweeper
from odrun.sweeps.warm.jobs import Jobs

if TYPE_CHECKING:
    from odrun.sweeps.search.study import Study

_STEPS, _EVERY = "train.steps", "eval.every"


class SearchSweeper(GridSweeper):
    """Looks for the best settings; each trial is one of a sweep like any other."""

    __module__ = PLUGIN_MODULE

    def __init__(self, **settings: Any) -> None:
        plain: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(settings))  # type: ignore[assignment]
        self._settings = SearchSweeperConf(**plain)
        super().__init__(None, self._settings.params)

    def _results(self, arguments: Sequence[str], folder: Path, *, is_resumed: bool) -> dict[int, JobReturn]:
        """Ask, run, tell, until the budget is spent."""
        assert self.config is not None
        space, common = split(self._parsed(arguments))
        objectives = self._settings.objectives or [str(OmegaConf.select(self.config, "eval.metric"))]
        study = self._study(folder, space, objectives)
        before = {line.number: line for line in record.read_sweep(folder)[1]} if is_resumed else {}
        for number, asked in study.untold().items():
            before.setdefault(number, self._begun_line(number, [*common, *asked]))
        at_a_time = self._settings.n_jobs or int(OmegaConf.select(self.config, "hydra.launcher.n_jobs", default=1))
        later = self._asked(study, folder, objectives, common)
        lines = [before[number] for number in sorted(before)]
        if not self._is_recorded:
            returns = self._run(lines, folder)
            while batch := list(islice(later, at_a_time)):
                returns |= self._run([self._begun_line(*each) for each in batch], folder)
            return returns
        self._write_waiting(lines, folder)
        jobs = partial(Jobs, later=later, at_a_time=at_a_time, shared=common)
        try:
            return self._launched([line for line in lines if line.is_left], folder, jobs)
        finally:
            _tell(study, folder, objectives)

    def _study(self, folder: Path, space: dict[str, Dimension], objectives: Sequence[str]) -> Study:
        from odrun.sweeps.search.pruning import PruningRule
        from odrun.sweeps.search.study import Study

        assert self.config is not None
        every = OmegaConf.select(self.config, _EVERY)
        longest = max(_largest(space, _STEPS), int(OmegaConf.select(self.config, _STEPS) or 1))
        return Study(
            folder,
            space,
            sampler=self._settings.sampler,
            seed=self._settings.seed,
            objectives=objectives,
            maximized=[is_maximized(name) for name in objectives],
            pruning=PruningRule(self._settings.pruner, self._settings.warmup_steps, int(every or longest), longest),
        )

    def _asked(
        self, study: Study, folder: Path, objectives: Sequence[str], common: Sequence[str]
    ) -> Iterator[tuple[int, list[str]]]:
        """Trial after trial, asked for when it is taken, with all that has come of the others until then."""
        limits = [limit for limit in (self._settings.n_trials, study.limit) if limit is not None]
        allowed_s = (self._settings.minutes or float("inf")) * 60
        while True:
            _tell(study, folder, objectives)
            if study.spent_s >= allowed_s or study.count >= min(limits, default=float("inf")):
                return
            number, overrides = study.ask()
            yield number, [*common, *overrides]

    def _remedy_of_failed(self, folder: Path) -> str:
        resume = override("sweep.resume", shown_path(folder))
        return (
            "the search goes on elsewhere, and does not run them again; for more trials: the same command and "
            f"{resume} hydra.sweeper.n_trials=MORE"
        )


def _tell(study: Study, folder: Path, objectives: Sequence[str]) -> None:
    """Tell the study of the trials that have ended."""
    lines = {line.number: line for line in record.read_sweep(folder)[1]}
    for number in study.untold():
        line = lines.get(number)
        if line is not None and not line.is_left:
            summary = _summary(folder / line.dir)
            is_pruned = summary is not None and summary.stopped_by == PRUNING
            study.tell(number, _values(summary, objectives), is_pruned=is_pruned)


def _summary(directory: Path) -> Summary | None:
    try:
        return Summary.read(RunDirectory(directory).summary)
    except (InputError, OSError):
        return None


def _values(summary: Summary | None, objectives: Sequence[str]) -> list[float] | None:
    """The objectives of a trial that has ended; `None` if one is missing."""
    if summary is None or summary.status not in ("completed", "stopped_early"):
        return None
    found = {**(summary.metrics or {}), "total_s": summary.timings.total_s}
    if summary.exported is not None:
        found |= {"latency_ms": summary.exported.latency_ms, "size_mb": summary.exported.size_mb}
    if summary.best is not None:
        found.setdefault(summary.best.metric, summary.best.value)
    values = [found.get(name) for name in objectives]
    return None if None in values else [value for value in values if value is not None]


def _largest(space: dict[str, Dimension], key: str) -> int:
    """The largest value that is searched of a key, 0 if it is not searched."""
    dimension = space.get(key)
    if isinstance(dimension, Span):
        return int(dimension.high)
    return (
        max((int(text) for text in dimension.texts if text.isdigit()), default=0)
        if isinstance(dimension, Choice)
        else 0
    )
