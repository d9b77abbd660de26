"""Records read by number, and every way in which a file can be damaged."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from odrun.errors import InputError, OdrunError, RunFailedError
from odrun.records.index import RecordIndex
from odrun.records.shards import shard_name, write_shard

PAYLOADS = [b"a" * 10, b"", b"\x00\xff" * 50, b"last", b"one more"]


def write_shards(folder: Path, name: str, payloads: list[bytes], *, shards: int) -> list[Path]:
    """The payloads in files of nearly equal numbers."""
    paths = [folder / shard_name(name, number, shards) for number in range(shards)]
    for number, path in enumerate(paths):
        own = payloads[len(payloads) * number // shards : len(payloads) * (number + 1) // shards]
        write_shard(path, ((payload,) for payload in own))
    return paths


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_shards(tmp_path, "train", PAYLOADS, shards=2)


def read(path: Path) -> list[bytes]:
    return list(RecordIndex([path], pattern=str(path)))


def test_any_record_of_any_file_is_read_by_its_number(files: list[Path], tmp_path: Path) -> None:
    records = RecordIndex.matching(f"{tmp_path}/train-?????-of-00002.tfrecord")

    assert len(records) == 5
    assert [records[number] for number in (4, 0, 2, 3, 1, 0)] == [PAYLOADS[number] for number in (4, 0, 2, 3, 1, 0)]
    assert records.where(3) == f"{files[1]}, record 1"
    with pytest.raises(IndexError):
        records[5]


def test_a_folder_with_signs_of_a_glob_in_its_name_is_found_as_tensorflow_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "a [x]*?"
    folder.mkdir()
    write_shards(folder, "train", PAYLOADS, shards=1)
    escaped = str(tmp_path) + "/a \\[x\\]\\*\\?"

    assert list(RecordIndex.matching(f"{escaped}/train-?????-of-00001.tfrecord")) == PAYLOADS


def test_threads_read_at_once(files: list[Path]) -> None:
    records = RecordIndex(files, pattern="")
    wrong: list[int] = []

    def read_all() -> None:
        wrong.extend(number for _ in range(200) for number in range(5) if records[number] != PAYLOADS[number])

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_closed_files_are_opened_again_for_the_next_record(files: list[Path]) -> None:
    records = RecordIndex(files, pattern="")
    assert records[0] == PAYLOADS[0]

    records.close()

    assert list(records) == PAYLOADS


@pytest.mark.parametrize(
    ("position", "fault"),
    [(0, "length that does not fit"), (9, "length that does not fit"), (14, "not fit its checksum"), (22, "not fit")],
)
def test_a_flipped_bit_is_found_and_named(tmp_path: Path, position: int, fault: str) -> None:
    path = write_shards(tmp_path, "x", PAYLOADS, shards=1)[0]
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)

    with pytest.raises(OdrunError, match=fault) as caught:
        read(path)

    assert caught.value.where is not None
    assert caught.value.where.startswith(str(path))
    assert caught.value.remedy == f"delete {tmp_path} and run again"


@pytest.mark.parametrize("kept", [5, 15, 24])
def test_a_file_cut_off_is_found_when_it_is_opened(tmp_path: Path, kept: int) -> None:
    path = write_shards(tmp_path, "x", PAYLOADS, shards=1)[0]
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(InputError, match="record 0 is cut off"):
        read(path)


def test_a_file_that_is_cut_off_later_fails_the_run_with_its_record(files: list[Path]) -> None:
    records = RecordIndex(files, pattern="")
    files[1].write_bytes(files[1].read_bytes()[:20])

    with pytest.raises(RunFailedError, match="a record cannot be read") as failure:
        records[2]

    assert failure.value.where == f"{files[1]}, record 0"


def test_an_empty_file_and_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    with pytest.raises(InputError, match="the record files hold no record"):
        RecordIndex.matching(f"{tmp_path}/empty")
    with pytest.raises(InputError, match="there are no record files"):
        RecordIndex.matching(f"{tmp_path}/absent")
