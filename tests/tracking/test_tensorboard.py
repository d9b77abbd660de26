"""TensorBoard reads what is written here, and TensorFlow is not needed for it."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from odrun.tracking.tensorboard import TensorboardTracker
from odrun.tracking.tracker import Picture, TrackingError

WRITE_ALL = """
import sys
from pathlib import Path
from odrun.tracking.tensorboard import TensorboardTracker
tracker = TensorboardTracker(Path(sys.argv[1]))
tracker.metrics(1, {"a": 1.0})
tracker.close("completed")
assert not {"tensorflow", "keras", "tf_keras"} & set(sys.modules), "TensorFlow was imported"
"""


def tracker(folder: Path, *, resumed_at: int = 0) -> TensorboardTracker:
    times = count(1000.0)
    return TensorboardTracker(folder, resumed_at=resumed_at, clock=lambda: float(next(times)))


@pytest.fixture(autouse=True)
def readers_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard's readers take their own stand-in for TensorFlow where this module is there: 15 s less."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def test_scalars_come_back_under_their_keys(tmp_path: Path) -> None:
    told = tracker(tmp_path / "tensorboard")
    told.metrics(1, {"train/loss/total": 2.5, "eval/AP": 0.25})
    told.metrics(2, {"train/loss/total": 1.5})
    assert scalars(tmp_path / "tensorboard", "train/loss/total") == [(1, 2.5), (2, 1.5)]
    assert scalars(tmp_path / "tensorboard", "eval/AP") == [(1, 0.25)]


def test_pictures_come_back_as_they_were_drawn(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "red").save(tmp_path / "drawn.png")
    told = tracker(tmp_path / "tensorboard")
    told.pictures(7, [Picture("one", tmp_path / "none.png", tmp_path / "drawn.png", {}, (), ())])
    (event,) = read(tmp_path / "tensorboard").Images("pictures/one")
    decoded = Image.open(io.BytesIO(event.encoded_image_string))
    assert (event.step, event.width, event.height, decoded.size) == (7, 30, 20, (30, 20))


def test_after_a_resume_the_steps_that_were_lost_are_forgotten(tmp_path: Path) -> None:
    first = tracker(tmp_path)
    for step in (10, 20, 30):
        first.metrics(step, {"a": 1.0})
    tracker(tmp_path, resumed_at=20).metrics(30, {"a": 2.0})
    assert scalars(tmp_path, "a") == [(10, 1.0), (20, 1.0), (30, 2.0)]


def test_a_second_writer_in_the_same_second_gets_its_own_file(tmp_path: Path) -> None:
    tracker(tmp_path).close("interrupted")
    tracker(tmp_path).close("completed")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "events.out.tfevents.0000001000.odrun.0000",
        "events.out.tfevents.0000001000.odrun.0001",
    ]


def test_tensorflow_is_not_imported(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE_ALL, str(tmp_path)], check=True)
    assert scalars(tmp_path, "a") == [(1, 1.0)]


def test_a_folder_that_cannot_be_made_is_a_tracking_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot be written"):
        tracker(tmp_path / "file" / "tensorboard")


def test_an_absent_picture_is_a_tracking_error(tmp_path: Path) -> None:
    told = tracker(tmp_path)
    with pytest.raises(TrackingError, match="a picture cannot be read"):
        told.pictures(1, [Picture("one", tmp_path / "none.png", tmp_path / "none.png", {}, (), ())])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_a_tracking_error(tmp_path: Path) -> None:
    told = tracker(tmp_path)
    with (
        Path("/dev/full").open("wb", buffering=0) as told._file,
        pytest.raises(TrackingError, match="No space left"),
    ):
        told.metrics(1, {"a": 1.0})
