"""The closing table: what came out, where everything is, what to type next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from odrun.report.pace import duration
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path
from odrun.runs.summary import Summary
from odrun.settings import METRIC_KEYS

_BARE_VALUE = re.compile(r"[A-Za-z0-9_./:@%+-]+")
_NO_TEXT = re.compile(r"null|true|false|[+-]?(inf|nan|[0-9_.]+(e[+-]?[0-9_]+)?)", re.IGNORECASE)
_PER_ROW = 6


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    text: str
    is_heading: bool = False


@dataclass(frozen=True)
class Closing:
    """`metrics` are the COCO metrics, `places` and `commands` pairs of a few words and a path or a command line."""

    headline: str
    metrics: Mapping[str, float | None] | None
    places: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]

    def lines(self) -> tuple[Line, ...]:
        """The table, line by line; only a path or a command can be wider than 80 columns."""
        lines = [Line(self.headline, is_heading=True)]
        if self.metrics is not None:
            lines += [Line(""), *_metric_lines(self.metrics)]
        for heading, pairs in (("where", self.places), ("next", self.commands)):
            if pairs:
                width = max(len(name) for name, _ in pairs)
                lines += [Line(""), Line(heading, is_heading=True)]
                lines += [Line(f"  {name:<{width}}  {value}") for name, value in pairs]
        return tuple(lines)


def closing_of_run(run: RunDirectory, summary: Summary, *, source: str | None) -> Closing:
    """The closing table of a training; only files that are there are named. `source` is something to predict on."""
    places = (
        ("run", run.path),
        ("summary", run.summary),
        ("curves", run.metrics),
        ("plots", run.plots),
        ("pictures", run.predictions),
        ("best checkpoint", run.best),
        ("exported model", run.export),
        ("pipeline.config", run.pipeline_config),
        ("log", run.log),
    )
    commands = []
    if (run.export / "saved_model").is_dir():
        source_argument = override("source", source) if source else "source=DIR"
        commands.append(("detect", f"odrun predict {override('run', shown_path(run.path))} {source_argument}"))
    if run.tensorboard.is_dir():
        commands.append(("curves", f"tensorboard --logdir {shlex.quote(shown_path(run.tensorboard))}"))
    return Closing(
        headline=_headline(summary),
        metrics=summary.metrics,
        places=tuple((name, shown_path(path)) for name, path in places if path.exists()),
        commands=tuple(commands),
    )


def override(key: str, value: str) -> str:
    """`key=value` as it can be typed in a shell, quoted where Hydra's grammar or the shell asks for it."""
    if _BARE_VALUE.fullmatch(value) and not _NO_TEXT.fullmatch(value):
        return f"{key}={value}"
    escaped = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ("\\" + match[2] if match[2] else ""), value)
    return shlex.quote(f'{key}="{escaped}"')


def _headline(summary: Summary) -> str:
    words = {
        "completed": "done",
        "stopped_early": "stopped early",
        "interrupted": "interrupted",
        "failed": "failed",
    }
    parts = [f"{words[summary.status]}: {summary.steps} steps"]
    if summary.timings.total_s is not None:
        parts[0] += f" in {duration(summary.timings.total_s)}"
    if summary.best is not None and summary.best.value is not None:
        parts.append(f"best checkpoint at step {summary.best.step}, {summary.best.metric} {summary.best.value:.3f}")
    return "; ".join(parts)


def _metric_lines(metrics: Mapping[str, float | None]) -> list[Line]:
    """Rows of names and values; COCO's -1 (no such objects in the data) is a dash."""
    lines = []
    for start in range(0, len(METRIC_KEYS), _PER_ROW):
        keys = METRIC_KEYS[start : start + _PER_ROW]
        lines.append(Line("  " + "".join(f"{key:<11}" for key in keys).rstrip(), is_heading=True))
        lines.append(Line("  " + "".join(f"{_shown_metric(metrics[key]):<11}" for key in keys).rstrip()))
    return lines


def _shown_metric(value: float | None) -> str:
    return "-" if value is None or value < 0 else f"{value:.3f}"
