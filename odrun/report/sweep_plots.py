"""The plots of a sweep, as PNG files written whole; what cannot be seen in these trials is not written.

parameters.png     the objective against each parameter, with the median of each value where there are few
parallel.png       all parameters and the objective as parallel coordinates, a line per trial
curves.png         the objective over the steps of every trial, the best one thick
time.png           the objective against the time that a trial took, with the Pareto front
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from odrun.report.figures import BLUE, ORANGE, VERMILION, literal, new_figure, plain, save
from odrun.report.parameter_axes import FEW_VALUES, LOG_FROM, ParameterAxis, cut, short_keys, shown_value

_PANELS_PER_ROW = 3
_NAMED_CURVES = 10
_NAMED_POINTS = 30
_GREY = "#AAAAAA"
_BRIGHTEST = 0.9
"""The part of the colour map that is legible on white."""
_TICKS_APART, _LABELS_APART = 0.12, 0.05
_TICK_CHARACTERS, _LABEL_CHARACTERS, _LEGEND_CHARACTERS = 32, 22, 60


@dataclass(frozen=True)
class TrialPoint:
    """What the plots need of a trial: its parameters as text, its objective, its seconds, the objective's curve."""

    number: int
    parameters: Mapping[str, str]
    metric: float | None
    seconds: float | None
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Judged:
    """A trial that has a value of the objective."""

    trial: TrialPoint
    value: float
    share: float
    """Where the value lies between the lowest, 0, and the highest, 1."""

    def text(self, name: str) -> str:
        return self.trial.parameters.get(name, "")


def write_sweep_plots(
    trials: Sequence[TrialPoint], folder: Path, *, title: str, objective: str, higher_is_better: bool
) -> tuple[Path, ...]:
    """Write what can be plotted of these trials; the files written."""
    judged = _judged(trials, higher_is_better)
    names = tuple(dict.fromkeys(name for trial in trials for name in trial.parameters))
    figures = {
        "parameters.png": _parameters(judged, names, objective),
        "parallel.png": _parallel(judged, names, objective),
        "curves.png": _curves(trials, judged, names, objective),
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


def _judged(trials: Sequence[TrialPoint], higher_is_better: bool) -> list[_Judged]:
    """The trials that have a value, from the worst to the best; of equal ones the first is the best."""
    pairs = [(trial, trial.metric) for trial in trials if trial.metric is not None]
    values = [value for _, value in pairs]
    spread = max(values, default=0.0) - min(values, default=0.0)
    judged = [_Judged(trial, value, (value - min(values)) / spread if spread else 0.5) for trial, value in pairs]
    sign = 1.0 if higher_is_better else -1.0
    return sorted(judged, key=lambda each: (sign * each.value, -each.trial.number))


def _in_order(judged: Sequence[_Judged]) -> list[_Judged]:
    """By the numbers of the trials, so that names stand as they were given."""
    return sorted(judged, key=lambda each: each.trial.number)


def _parameters(judged: Sequence[_Judged], names: Sequence[str], objective: str) -> Figure | None:
    if not judged or not names:
        return None
    columns = min(len(names), _PANELS_PER_ROW)
    rows = -(-len(names) // columns)
    figure = new_figure(width_in=1.2 + 3.4 * columns, height_in=0.6 + 3.0 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axes, name, key in zip(panels, names, short_keys(names), strict=False):
        _against(axes, [(each.text(name), each.value) for each in _in_order(judged)])
        axes.set_xlabel(literal(cut(key, _TICK_CHARACTERS)))
        plain(axes, "y")
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.supylabel(literal(objective))
    return figure


def _against(axes: Axes, points: Sequence[tuple[str, float]]) -> None:
    """Values over a parameter; where it has few values, their medians and a line through them."""
    axis = ParameterAxis.of([text for text, _ in points])
    axes.scatter([axis.places[text] for text, _ in points], [value for _, value in points], color=BLUE, s=26, zorder=3)
    values_at: dict[float, list[float]] = {}
    for text, value in points:
        values_at.setdefault(axis.places[text], []).append(value)
    medians = {place: statistics.median(values_at[place]) for place in sorted(values_at)}
    if not axis.is_numeric:
        axes.scatter(list(medians), list(medians.values()), marker="_", s=400, color=ORANGE, zorder=2)
        _name_places(axes, axis)
        return
    if axis.is_log:
        axes.set_xscale("log")
    elif all(place.is_integer() for place in medians):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(medians) <= FEW_VALUES:
        axes.plot(list(medians), list(medians.values()), color=ORANGE, linewidth=1.5)
        marked = axis.marked(apart=_TICKS_APART)
        axes.set_xticks([axis.places[text] for text in marked], [shown_value(text) for text in marked])
        axes.xaxis.set_minor_locator(NullLocator())


def _name_places(axes: Axes, axis: ParameterAxis) -> None:
    labels = [literal(cut(text, _TICK_CHARACTERS)) for text in axis.places]
    turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(labels)), labels, **(turned if max(map(len, labels)) > 8 else {}))
    axes.set_xlim(-0.5, len(labels) - 0.5)


def _parallel(judged: Sequence[_Judged], names: Sequence[str], objective: str) -> Figure | None:
    """Every axis from 0 to 1, its ends written beside it; the colour is the objective."""
    if len(names) < 2 or len(judged) < 2:
        return None
    figure = new_figure(width_in=2.0 + 1.8 * (len(names) + 1), height_in=4.5)
    axes = figure.subplots()
    scales = [ParameterAxis.of([each.text(name) for each in _in_order(judged)]) for name in names]
    heights = [scale.heights for scale in scales]
    for each in judged:
        line = [height[each.text(name)] for name, height in zip(names, heights, strict=True)]
        width = 3.0 if each is judged[-1] else 1.2
        axes.plot(range(len(names) + 1), [*line, each.share], color=_colour(each), linewidth=width)
    for place, (scale, height) in enumerate(zip(scales, heights, strict=True)):
        for text in scale.marked(apart=_LABELS_APART):
            _label(axes, literal(cut(shown_value(text), _LABEL_CHARACTERS)), place, height[text])
    for each in (judged[0], judged[-1]):
        _label(axes, f"{each.value:.3g}", len(names), each.share)
    keys = [*(cut(key, _LABEL_CHARACTERS) for key in short_keys(names)), objective]
    axes.set_xticks(range(len(keys)), [literal(key) for key in keys])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(names) + 0.4)
    axes.set_ylim(-0.05, 1.08)
    axes.grid(visible=True, axis="x", color="#888888")
    axes.spines[:].set_visible(False)
    return figure


def _label(axes: Axes, text: str, place: float, height: float) -> None:
    """A value beside its axis, legible across lines."""
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    axes.annotate(text, (place, height), xytext=(4, 3), textcoords="offset points", fontsize=8, bbox=behind, zorder=4)


def _colour(each: _Judged) -> Any:
    return colormaps["viridis"](each.share * _BRIGHTEST)


def _curves(
    trials: Sequence[TrialPoint], judged: Sequence[_Judged], names: Sequence[str], objective: str
) -> Figure | None:
    """Coloured by the value that came of it; of many trials only the best is named."""
    unjudged = [trial for trial in trials if trial.metric is None and trial.curve]
    drawn = [*((trial, _GREY) for trial in unjudged), *((each.trial, _colour(each)) for each in judged)]
    drawn = [(trial, colour) for trial, colour in drawn if trial.curve]
    if not drawn:
        return None
    figure = new_figure(width_in=8.0, height_in=4.8)
    axes = figure.subplots()
    is_few = len(drawn) <= _NAMED_CURVES
    best = judged[-1].trial if judged else None
    for trial, colour in drawn:
        steps, values = zip(*trial.curve, strict=True)
        curve: dict[str, Any] = {"linewidth": 3.0 if trial is best else 1.2, "zorder": 3 if trial is best else 2}
        if is_few:
            curve |= {"marker": "o", "markersize": 3}
        if is_few or trial is best:
            named = " ".join([str(trial.number), *(shown_value(trial.parameters.get(name, "-")) for name in names)])
            curve |= {"label": literal(cut(named, _LEGEND_CHARACTERS))}
        axes.plot(steps, values, color=colour, **curve)
    axes.set_xlabel("training step")
    axes.set_xlim(left=0.0)
    axes.set_ylabel(literal(objective))
    lines, labels = axes.get_legend_handles_labels()
    if lines:
        title = " ".join(["trial", *short_keys(names)])
        axes.legend(
            lines[::-1],
            labels[::-1],
            title=literal(cut(title, _LEGEND_CHARACTERS)),
            frameon=False,
            fontsize=8,
            title_fontsize=8,
            alignment="left",
        )
    plain(axes, "y")
    return figure


def _time(judged: Sequence[_Judged], objective: str, higher_is_better: bool) -> Figure | None:
    points = [(each.trial.seconds, each.value, each.trial.number) for each in judged if each.trial.seconds is not None]
    if len(points) < 2:
        return None
    figure = new_figure(width_in=6.5, height_in=4.5)
    axes = figure.subplots()
    front = pareto_front([(seconds, value) for seconds, value, _ in points], higher_is_better=higher_is_better)
    axes.plot(*zip(*front, strict=True), color=VERMILION, linewidth=1.5, marker="o", label="Pareto front", zorder=3)
    axes.scatter([seconds for seconds, _, _ in points], [value for _, value, _ in points], color=BLUE, s=24, zorder=2)
    for seconds, value, number in points:
        if len(points) <= _NAMED_POINTS or (seconds, value) in front:
            axes.annotate(str(number), (seconds, value), xytext=(4, 3), textcoords="offset points", fontsize=8)
    shortest = min(seconds for seconds, _, _ in points)
    if shortest > 0 and max(seconds for seconds, _, _ in points) / shortest >= LOG_FROM:
        axes.set_xscale("log")
    axes.set_xlabel("seconds of the trial")
    axes.set_ylabel(literal(objective))
    axes.legend(frameon=False, fontsize=9)
    plain(axes, "both")
    return figure
