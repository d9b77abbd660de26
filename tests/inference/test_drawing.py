"""Boxes are where they should be, in the colour of their class, with the best on top."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from odrun.inference.drawing import class_colour, contact_sheet, draw_detections, draw_side_by_side, legible_scale

NAMES = {1: "cat", 2: "dog", 30: "ox"}
GREY = (100, 100, 100)


def grey(width_px: int = 200, height_px: int = 150) -> Image.Image:
    return Image.new("RGB", (width_px, height_px), GREY)


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image)


def changed(image: Image.Image, base: Image.Image) -> npt.NDArray[np.bool_]:
    return (pixels(image) != pixels(base)).any(axis=-1)


def test_a_box_is_drawn_on_its_edges_and_not_inside() -> None:
    drawn = pixels(draw_detections(grey(), [[50, 60, 150, 120]], [1], None, class_names=NAMES))
    colour = list(class_colour(1))
    edges = [drawn[60, 55], drawn[120, 100], drawn[90, 50], drawn[90, 150]]
    assert [edge.tolist() for edge in edges] == [colour] * 4
    assert (drawn[65:118, 53:148] == GREY).all()


def test_keypoints_are_drawn_where_they_were_seen() -> None:
    points = np.array([[80.0, 90.0, 0.9], [120.0, 90.0, 0.1]])
    drawn = pixels(draw_detections(grey(), [[50, 60, 150, 120]], [1], [0.9], class_names=NAMES, keypoints_px=[points]))
    assert drawn[90, 80].tolist() == list(class_colour(1))
    assert drawn[90, 120].tolist() == list(GREY)


def test_the_picture_given_is_left_alone() -> None:
    image = grey()
    draw_detections(image, [[10, 40, 60, 90]], [1], [0.9], class_names=NAMES)
    assert (pixels(image) == GREY).all()


def test_no_boxes_give_an_equal_copy() -> None:
    image = grey()
    drawn = draw_detections(image, np.zeros((0, 4)), [], [], class_names=NAMES)
    assert drawn is not image
    assert (pixels(drawn) == GREY).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    drawn = draw_detections(grey().convert(mode), [[10, 40, 60, 90]], [1], [0.9], class_names=NAMES)
    assert (drawn.mode, drawn.size) == ("RGB", (200, 150))


def test_the_best_box_lies_on_top_whatever_the_order() -> None:
    boxes = [[50, 60, 150, 120], [50, 60, 150, 120]]
    one = draw_detections(grey(), boxes, [1, 2], [0.9, 0.3], class_names=NAMES)
    other = draw_detections(grey(), boxes, [2, 1], [0.3, 0.9], class_names=NAMES)
    assert pixels(one)[120, 100].tolist() == list(class_colour(1))
    assert (pixels(one) == pixels(other)).all()


def test_scores_are_written_only_where_there_are_some() -> None:
    box = [[10, 60, 190, 120]]
    truth = draw_detections(grey(), box, [1], None, class_names=NAMES)
    found = draw_detections(grey(), box, [1], [0.9], class_names=NAMES)
    other = draw_detections(grey(), box, [1], [0.4], class_names=NAMES)
    assert changed(found, truth).any()
    assert changed(found, other).any()


@pytest.mark.parametrize("box", [[20, 0, 90, 40], [150, 50, 260, 90], [-50, -50, 300, 300], [195, 0, 199, 3]])
def test_labels_and_boxes_at_the_rim_stay_legible_inside(box: list[float]) -> None:
    drawn = draw_detections(grey(), [box], [1], [0.5], class_names=NAMES)
    plate = (pixels(drawn) == class_colour(1)).all(axis=-1)
    assert plate.sum() > 150


@pytest.mark.parametrize("box", [[300, 300, 400, 400], [-50, -50, -10, -10], [90, 90, 20, 20], [np.nan, 1, 5, 5]])
def test_a_box_that_is_not_on_the_picture_is_not_drawn(box: list[float]) -> None:
    assert (pixels(draw_detections(grey(), [box], [1], [0.5], class_names=NAMES)) == GREY).all()


def test_a_scaled_picture_has_its_boxes_scaled() -> None:
    drawn = draw_detections(grey(), [[50, 60, 150, 120]], [1], None, class_names=NAMES, scale=3)
    assert drawn.size == (600, 450)
    assert pixels(drawn)[360, 300].tolist() == list(class_colour(1))


def test_lines_and_letters_grow_with_the_picture() -> None:
    small = draw_detections(grey(200, 200), [[20, 60, 180, 180]], [1], None, class_names=NAMES)
    large = draw_detections(grey(2000, 2000), [[200, 600, 1800, 1800]], [1], None, class_names=NAMES)
    share = [float((pixels(image) == class_colour(1)).all(axis=-1).mean()) for image in (small, large)]
    assert share[1] == pytest.approx(share[0], rel=0.5)


@pytest.mark.parametrize(
    ("size", "scale"), [((160, 160), 3), ((480, 640), 1), ((479, 900), 2), ((1280, 720), 1), ((1, 1), 480)]
)
def test_small_pictures_are_enlarged_by_whole_factors(size: tuple[int, int], scale: int) -> None:
    assert legible_scale(Image.new("RGB", size)) == scale


def test_each_class_has_its_own_colour_that_never_changes() -> None:
    colours = [class_colour(label_id) for label_id in range(1, 91)]
    assert len(set(colours)) == 90
    assert colours[:2] == [(230, 159, 0), (86, 180, 233)]


@pytest.mark.parametrize(
    ("ids", "scores", "fault"),
    [
        ([1, 2], [0.5], "1 boxes, 2 label ids, 1 scores"),
        ([1], [0.5, 0.1], "1 label ids, 2 scores"),
        ([7], [0.5], r"label ids \[7\]"),
    ],
)
def test_what_does_not_fit_together_is_refused(ids: list[int], scores: list[float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        draw_detections(grey(), [[10, 10, 20, 20]], ids, scores, class_names=NAMES)


def test_two_pictures_stand_side_by_side_unchanged_below_their_titles() -> None:
    left, right = Image.new("RGB", (120, 90), "red"), Image.new("RGB", (80, 90), "blue")
    sheet = draw_side_by_side(left, right)
    assert (sheet.width, sheet.height > 90) == (208, True)
    assert (pixels(sheet)[-90:, :120] == (255, 0, 0)).all()
    assert (pixels(sheet)[-90:, 128:] == (0, 0, 255)).all()
    assert (pixels(sheet)[:-90] != 255).any()


def test_a_sheet_holds_every_picture_in_rows() -> None:
    colours = ["red", "lime", "blue"]
    sheet = contact_sheet([(name, Image.new("RGB", (50, 25), name)) for name in colours], columns=2, cell_width_px=100)
    assert sheet.width == 208
    found = {name: (pixels(sheet) == Image.new("RGB", (1, 1), name).getpixel((0, 0))).all(axis=-1) for name in colours}
    assert {name: int(mask.sum()) for name, mask in found.items()} == dict.fromkeys(colours, 5000)
    assert np.argwhere(found["blue"])[0][0] > np.argwhere(found["red"])[-1][0]
    assert np.argwhere(found["lime"])[0][1] == 108


def test_a_long_caption_keeps_its_end_and_its_cell() -> None:
    caption = "folder/" * 40 + "name.jpg"
    long = contact_sheet([(caption, grey())], columns=1, cell_width_px=200)
    same_end = contact_sheet([("other/" * 40 + caption, grey())], columns=1, cell_width_px=200)
    assert (pixels(long) == pixels(same_end)).all()


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a sheet needs a picture"):
        contact_sheet([], columns=2, cell_width_px=100)
