"""What is counted is what was added, it comes back from its file as it was, and no damaged file is taken for whole."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odrun.annotations.model import SPLITS, TRAIN, VALIDATION, AnnotatedImage, Box
from odrun.errors import InputError
from odrun.records.statistics import STATISTICS_NAME, BoxStatistics


def image(
    *boxes: tuple[str, float, float, float, float], name: str = "a.jpg", width: int = 200, height: int = 100
) -> AnnotatedImage:
    return AnnotatedImage(
        name=name,
        image_path=Path(name),
        annotation_path=Path("a.xml"),
        width_px=width,
        height_px=height,
        stored_format="jpeg",
        re_encoded=False,
        sha256="0" * 64,
        size_bytes=1,
        look=0,
        boxes=tuple(Box(*box) for box in boxes),
        split=None,
    )


def some() -> BoxStatistics:
    statistics = BoxStatistics()
    statistics.add(TRAIN, image(("cat", 0, 0, 50, 25), ("dog", 10, 10, 20, 40), ("cat", 1, 2, 3.5, 4)))
    statistics.add(TRAIN, image(width=30, height=40))
    statistics.add(TRAIN, image(("dog", 0, 0, 10, 10), width=10, height=20))
    statistics.add(VALIDATION, image(("ox", 5, 5, 6, 7), width=64, height=64))
    return statistics


def everything(statistics: BoxStatistics) -> object:
    return [
        statistics.classes,
        *(
            (
                statistics.boxes_of_classes(part),
                statistics.images_of_classes(part),
                statistics.boxes_per_image(part).tolist(),
                statistics.image_sizes_px(part).tolist(),
                statistics.box_sizes_px(part).tolist(),
                statistics.box_sizes_fraction(part).tolist(),
            )
            for part in SPLITS
        ),
    ]


def test_boxes_and_images_are_counted_by_class_and_part() -> None:
    statistics = some()
    assert statistics.classes == ("cat", "dog", "ox")
    assert statistics.boxes_of_classes(TRAIN) == {"cat": 2, "dog": 2, "ox": 0}
    assert statistics.images_of_classes(TRAIN) == {"cat": 1, "dog": 2, "ox": 0}
    assert statistics.boxes_of_classes(VALIDATION) == {"cat": 0, "dog": 0, "ox": 1}
    assert statistics.images_of_classes(VALIDATION) == {"cat": 0, "dog": 0, "ox": 1}
    assert [(statistics.images(part), statistics.boxes(part)) for part in SPLITS] == [(3, 4), (1, 1)]
    assert statistics.boxes_per_image(TRAIN).tolist() == [3, 0, 1]


def test_sizes_are_those_of_the_boxes_and_of_their_own_images() -> None:
    statistics = some()
    assert statistics.image_sizes_px(TRAIN).tolist() == [[200, 100], [30, 40], [10, 20]]
    assert statistics.box_sizes_px(TRAIN).tolist() == [[50, 25], [10, 30], [2.5, 2], [10, 10]]
    assert statistics.box_image_sizes_px(TRAIN).tolist() == [[200, 100]] * 3 + [[10, 20]]
    expected = np.float32([[0.25, 0.25], [0.05, 0.3], [0.0125, 0.02], [1.0, 0.5]])
    assert (statistics.box_sizes_fraction(TRAIN) == expected).all()


def test_without_an_image_there_are_no_counts_and_empty_arrays() -> None:
    statistics = BoxStatistics()
    assert everything(statistics) == [(), ({}, {}, [], [], [], []), ({}, {}, [], [], [], [])]
    assert statistics.box_sizes_px(TRAIN).shape == statistics.box_sizes_fraction(TRAIN).shape == (0, 2)


def test_a_part_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError, match="test"):
        BoxStatistics().add("test", image())


def test_what_was_given_out_does_not_change_when_more_is_added() -> None:
    statistics = some()
    sizes = statistics.box_sizes_px(TRAIN)
    statistics.add(TRAIN, image(("cat", 0, 0, 1, 1)))
    assert (len(sizes), statistics.boxes(TRAIN)) == (4, 5)


def test_a_box_costs_no_more_than_a_few_bytes() -> None:
    crowded = image(*[("cat", 0, 0, 5, 5)] * 50)
    statistics = BoxStatistics()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(1000):
        statistics.add(TRAIN, crowded)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / statistics.boxes(TRAIN) < 20


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    added=st.lists(
        st.tuples(
            st.sampled_from(SPLITS),
            st.lists(st.tuples(st.text(min_size=1, max_size=5), st.floats(0.25, 100), st.floats(0.25, 50)), max_size=4),
        ),
        max_size=6,
    )
)
def test_all_comes_back_from_the_file(tmp_path: Path, added: list[tuple[str, list[tuple[str, float, float]]]]) -> None:
    statistics = BoxStatistics()
    for part, boxes in added:
        statistics.add(part, image(*((name, 0.0, 0.0, width, height) for name, width, height in boxes)))
    statistics.save(tmp_path / STATISTICS_NAME)
    restored = BoxStatistics.load(tmp_path / STATISTICS_NAME)
    assert everything(restored) == everything(statistics)
    restored.add(TRAIN, image(("a new one", 0, 0, 1, 1)))
    assert restored.boxes(TRAIN) == statistics.boxes(TRAIN) + 1


def test_the_same_images_give_the_same_bytes_and_one_file(tmp_path: Path) -> None:
    some().save(tmp_path / "one" / STATISTICS_NAME)
    some().save(tmp_path / "two" / STATISTICS_NAME)
    one, two = ((tmp_path / name / STATISTICS_NAME).read_bytes() for name in ("one", "two"))
    assert one == two
    assert [path.name for path in (tmp_path / "one").iterdir()] == [STATISTICS_NAME]


def saved(tmp_path: Path) -> Path:
    some().save(tmp_path / STATISTICS_NAME)
    return tmp_path / STATISTICS_NAME


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        BoxStatistics.load(tmp_path / "none.npz")
    assert caught.value.where == str(tmp_path / "none.npz")
    assert caught.value.remedy == "remove the folder that holds them and run odrun prepare again"


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_as_it_was(tmp_path: Path, data: st.DataObject) -> None:
    whole = saved(tmp_path).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.one_of(st.none(), st.binary(min_size=1, max_size=4)))
    damaged = whole[:place] if damage is None else whole[:place] + damage + whole[place + len(damage) :]
    path = tmp_path / "damaged.npz"
    path.write_bytes(damaged)
    try:
        restored = BoxStatistics.load(path)
    except InputError:
        return
    assert everything(restored) == everything(some())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", np.frombuffer(b"[2]", dtype=np.uint8)),
        ("classes", np.frombuffer(b"{}", dtype=np.uint8)),
        ("classes", np.frombuffer(b"[1]", dtype=np.uint8)),
        ("train_box_classes", np.uint32([0, 1, 0, 9])),
        ("train_box_classes", np.uint32([0, 1])),
        ("train_box_sizes_px", np.float32([[1, 1], [2, 2], [np.nan, 1], [1, 1]])),
        ("train_box_sizes_px", np.float64([[1, 1], [2, 2], [3, 3], [1, 1]])),
        ("train_box_sizes_px", np.float32([1, 2, 3, 4])),
        ("train_boxes_per_image", np.uint32([1, 1, 1])),
        ("train_image_sizes_px", np.uint32([[0, 1], [1, 1], [1, 1]])),
        ("train_image_sizes_px", np.array(3, dtype=np.uint32)),
        ("validation_box_classes", None),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, name: str, value: np.ndarray | None) -> None:
    path = saved(tmp_path)
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files if key != name}
    stream = io.BytesIO()
    np.savez(stream, **arrays, **({} if value is None else {name: value}))
    path.write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="cannot be read"):
        BoxStatistics.load(path)


def test_a_single_array_and_a_pickle_are_refused(tmp_path: Path) -> None:
    for number, value in enumerate((np.zeros(3), np.array([{}], dtype=object))):
        path = tmp_path / f"{number}.npz"
        with path.open("wb") as stream:
            np.save(stream, value, allow_pickle=True)
        with pytest.raises(InputError, match="cannot be read"):
            BoxStatistics.load(path)
