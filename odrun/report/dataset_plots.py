"""The plots of a data set, as PNG files written whole: boxes of each class, shapes of boxes and of anchors.

Comes in: `BoxStatistics` and a model's anchors. The same input gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator

from odrun.annotations.model import SPLITS, TRAIN, VALIDATION
from odrun.pipeline.anchors import Anchors, Sizes, best_shape_iou, unreached
from odrun.records.manifest import BOXES_PLOT, CLASSES_PLOT
from odrun.records.statistics import BoxStatistics
from odrun.report.figures import BLUE, LOG_SCALE_FROM, ORANGE, VERMILION, new_figure, plain, save

_COLOUR_OF_PART = {TRAIN: BLUE, VALIDATION: ORANGE}
_MOST_CLASSES = 40
_LONGEST_NAME = 28
_MOST_POINTS = 3000
_CELLS = 64
_REACH_CELLS = 160
_SMALLEST_PX = 0.01
# Shows what anchors reach with an IoU of 0.5, and at least one power of two on each axis.
_MARGIN = 2.2


def write_dataset_plots(
    statistics: BoxStatistics, classes: Sequence[str], folder: Path, *, anchors: Anchors | None = None
) -> list[Path]:
    """Write `classes.png` and, where the training part has a box, `boxes.png`; the files written.

    `classes` stand in the order of their label ids. With `anchors` the boxes are shown as large as the model sees them
    (before augmentation), the anchors over them, and which share no anchor reaches; without, in pixels of their images.

    Raises:
        ValueError: a box has a class that is not among `classes`.
    """
    if not set(statistics.classes) <= set(classes):
        raise ValueError(f"classes without a label id: {sorted(set(statistics.classes) - set(classes))}")
    written = [save(_classes(statistics, classes), folder / CLASSES_PLOT)]
    return written + write_box_plot(statistics, folder, anchors=anchors)


def write_box_plot(statistics: BoxStatistics, folder: Path, *, anchors: Anchors | None = None) -> list[Path]:
    """Write `boxes.png` alone, as `write_dataset_plots` does."""
    if not statistics.boxes(TRAIN):
        return []
    return [save(_boxes(statistics, anchors), folder / BOXES_PLOT)]


def shown_name(name: str, label_id: int, has_letter: Callable[[str], bool]) -> str:
    """A class's name for a picture: cut where it is long; its label id where the font lacks a letter of it."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    if not all(has_letter(letter) for letter in printable):
        return f"class {label_id}"
    return printable if len(printable) <= _LONGEST_NAME else f"{printable[: _LONGEST_NAME - 3]}..."


def _classes(statistics: BoxStatistics, classes: Sequence[str]) -> Figure:
    """Two bars a class, the most frequent class on top, and what is rare in one row below."""
    counts = {part: statistics.boxes_of_classes(part) for part in SPLITS}
    totals = {name: sum(counts[part].get(name, 0) for part in SPLITS) for name in classes}
    order = sorted(classes, key=lambda name: -totals[name])
    label_ids = {name: label_id for label_id, name in enumerate(classes, start=1)}
    # One more class fits where a row of others would be.
    alone = _MOST_CLASSES if len(order) > _MOST_CLASSES + 1 else len(order)
    rows: list[tuple[str, tuple[str, ...]]] = [
        (shown_name(name, label_ids[name], _plot_has), (name,)) for name in order[:alone]
    ]
    if order[alone:]:
        rows.append((f"others ({len(order) - alone} classes)", tuple(order[alone:])))
    values = {part: [sum(counts[part].get(name, 0) for name in names) for _, names in rows] for part in SPLITS}

    figure = new_figure(width_in=8.0, height_in=1.8 + 0.36 * len(rows))
    axes = figure.subplots()
    left = _scale_counts(axes, [value for part in SPLITS for value in values[part]])
    for offset, part in zip((-0.2, 0.2), SPLITS, strict=True):
        places = [row + offset for row in range(len(rows))]
        label = f"{part} (boxes: {statistics.boxes(part)}, images: {statistics.images(part)})"
        axes.barh(places, values[part], height=0.36, color=_COLOUR_OF_PART[part], label=label)
        for place, value in zip(places, values[part], strict=True):
            axes.annotate(
                str(value), (max(left, value), place), (3, 0), textcoords="offset points", va="center", fontsize=7
            )
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    figure.suptitle("Boxes of each class", x=0.01, ha="left", fontsize=11)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    absent = {part: sum(not counts[part].get(name, 0) for name in classes) for part in SPLITS}
    notes = [f"classes without a {part} box: {absent[part]}" for part in SPLITS if absent[part]]
    axes.set_xlabel("\n".join(["boxes" if axes.get_xscale() == "linear" else "boxes, logarithmic", *notes]))
    plain(axes, "x")
    return figure


def _scale_counts(axes: Axes, values: Sequence[int]) -> float:
    """From zero up, unless the counts span so much that only a logarithmic axis shows the small; the left end."""
    most = max([1, *values])
    if most / min([value for value in values if value], default=1) > LOG_SCALE_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(0.5, most * 2.5)
        return 0.5
    axes.set_xlim(0.0, most * 1.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return 0.0


def _boxes(statistics: BoxStatistics, anchors: Anchors | None) -> Figure:
    """Widths and heights of the training boxes with the anchors over them, and their aspect ratios beside."""
    sizes = statistics.box_sizes_px(TRAIN).astype(np.float64)
    if anchors is not None:
        sizes = anchors.in_input(sizes, statistics.box_image_sizes_px(TRAIN))
    sizes = np.maximum(sizes, _SMALLEST_PX)
    anchor_sizes = np.zeros((0, 2)) if anchors is None else anchors.sizes_px
    figure = new_figure(width_in=11.0, height_in=5.8)
    shapes, ratios = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_shapes(figure, shapes, sizes, anchor_sizes)
    if anchors is not None and anchors.matched_iou is not None and len(anchor_sizes):
        _draw_reach(shapes, anchor_sizes, anchors.matched_iou)
    where = "its image" if anchors is None else "the model's input"
    shapes.set_xlabel(f"width of a box in pixels of {where}")
    shapes.set_ylabel(f"height of a box in pixels of {where}")
    if len(anchor_sizes):
        shapes.legend(loc="lower right", fontsize=8, framealpha=0.9)
    _draw_ratios(ratios, sizes, anchor_sizes)
    figure.suptitle(_verdict(sizes, anchors), x=0.01, ha="left", fontsize=11)
    return figure


def _verdict(sizes: Sizes, anchors: Anchors | None) -> str:
    if anchors is None:
        return f"Training boxes: {len(sizes)}"
    if anchors.absent_because:
        return f"Training boxes: {len(sizes)}; no anchors are shown: {anchors.absent_because}"
    if anchors.matched_iou is None:
        return f"Training boxes: {len(sizes)}; which anchors learn from them depends on no threshold of IoU"
    share = unreached(sizes, anchors.sizes_px, anchors.matched_iou)
    fate = "such a box is trained by its one best anchor, by force" if anchors.forced else "such a box is not trained"
    return (
        f"{share:.1%} of the training boxes ({len(sizes)}) are of a shape that no anchor reaches "
        f"(IoU {anchors.matched_iou:g}, centre on centre);\n{fate}"
    )


def _draw_shapes(figure: Figure, axes: Axes, sizes: Sizes, anchor_sizes: Sizes) -> None:
    """Points, or where they are too many, how many boxes each cell has; both axes are logarithmic and alike."""
    both = np.concatenate([sizes, anchor_sizes])
    low, high = both.min() / _MARGIN, both.max() * _MARGIN
    if len(sizes) <= _MOST_POINTS:
        axes.scatter(sizes[:, 0], sizes[:, 1], s=12, color=BLUE, alpha=0.5, linewidths=0, label="boxes")
    else:
        edges = np.geomspace(low, high, _CELLS + 1)
        cells = axes.hist2d(sizes[:, 0], sizes[:, 1], bins=(edges, edges), cmap="Blues", norm=LogNorm(vmin=0.5))[3]
        figure.colorbar(cells, ax=axes, label="boxes in a cell", pad=0.02, format="{x:g}")
    if len(anchor_sizes):
        axes.scatter(
            anchor_sizes[:, 0], anchor_sizes[:, 1], s=40, marker="+", color="black", linewidths=1.2, label="anchors"
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    plain(axes, "both")


def _draw_reach(axes: Axes, anchor_sizes: Sizes, matched_iou: float) -> None:
    """The line around all shapes that some anchor reaches."""
    sides = np.geomspace(*axes.get_xlim(), _REACH_CELLS)
    widths, heights = np.meshgrid(sides, sides)
    iou = best_shape_iou(np.stack([widths.ravel(), heights.ravel()], axis=1), anchor_sizes).reshape(widths.shape)
    if iou.min() < matched_iou < iou.max():
        axes.contour(widths, heights, iou, levels=[matched_iou], colors=VERMILION, linewidths=1.5)
        axes.plot([], [], color=VERMILION, linewidth=1.5, label=f"reached with IoU {matched_iou:g}")


def _draw_ratios(axes: Axes, sizes: Sizes, anchor_sizes: Sizes) -> None:
    octaves = np.log2(sizes[:, 0] / sizes[:, 1])
    anchor_octaves = np.unique(np.round(np.log2(anchor_sizes[:, 0] / anchor_sizes[:, 1]), 3))
    reach = math.ceil(max(1.0, np.abs(octaves).max(), *np.abs(anchor_octaves)))
    axes.hist(octaves, bins=np.linspace(-reach, reach, 8 * min(reach, 6) + 1).tolist(), color=BLUE)
    for octave in anchor_octaves:
        axes.axvline(octave, color="black", linewidth=1.0, linestyle="--")
    step = math.ceil(reach / 4)
    ticks = range(-reach // step * step, reach + 1, step)
    axes.set_xticks(ticks, [f"{2 ** max(0, tick)}:{2 ** max(0, -tick)}" for tick in ticks])
    axes.set_xlim(-reach, reach)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("width : height of a box" + ("; dashed: of the anchors" if len(anchor_sizes) else ""))
    axes.set_ylabel("boxes")
    plain(axes, "y")


@lru_cache(maxsize=4096)
def _plot_has(letter: str) -> bool:
    return bool(get_font(findfont(FontProperties())).get_char_index(ord(letter)))
