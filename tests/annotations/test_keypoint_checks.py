from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from odrun.annotations.checks import Checked, check_image
from odrun.annotations.classes import class_map
from odrun.annotations.coco import read_coco
from odrun.annotations.digests import FileContent
from odrun.annotations.files import list_files
from odrun.annotations.keypoint_checks import checked_keypoints
from odrun.annotations.model import Keypoint
from odrun.annotations.problems import Policies, ProblemLog

ABSENT = Keypoint("nose", 0, 0, 0)


@pytest.mark.parametrize(
    ("point", "mended", "fault"),
    [
        (Keypoint("nose", 0, 0, 2), Keypoint("nose", 0, 0, 2), None),
        (Keypoint("nose", 400, 300, 1), Keypoint("nose", 400, 300, 1), None),
        (Keypoint("nose", math.nan, 999, 0), ABSENT, None),
        (Keypoint("nose", -4, 100, 2), Keypoint("nose", 0, 100, 2), "clipped_keypoint"),
        (Keypoint("nose", 100, 303, 1), Keypoint("nose", 100, 300, 1), "clipped_keypoint"),
        (Keypoint("nose", -4.1, 100, 2), ABSENT, "outside_keypoint"),
        (Keypoint("nose", 100, 303.1, 1), ABSENT, "outside_keypoint"),
        (Keypoint("nose", math.nan, 100, 2), ABSENT, "bad_keypoint"),
        (Keypoint("nose", 100, -math.inf, 2), ABSENT, "bad_keypoint"),
        (Keypoint("nose", 100, 100, -1), ABSENT, "bad_keypoint"),
    ],
)
def test_a_keypoint_is_sound_moved_to_the_border_or_not_labelled(
    point: Keypoint, mended: Keypoint, fault: str | None
) -> None:
    """In an image of 400x300 pixels 4 and 3 are forgiven."""
    points, faults = checked_keypoints([point], 400, 300)
    assert (points, [name for name, _ in faults]) == ((mended,), [] if fault is None else [fault])


def person(folder: Path, *values: object, **policies: str) -> tuple[Checked | None, ProblemLog]:
    """What becomes of an image of 40x30 pixels with one person, whose two keypoints have these values in COCO JSON."""
    Image.new("RGB", (40, 30)).save(folder / "a.jpg")
    category = {"id": 1, "name": "person", "keypoints": ["nose", "tail"]}
    entry = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 20, 20], "keypoints": values}
    document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [entry], "categories": [category]}
    (folder / "a.json").write_text(json.dumps(document))
    log = ProblemLog(Policies(policies))
    (image,) = read_coco(list_files(folder, log), log)
    if not image.boxes:
        return None, log
    content = FileContent("ab", (folder / "a.jpg").stat().st_size)
    return check_image(image, content, class_map(None), log.policies), log


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ((50, 9, 2), "outside_keypoint"),
        ((9, -9, 1), "outside_keypoint"),
        ((math.nan, 9, 2), "bad_keypoint"),
        ((math.inf, 9, 2), "bad_keypoint"),
        ((10**400, 9, 2), "bad_keypoint"),
        ((True, 9, 2), "bad_keypoint"),
        (("9", 9, 2), "bad_keypoint"),
        ((None, 9, 2), "bad_keypoint"),
        ((9, 9, 3), "bad_keypoint"),
        ((9, 9, -1), "bad_keypoint"),
        ((9, 9, "visible"), "bad_keypoint"),
        ((9, 9, None), "bad_keypoint"),
    ],
)
def test_a_faulty_keypoint_leaves_its_object_out_or_becomes_not_labelled(
    tmp_path: Path, values: tuple[object, ...], fault: str
) -> None:
    for policy in ("error", "drop"):
        refused, _ = person(tmp_path, *values, 5, 6, 1, **{fault: policy})
        assert refused is not None
        assert refused.image is not None
        assert ([problem.fault for problem in refused.problems], refused.image.boxes) == ([fault], ())
        assert refused.problems[0].message.endswith(", in a.jpg")
    mended, _ = person(tmp_path, *values, 5, 6, 1, **{fault: "fix"})
    assert mended is not None
    assert mended.image is not None
    assert mended.image.boxes[0].keypoints == (ABSENT, Keypoint("tail", 5, 6, 1))
    assert [problem.fault for problem in mended.problems] == [fault]


def test_a_keypoint_near_the_border_is_moved_there_and_told(tmp_path: Path) -> None:
    found, _ = person(tmp_path, 41, 9, 2, 5, 6, 1)
    assert found is not None
    assert found.image is not None
    assert found.image.boxes[0].keypoints == (Keypoint("nose", 40, 9, 2), Keypoint("tail", 5, 6, 1))
    assert str(found.problems[0]) == (
        f"{tmp_path / 'a.json'}: the keypoint 'nose' at (41, 9) lies outside the image of 40x30 pixels, in a.jpg"
    )


@pytest.mark.parametrize("values", [(1, 2, 2), (1, 2, 2, 3, 4, 1, 5, 6, 2)])
def test_a_wrong_number_of_keypoints_leaves_the_object_or_all_of_them_out(
    tmp_path: Path, values: tuple[int, ...]
) -> None:
    refused, log = person(tmp_path, *values)
    assert (refused, log.lost.boxes, [problem.fault for problem in log.problems]) == (
        None,
        {"bad_keypoint": 1},
        ["bad_keypoint"],
    )
    mended, log = person(tmp_path, *values, bad_keypoint="fix")
    assert mended is not None
    assert mended.image is not None
    assert (mended.image.boxes[0].keypoints, log.lost.boxes) == ((), {})
    assert log.problems[0].message.startswith("annotation 7 has the keypoints [1, 2, 2")
