"""The bars are the counts, the points the boxes as the model sees them, and every name is drawn without a warning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from odrun.annotations.model import TRAIN, VALIDATION, AnnotatedImage, Box
from odrun.pipeline.anchors import Anchors
from odrun.records.statistics import BoxStatistics
from odrun.report import dataset_plots
from odrun.report.dataset_plots import shown_name, write_dataset_plots

SMALL = np.float64([[20, 20], [10, 40]])


def halved(images: np.ndarray) -> np.ndarray:
    return images / 2


def anchors(
    sizes: np.ndarray = SMALL, *, matched_iou: float | None = 0.5, forced: bool = True, absent_because: str = ""
) -> Anchors:
    pairs = tuple((float(width), float(height)) for width, height in sizes)
    return Anchors(pairs, matched_iou, forced, absent_because, halved)


def image(boxes: Sequence[tuple[str, float, float]]) -> AnnotatedImage:
    """A 400x400 image with boxes of a class, a width and a height."""
    made = tuple(Box(name, 0, 0, width, height) for name, width, height in boxes)
    path = Path("a.jpg")
    return AnnotatedImage("a.jpg", path, path, 400, 400, "jpeg", False, "0" * 64, 1, 0, made, None)


def statistics_of(
    train: Sequence[tuple[str, float, float]], validation: Sequence[tuple[str, float, float]] = ()
) -> BoxStatistics:
    statistics = BoxStatistics()
    statistics.add(TRAIN, image(train))
    statistics.add(VALIDATION, image(validation))
    return statistics


def counted(train: dict[str, int], validation: dict[str, int]) -> BoxStatistics:
    parts = ([(name, 9.0, 9.0) for name, count in part.items() for _ in range(count)] for part in (train, validation))
    return statistics_of(*parts)


def labels(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def bars(figure: Figure) -> list[list[float]]:
    return [[bar.get_width() for bar in container] for container in figure.axes[0].containers]


def title(figure: Figure) -> str:
    assert figure._suptitle is not None
    return str(figure._suptitle.get_text())


def test_every_plot_is_a_whole_png_and_nothing_else_is_left(tmp_path: Path) -> None:
    written = write_dataset_plots(counted({"a": 3}, {"a": 1}), ("a", "b"), tmp_path / "plots", anchors=anchors())
    assert [path.name for path in written] == ["classes.png", "boxes.png"]
    assert sorted((tmp_path / "plots").iterdir()) == sorted(written)
    for path in written:
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10


def test_the_same_statistics_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    many = statistics_of([("a", *rng.uniform(1, 300, 2)) for _ in range(4000)])
    first, second = (write_dataset_plots(many, ("a",), tmp_path / name, anchors=anchors()) for name in "xy")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_without_a_training_box_no_shapes_are_drawn(tmp_path: Path) -> None:
    empty = BoxStatistics()
    assert write_dataset_plots(empty, ("a",), tmp_path, anchors=anchors()) == [tmp_path / "classes.png"]
    assert write_dataset_plots(counted({}, {"a": 2}), ("a",), tmp_path) == [tmp_path / "classes.png"]
    assert write_dataset_plots(empty, (), tmp_path) == [tmp_path / "classes.png"]


def test_a_class_without_a_label_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"without a label id: \['b'\]"):
        write_dataset_plots(counted({"a": 1, "b": 1}, {}), ("a",), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_bars_are_the_counts_with_the_most_frequent_class_on_top() -> None:
    figure = dataset_plots._classes(counted({"b": 4, "c": 3, "a": 1}, {"c": 5}), ("a", "b", "c", "none"))
    assert labels(figure) == ["c", "b", "a", "none"]
    assert bars(figure) == [[3, 4, 1, 0], [5, 0, 0, 0]]
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["3", "4", "1", "0", "5", "0", "0", "0"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.get_xscale() == "linear"
    assert axes.get_xlabel() == "boxes\nclasses without a train box: 1\nclasses without a validation box: 3"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["train (boxes: 8, images: 1)", "validation (boxes: 5, images: 1)"]


@pytest.mark.parametrize(("most", "scale"), [(50, "linear"), (51, "log")])
def test_counts_far_apart_stand_on_a_logarithmic_axis(most: int, scale: str) -> None:
    axes = dataset_plots._classes(counted({"a": most, "b": 1}, {}), ("a", "b", "none")).axes[0]
    assert axes.get_xscale() == scale
    assert axes.get_xlim()[1] > most


@pytest.mark.parametrize(("classes", "rows"), [(40, 40), (41, 41), (42, 41), (80, 41)])
def test_of_many_classes_the_rare_share_a_row(classes: int, rows: int) -> None:
    names = tuple(f"c{number:02d}" for number in range(classes))
    figure = dataset_plots._classes(counted({name: 100 - number for number, name in enumerate(names)}, {}), names)
    assert len(labels(figure)) == rows
    assert sum(bars(figure)[0]) == sum(100 - number for number in range(classes))
    assert (labels(figure)[-1] == f"others ({classes - 40} classes)") == (classes > 41)


def test_the_points_are_the_boxes_in_the_models_input_and_the_anchors() -> None:
    statistics = statistics_of([("a", 40, 40), ("a", 100, 20)])
    shapes = dataset_plots._boxes(statistics, anchors()).axes[0]
    points, crosses = (collection.get_offsets() for collection in shapes.collections[:2])
    assert np.asarray(points).tolist() == [[20, 20], [50, 10]]
    assert np.asarray(crosses).tolist() == SMALL.tolist()
    assert (shapes.get_xscale(), shapes.get_yscale()) == ("log", "log")
    assert shapes.get_xlabel() == "width of a box in pixels of the model's input"
    assert shapes.get_xlim() == shapes.get_ylim()


def test_without_anchors_boxes_are_in_pixels_of_their_images() -> None:
    figure = dataset_plots._boxes(statistics_of([("a", 40, 40), ("a", 100, 20)]), None)
    shapes = figure.axes[0]
    assert np.asarray(shapes.collections[0].get_offsets()).tolist() == [[40, 40], [100, 20]]
    assert shapes.get_ylabel() == "height of a box in pixels of its image"
    assert title(figure) == "Training boxes: 2"


def test_many_boxes_are_counted_in_cells() -> None:
    figure = dataset_plots._boxes(statistics_of([("a", 10 + number % 300, 20) for number in range(4000)]), anchors())
    counts = np.ma.filled(figure.axes[0].collections[0].get_array(), 0)
    assert counts.sum() == 4000


def test_the_title_says_which_share_no_anchor_reaches() -> None:
    statistics = statistics_of([("a", 40, 40), ("a", 300, 300), ("a", 200, 10), ("a", 2, 2)])
    told = title(dataset_plots._boxes(statistics, anchors()))
    reaches = "75.0% of the training boxes (4) are of a shape that no anchor reaches (IoU 0.5, centre on centre);\n"
    assert told == f"{reaches}such a box is trained by its one best anchor, by force"
    told = title(dataset_plots._boxes(statistics, anchors(forced=False)))
    assert told == f"{reaches}such a box is not trained"


def test_the_title_says_why_there_is_no_share() -> None:
    statistics = statistics_of([("a", 40, 40)])
    told = title(dataset_plots._boxes(statistics, anchors(np.zeros((0, 2)), absent_because="CenterNet has no anchors")))
    assert told == "Training boxes: 1; no anchors are shown: CenterNet has no anchors"
    told = title(dataset_plots._boxes(statistics, anchors(matched_iou=None)))
    assert told == "Training boxes: 1; which anchors learn from them depends on no threshold of IoU"


def test_the_line_of_what_is_reached_goes_around_the_anchors() -> None:
    shapes = dataset_plots._boxes(statistics_of([("a", 40, 40)]), anchors(np.float64([[20, 20]]))).axes[0]
    line = np.concatenate([path.vertices for path in shapes.collections[2].get_paths()])
    # The square of half the area, up to the one of twice the area, and the two that are half as wide or high.
    for width, height in ((20 * math.sqrt(0.5),) * 2, (20 * math.sqrt(2),) * 2, (10, 20), (20, 40)):
        distance = np.abs(np.log2(line) - np.log2([width, height])).max(axis=1).min()
        assert distance < 0.1


def test_aspect_ratios_are_counted_in_octaves() -> None:
    ratios = dataset_plots._boxes(statistics_of([("a", 40, 40), ("a", 80, 40), ("a", 10, 40)]), anchors()).axes[-1]
    filled = [(bar.get_x(), bar.get_height()) for bar in ratios.patches if bar.get_height()]
    assert filled == [(-2.0, 1.0), (0.0, 1.0), (1.0, 1.0)]
    assert [line.get_xdata()[0] for line in ratios.lines] == [-2.0, 0.0]
    assert [label.get_text() for label in ratios.get_xticklabels()] == ["1:4", "1:2", "1:1", "2:1", "4:1"]


NO_NAMES = ("$x_{$", "a\nb", "%s", "猫", "\udcff", "\\", " ", "x" * 500, "é")


@pytest.mark.parametrize(
    "make",
    [
        lambda: (statistics_of([("a", 400, 1)] * 2), anchors()),
        lambda: (statistics_of([("a", 1e-30, 400)]), anchors()),
        lambda: (statistics_of([("a", 40, 40)]), anchors(SMALL * 1e6)),
        lambda: (statistics_of([("a", 40, 40)]), anchors(matched_iou=1.0)),
        lambda: (statistics_of([("a", 40, 40)]), anchors(matched_iou=0.0)),
        lambda: (statistics_of([(name, 5, 5) for name in NO_NAMES]), None),
    ],
)
def test_what_is_far_out_is_drawn_without_a_warning(
    make: Callable[[], tuple[BoxStatistics, Anchors | None]], tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        statistics, given = make()
        written = write_dataset_plots(statistics, ("a", *NO_NAMES), tmp_path, anchors=given)
    assert len(written) == 2


def test_a_name_is_cut_and_one_that_cannot_be_drawn_is_told_by_its_id() -> None:
    assert shown_name("x" * 28, 1, str.isascii) == "x" * 28
    assert shown_name("x" * 29, 1, str.isascii) == "x" * 25 + "..."
    assert shown_name("a\nb\udcff", 1, str.isascii) == "a?b?"
    assert shown_name("cat 猫", 7, str.isascii) == "class 7"
    figure = dataset_plots._classes(counted({"猫": 2, "$x$": 1}, {}), ("$x$", "猫"))
    assert labels(figure) == ["class 2", "$x$"]
