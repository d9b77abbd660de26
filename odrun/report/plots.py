"""The plots of a run, as PNG files written whole: losses and learning rate, AP over steps, AP of each class.

Comes in: rows of `metrics.jsonl`. A plot for which no row has a value is not written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from odrun.report.figures import (
    BLUE,
    GREEN,
    LOG_SCALE_FROM,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    literal,
    new_figure,
    plain,
    save,
)
from odrun.tracking.jsonl import MetricsRow

TOTAL_LOSS = "train/loss/total"
LEARNING_RATE = "train/learning_rate"

_LOSS_PREFIX = "train/loss/"
_PRECISIONS = {
    "eval/AP": "AP (mean of IoU 0.50 to 0.95)",
    "eval/AP50": "AP50 (IoU 0.50)",
    "eval/AP75": "AP75 (IoU 0.75)",
}
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)


def write_plots(
    rows: Sequence[MetricsRow], folder: Path, *, title: str, class_ap: Mapping[str, float | None] | None = None
) -> tuple[Path, ...]:
    """Write what can be plotted of `rows` and of the AP of each class, by name; the files written.

    `losses.png`, `average_precision.png` and `class_average_precision.png`; `title` stands above each.
    """
    figures = {
        "losses.png": _losses(rows, title),
        "average_precision.png": _average_precision(rows, title),
        "class_average_precision.png": _class_average_precision(class_ap or {}, title),
    }
    written = []
    for name, figure in figures.items():
        if figure is not None:
            written.append(save(figure, folder / name))
    return tuple(written)


def _losses(rows: Sequence[MetricsRow], title: str) -> Figure | None:
    """The total loss and its parts over steps, and the learning rate below on the same axis."""
    keys = sorted({key for row in rows for key in row if key.startswith(_LOSS_PREFIX) and key != TOTAL_LOSS})
    curves = {key: _curve(rows, key) for key in (TOTAL_LOSS, *keys)}
    curves = {key: curve for key, curve in curves.items() if curve[0]}
    if not curves:
        return None
    figure = new_figure(width_in=8.0, height_in=6.0)
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for index, (key, (steps, values)) in enumerate(curves.items()):
        colour = "black" if key == TOTAL_LOSS else _COLOURS[index % len(_COLOURS)]
        width = 2.0 if key == TOTAL_LOSS else 1.3
        losses.plot(steps, values, color=colour, linewidth=width, label=key.removeprefix(_LOSS_PREFIX))
    _scale_losses(losses, curves)
    losses.set_title(literal(title), loc="left", fontsize=11)
    losses.set_ylabel("loss")
    losses.legend(frameon=False, fontsize=9)
    rates.plot(*_curve(rows, LEARNING_RATE), color=_COLOURS[5], linewidth=1.5)
    rates.set_ylim(bottom=0.0)
    rates.set_ylabel("learning rate")
    _step_axis(rates)
    for axes in (losses, rates):
        plain(axes, "y")
    return figure


def _average_precision(rows: Sequence[MetricsRow], title: str) -> Figure | None:
    curves = {label: _curve(rows, key) for key, label in _PRECISIONS.items()}
    if not any(steps for steps, _ in curves.values()):
        return None
    figure = new_figure(width_in=8.0, height_in=4.5)
    axes = figure.subplots()
    for colour, (label, (steps, values)) in zip(_COLOURS, curves.items(), strict=False):
        axes.plot(
            steps, values, color=colour, linewidth=1.8, marker="o", markersize=4, label=_with_best(label, steps, values)
        )
    axes.set_ylim(0.0, 1.0)
    axes.set_title(literal(title), loc="left", fontsize=11)
    axes.set_ylabel("COCO average precision, validation")
    axes.legend(frameon=False, fontsize=9, loc="best")
    _step_axis(axes)
    plain(axes, "y")
    return figure


def _class_average_precision(class_ap: Mapping[str, float | None], title: str) -> Figure | None:
    """Bars, the best class on top; classes that no validation image holds (-1) are counted below."""
    known = {name: value for name, value in class_ap.items() if value is not None and value >= 0}
    if not known:
        return None
    names = sorted(known, key=lambda name: (known[name], name))
    figure = new_figure(width_in=8.0, height_in=1.6 + 0.28 * len(names))
    axes = figure.subplots()
    bars = axes.barh([literal(name) for name in names], [known[name] for name in names], color=_COLOURS[0], height=0.7)
    axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=9)
    axes.set_xlim(0.0, 1.08)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_title(literal(title), loc="left", fontsize=11)
    absent = len(class_ap) - len(known)
    note = f"\nclasses without an object in the validation images: {absent}" if absent else ""
    axes.set_xlabel(f"COCO AP of each class (mean of IoU 0.50 to 0.95), validation{note}")
    plain(axes, "x")
    axes.tick_params(axis="y", length=0)
    return figure


def _curve(rows: Sequence[MetricsRow], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of the rows that have the key; `null` is a gap."""
    points = [(row["step"], row[key]) for row in rows if key in row]
    steps = [step for step, _ in points if step is not None]
    return steps, [math.nan if value is None else value for _, value in points]


def _scale_losses(axes: Axes, curves: Mapping[str, tuple[list[float], list[float]]]) -> None:
    """From zero up, unless the total loss spans so much that only a logarithmic axis shows its end."""
    values = [value for value in curves[TOTAL_LOSS][1] if value > 0] if TOTAL_LOSS in curves else []
    if values and max(values) / min(values) > LOG_SCALE_FROM:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)


def _with_best(label: str, steps: Sequence[float], values: Sequence[float]) -> str:
    """The label with the highest value and the first step that has it."""
    points = [(value, -step) for step, value in zip(steps, values, strict=True) if value >= 0]
    if not points:
        return label
    value, negative_step = max(points)
    return f"{label}, best {value:.3f} at step {-negative_step:.0f}"


def _step_axis(axes: Axes) -> None:
    axes.set_xlabel("training step")
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
