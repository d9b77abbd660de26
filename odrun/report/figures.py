"""How all plots look, and how they are written: PNG files, whole."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from odrun.runs.files import whole_file

# Okabe and Ito, "Color Universal Design" (2008).
BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
LOG_SCALE_FROM = 50.0
"""The ratio of the largest value to the smallest from which only a logarithmic axis shows both."""
_DOTS_PER_INCH = 120


def new_figure(*, width_in: float, height_in: float) -> Figure:
    """An empty figure of that size in inches, which arranges by itself what is drawn in it."""
    figure = Figure(figsize=(width_in, height_in), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, grid: str) -> None:
    """Light lines across `grid` (`x`, `y` or `both`), below what is drawn, and no frame above and on the right."""
    gridded: dict[str, tuple[Axis, ...]] = {"x": (axes.xaxis,), "y": (axes.yaxis,), "both": (axes.xaxis, axes.yaxis)}
    for axis in gridded[grid]:
        axis.grid(visible=True, color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def literal(text: str) -> str:
    """Text in which matplotlib is to see no formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> Path:
    """Write the figure to `path`, and return that."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
