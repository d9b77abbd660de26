from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from PIL import Image

from odrun.annotations.classes import class_map
from odrun.annotations.digests import FileContent, KnownDigests, read_contents
from odrun.annotations.files import list_files
from odrun.annotations.gathering import Gathered, gather, spooled
from odrun.annotations.losses import Losses
from odrun.annotations.model import BoxAsRead, ImageAsRead
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import ProblemLog


def read(folder: Path, name: str, *classes: str, annotation: str = "a.xml") -> ImageAsRead:
    Image.new("RGB", (40, 30)).save(folder / name, "JPEG")
    boxes = tuple(
        BoxAsRead(each, 1, 2 + number, 30, 20, difficult=False, truncated=False, is_crowd=False, line=None)
        for number, each in enumerate(classes)
    )
    return ImageAsRead(name, folder / name, folder / annotation, None, None, boxes, None)


def content(path: Path) -> FileContent:
    encoded = path.read_bytes()
    return FileContent(hashlib.sha256(encoded).hexdigest(), len(encoded))


def gathered(
    folder: Path, images: list[ImageAsRead], *, workers: int = 1, unlisted: str = ""
) -> tuple[Gathered, ProblemLog, list[int]]:
    log, steps = ProblemLog(), []
    for annotation in ("a.xml", "b.xml"):
        (folder / annotation).touch()
    files = list_files(folder, log).where(lambda file: file.suffix in (".jpg", ".xml") and file.name != unlisted)
    contents = read_contents(files, log, KnownDigests(folder / "none"), workers=1)
    facts = (folder / "facts").open("w+b")
    with (folder / "spool").open("wb") as spool, Workers(workers) as at_work:
        found = gather(
            iter(images), contents, class_map(None), log, spool, facts, workers=at_work, progress=steps.append
        )
    return found, log, steps


def test_kept_images_lie_in_the_spool_and_their_facts_are_sorted_by_name(tmp_path):
    found, log, steps = gathered(
        tmp_path, [read(tmp_path, "b.jpg", "cat", "dog", "cat"), read(tmp_path, "a.jpg", "cat")]
    )
    assert [(image.name, image.classes, image.boxes) for image in found.kept] == [
        ("a.jpg", (("cat", 1),), 1),
        ("b.jpg", (("cat", 2), ("dog", 1)), 3),
    ]
    with (tmp_path / "spool").open("rb") as spool:
        images = [spooled(spool, image.place) for image in found.kept]
    assert [(image.name, image.sha256) for image in images] == [
        (name, content(tmp_path / name).sha256) for name in ("a.jpg", "b.jpg")
    ]
    assert (found.images_read, found.boxes_read, log.problems, steps) == (2, 4, [], [2])


def test_processes_find_what_one_finds(tmp_path):
    images = [read(tmp_path, f"{number:03}.jpg", "cat") for number in range(70)]
    (tmp_path / "005.jpg").write_bytes(b"broken")
    one, many = (gathered(tmp_path, images, workers=workers) for workers in (1, 2))
    assert [*one[0].kept] == [*many[0].kept]
    assert one[0].lost == many[0].lost
    assert one[1].problems == many[1].problems
    assert one[2] == many[2] == [32, 64, 70]
    assert one[0].lost.images == {"undecodable_image": 1}


def test_an_image_that_two_annotations_speak_of_is_taken_from_the_first(tmp_path):
    first, second = read(tmp_path, "a.jpg", "cat"), read(tmp_path, "a.jpg", "dog", annotation="b.xml")
    found, log, _ = gathered(tmp_path, [first, second])
    assert [image.classes for image in found.kept] == [(("cat", 1),)]
    assert str(log.problems[0]) == f"{tmp_path / 'b.xml'}: speaks of {tmp_path / 'a.jpg'}, as {tmp_path / 'a.xml'} does"
    assert (found.images_read, found.boxes_read, found.lost) == (1, 2, Losses(boxes=Counter({"duplicate_image": 1})))


def test_an_image_whose_file_could_not_be_read_is_counted_as_lost(tmp_path):
    found, _, _ = gathered(tmp_path, [read(tmp_path, "a.jpg", "cat"), read(tmp_path, "b.jpg", "cat")], unlisted="a.jpg")
    assert ([image.name for image in found.kept], found.lost.images) == (["b.jpg"], {"unreadable_file": 1})
