from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from odrun.annotations.files import Listing
from odrun.annotations.kept import Keeping, KeptImage, Place

FILES = Listing.of(Path("data"), [f"{number}.jpg" for number in range(5)])
NOSE = (("cat", ("nose",)),)


def image(name: str, *, split: str | None = None, keypoints: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> KeptImage:
    counts = (("cat", 2), ("dog", 1))
    return KeptImage(
        name, counts, split, name[:1].encode() * 32, (1 << 64) - 1, 1 << 40, 3, keypoints, Place(1 << 41, 9)
    )


def keeping(folder: Path, *images: KeptImage) -> Keeping:
    made = Keeping(FILES, (folder / "facts").open("w+b"))
    for each in images:
        made.add(each)
    return made


@pytest.mark.parametrize("order", ["0123", "3120"])
def test_images_are_what_they_were_and_sorted_by_name(tmp_path, order):
    splits = {"0": None, "1": "train", "2": "validation", "3": None}
    images = {
        number: image(f"{number}.jpg", split=splits[number], keypoints=NOSE * (number == "2")) for number in order
    }
    kept = keeping(tmp_path, *images.values()).images()
    assert [*kept] == [kept[place] for place in range(4)] == [images[number] for number in "0123"]
    assert kept[0].boxes == 3


def test_some_are_chosen_by_their_places_again_and_again(tmp_path):
    kept = keeping(tmp_path, *(image(f"{number}.jpg") for number in (4, 2, 0, 1))).images()
    chosen = kept.chosen((0, 2, 3))
    assert [each.name for each in chosen] == ["0.jpg", "2.jpg", "4.jpg"]
    assert [[each.name for each in some] for some in (chosen[1:], chosen.chosen((1,)))] == [
        ["2.jpg", "4.jpg"],
        ["2.jpg"],
    ]


def test_another_process_reads_them_where_they_lie(tmp_path):
    kept = keeping(tmp_path, image("1.jpg"), image("0.jpg")).images()
    assert [*pickle.loads(pickle.dumps(kept))] == [image("0.jpg"), image("1.jpg")]


def test_an_image_that_is_not_listed_is_refused(tmp_path):
    with pytest.raises(KeyError, match="gone"):
        keeping(tmp_path, image("gone.jpg"))
