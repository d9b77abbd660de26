"""Plots are whole PNG files, only of what there is, and the curves in them are the rows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from odrun.report import plots
from odrun.report.plots import write_plots
from odrun.tracking.jsonl import MetricsRow

ROWS: list[MetricsRow] = [
    {"step": 1, "time": 0.0, "train/loss/total": 2.0, "train/loss/localization": 0.5, "train/learning_rate": 0.01},
    {"step": 10, "time": 1.0, "train/loss/total": 1.0, "train/loss/localization": None, "train/learning_rate": 0.1},
    {"step": 20, "time": 2.0, "train/loss/total": 0.5, "eval/AP": 0.25, "eval/AP50": 0.5, "eval/AP75": 0.2},
]


def names(folder: Path, rows: list[MetricsRow], **arguments: object) -> list[str]:
    return [path.name for path in write_plots(rows, folder, title="digits", **arguments)]


def test_every_plot_is_a_png_of_a_readable_size(tmp_path: Path) -> None:
    written = write_plots(ROWS, tmp_path, title="digits", class_ap={"a": 0.5, "b": 0.25})
    assert [path.name for path in written] == ["losses.png", "average_precision.png", "class_average_precision.png"]
    for path in written:
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.width) == ("PNG", 960)
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)


def test_what_has_no_values_is_not_written(tmp_path: Path) -> None:
    assert names(tmp_path / "a", []) == []
    assert names(tmp_path / "b", ROWS[:2]) == ["losses.png"]
    assert names(tmp_path / "c", [{"step": 5, "time": 0.0, "eval/AP": 0.1}]) == ["average_precision.png"]
    assert names(tmp_path / "d", [], class_ap={"a": -1.0, "b": None}) == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_plots(ROWS, tmp_path / name, title="t", class_ap={"a": 0.5}) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_curves_are_the_rows_with_null_as_a_gap() -> None:
    figure = plots._losses(ROWS, "digits")
    assert figure is not None
    losses, rates = figure.axes
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in losses.lines}
    assert drawn["total"] == ([1, 10, 20], [2.0, 1.0, 0.5])
    assert drawn["localization"][0] == [1, 10]
    assert drawn["localization"][1][0] == 0.5
    assert math.isnan(drawn["localization"][1][1])
    assert list(rates.lines[0].get_ydata()) == [0.01, 0.1]
    assert (losses.get_ylabel(), rates.get_ylabel(), rates.get_xlabel()) == ("loss", "learning rate", "training step")
    assert losses.get_yscale() == "linear"


def test_a_loss_that_falls_far_gets_a_logarithmic_axis() -> None:
    figure = plots._losses([{"step": 1, "train/loss/total": 900.0}, {"step": 2, "train/loss/total": 0.5}], "t")
    assert figure is not None
    assert figure.axes[0].get_yscale() == "log"


def test_the_legend_names_the_best_value_and_the_first_step_that_had_it() -> None:
    rows: list[MetricsRow] = [{"step": step, "eval/AP": value} for step, value in ((1, 0.1), (2, 0.4), (3, 0.4))]
    figure = plots._average_precision(rows, "t")
    assert figure is not None
    assert figure.axes[0].lines[0].get_label() == "AP (mean of IoU 0.50 to 0.95), best 0.400 at step 2"


def test_classes_stand_by_their_ap_and_absent_ones_are_counted() -> None:
    figure = plots._class_average_precision({"a": 0.5, "b": 0.75, "c": -1.0, "d": None}, "t")
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.75]
    assert axes.get_xlabel().endswith("without an object in the validation images: 2")


@pytest.mark.parametrize("name", [r"$\frac$", "100 $", "a_b^c"])
def test_a_name_is_no_formula(tmp_path: Path, name: str) -> None:
    assert write_plots(ROWS, tmp_path, title=name, class_ap={name: 0.5})


def test_a_failed_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, path: Path, **arguments: object) -> None:
        path.write_bytes(b"half")
        raise OSError("planted")

    monkeypatch.setattr(plots.Figure, "savefig", fail)
    with pytest.raises(OSError, match="planted"):
        write_plots(ROWS, tmp_path, title="t")
    assert list(tmp_path.iterdir()) == []
