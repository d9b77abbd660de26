"""The plots of a sweep, as PNG files written whole; what cannot be seen in these trials is not written.

parameters.png     the objective against each parameter, with the median of each value
parallel.png       all parameters and the objective as parallel coordinates, a line per trial
curves.png         the objective over the steps of every trial, the best one thick
time.png           the objective against the time that a trial took, with the Pareto front
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odrun.report.figures import BLUE, ORANGE, VERMILION, literal, new_figure, plain, save

_LOG_FROM = 10.0
"""The ratio of a parameter's largest value to its smallest from which its axis is logarithmic."""
_PANELS_PER_ROW = 3
_NAMED_CURVES = 10
_GREY = "#AAAAAA"


@dataclass(frozen=True)
class TrialPoint:
    """What the plots need of a trial: its parameters as text, its objective, its seconds, the objective's curve."""

    number: int
    parameters: Mapping[str, str]
    metric: float | None
    seconds: float | None
    curve: tuple[tuple[float, float], ...]


def write_sweep_plots(
    trials: Sequence[TrialPoint], folder: Path, *, title: str, objective: str, higher_is_better: bool
) -> tuple[Path, ...]:
    """Write what can be plotted of these trials; the files written."""
    judged = [trial for trial in trials if trial.metric is not None]
    names = tuple(dict.fromkeys(name for trial in trials for name in trial.parameters))
    best = _best(judged, higher_is_better)
    figures = {
        "parameters.png": _parameters(judged, names, objective),
        "parallel.png": _parallel(judged, names, objective, best),
        "curves.png": _curves(trials, objective, best),
        "time.png": _time(judged, objective, higher_is_better),
    }
    written = []
    for name, figure in figures.items():
        if figure is not None:
            figure.suptitle(literal(title), x=0.01, ha="left", fontsize=11)
            written.append(save(figure, folder / name))
    return tuple(written)


def pareto_front(points: Sequence[tuple[float, float]], *, higher_is_better: bool) -> list[tuple[float, float]]:
    """Of (cost, value) points those that no other one beats in both, by rising cost; a low cost is good."""
    front: list[tuple[float, float]] = []
    sign = 1.0 if higher_is_better else -1.0
    for cost, value in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * value > sign * front[-1][1]:
            front.append((cost, value))
    return front


def _best(judged: Sequence[TrialPoint], higher_is_better: bool) -> TrialPoint | None:
    if not judged:
        return None
    return (max if higher_is_better else min)(judged, key=lambda trial: trial.metric or 0.0)


def _parameters(judged: Sequence[TrialPoint], names: Sequence[str], objective: str) -> Figure | None:
    if not judged or not names:
        return None
    columns = min(len(names), _PANELS_PER_ROW)
    rows = -(-len(names) // columns)
    figure = new_figure(width_in=1.2 + 3.4 * columns, height_in=0.6 + 3.0 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for axes, name in zip(panels, names, strict=False):
        _against(axes, [(trial.parameters.get(name, ""), trial.metric or 0.0) for trial in judged])
        axes.set_xlabel(literal(name))
        plain(axes, "y")
    for axes in list(panels)[len(names) :]:
        axes.set_visible(False)
    figure.supylabel(literal(objective))
    return figure


def _against(axes: Axes, points: Sequence[tuple[str, float]]) -> None:
    """Values over a parameter, and the line through the medians."""
    places, labels, is_log = _places([text for text, _ in points])
    axes.scatter([places[text] for text, _ in points], [value for _, value in points], color=BLUE, s=26, zorder=3)
    medians = {
        places[text]: statistics.median(value for other, value in points if other == text) for text in dict(points)
    }
    if len(medians) > 1 and labels is None:
        axes.plot(sorted(medians), [medians[place] for place in sorted(medians)], color=ORANGE, linewidth=1.5)
    if is_log:
        axes.set_xscale("log")
    if labels is not None:
        turned = 30 if max(map(len, labels), default=0) > 8 else 0
        axes.set_xticks(range(len(labels)), [literal(label) for label in labels], rotation=turned)
        axes.scatter(list(medians), list(medians.values()), marker="_", s=400, color=ORANGE, zorder=2)
        axes.set_xlim(-0.5, len(labels) - 0.5)


def _places(texts: Sequence[str]) -> tuple[dict[str, float], list[str] | None, bool]:
    """Where each value stands on an axis; the names of the places if the values are no numbers; whether it is log."""
    try:
        places = {text: float(text) for text in texts}
    except ValueError:
        places = {}
    if not places or not all(map(math.isfinite, places.values())):
        names = list(dict.fromkeys(texts))
        return {name: float(place) for place, name in enumerate(names)}, names, False
    low, high = min(places.values()), max(places.values())
    return places, None, low > 0 and high / low >= _LOG_FROM


def _parallel(
    judged: Sequence[TrialPoint], names: Sequence[str], objective: str, best: TrialPoint | None
) -> Figure | None:
    """Every axis from 0 to 1, its ends written beside it; the colour is the objective."""
    if len(names) < 2 or len(judged) < 2:
        return None
    figure = new_figure(width_in=2.0 + 1.8 * (len(names) + 1), height_in=4.5)
    axes = figure.subplots()
    scales = [_scale([trial.parameters.get(name, "") for trial in judged]) for name in names]
    metrics = [trial.metric or 0.0 for trial in judged]
    low, high = min(metrics), max(metrics)
    for trial, metric in sorted(zip(judged, metrics, strict=True), key=lambda pair: pair[0] is best):
        share = 0.5 if high == low else (metric - low) / (high - low)
        heights = [scale[trial.parameters.get(name, "")] for name, scale in zip(names, scales, strict=True)]
        width = 3.0 if trial is best else 1.2
        axes.plot(range(len(names) + 1), [*heights, share], color=colormaps["viridis"](share * 0.9), linewidth=width)
    for place, scale in enumerate(scales):
        for text, height in scale.items():
            axes.annotate(literal(text), (place, height), xytext=(4, 2), textcoords="offset points", fontsize=8)
    for value, height in {low: 0.5 if low == high else 0.0, high: 0.5 if low == high else 1.0}.items():
        axes.annotate(f"{value:.3g}", (len(names), height), xytext=(4, 2), textcoords="offset points", fontsize=8)
    axes.set_xticks(range(len(names) + 1), [*map(literal, names), literal(objective)])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(names) + 0.4)
    axes.set_ylim(-0.05, 1.08)
    axes.grid(visible=True, axis="x", color="#888888")
    axes.spines[:].set_visible(False)
    return figure


def _scale(texts: Sequence[str]) -> dict[str, float]:
    """The height of each value, 0 to 1; numbers in proportion, or in that of their logarithms, other values evenly."""
    places, _, is_log = _places(texts)
    values = {text: math.log(place) if is_log else place for text, place in places.items()}
    low, high = min(values.values()), max(values.values())
    return {text: 0.5 if high == low else (value - low) / (high - low) for text, value in values.items()}


def _curves(trials: Sequence[TrialPoint], objective: str, best: TrialPoint | None) -> Figure | None:
    drawn = [trial for trial in trials if trial.curve]
    if not drawn:
        return None
    figure = new_figure(width_in=8.0, height_in=4.8)
    axes = figure.subplots()
    colours = colormaps["viridis"](np.linspace(0.0, 0.9, len(drawn)))
    for trial, colour in sorted(zip(drawn, colours, strict=True), key=lambda pair: pair[0] is best):
        steps, values = zip(*trial.curve, strict=True)
        width, zorder = (3.0, 3) if trial is best else (1.2, 2)
        named = len(drawn) <= _NAMED_CURVES or trial is best
        label = f"{trial.number} {' '.join(trial.parameters.values())}" if named else None
        axes.plot(
            steps,
            values,
            color=colour,
            linewidth=width,
            zorder=zorder,
            marker="o",
            markersize=3,
            label=None if label is None else literal(label),
        )
    axes.set_xlabel("training step")
    axes.set_xlim(left=0.0)
    axes.set_ylabel(literal(objective))
    axes.legend(frameon=False, fontsize=8, loc="best")
    plain(axes, "y")
    return figure


def _time(judged: Sequence[TrialPoint], objective: str, higher_is_better: bool) -> Figure | None:
    points = [(trial.seconds, trial.metric, trial.number) for trial in judged if trial.seconds is not None]
    if len(points) < 2:
        return None
    figure = new_figure(width_in=6.5, height_in=4.5)
    axes = figure.subplots()
    front = pareto_front([(seconds, metric or 0.0) for seconds, metric, _ in points], higher_is_better=higher_is_better)
    axes.plot(*zip(*front, strict=True), color=VERMILION, linewidth=1.5, marker="o", label="Pareto front", zorder=3)
    axes.scatter([each[0] for each in points], [each[1] or 0.0 for each in points], color=BLUE, s=24, zorder=2)
    for seconds, metric, number in points:
        axes.annotate(str(number), (seconds, metric or 0.0), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set_xlabel("seconds of the trial")
    axes.set_ylabel(literal(objective))
    axes.legend(frameon=False, fontsize=9)
    plain(axes, "both")
    return figure
