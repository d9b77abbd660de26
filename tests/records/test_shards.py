from __future__ import annotations

import struct
from pathlib import Path

import pytest

from odrun.records.index import RecordIndex
from odrun.records.shards import framed, shard_name, write_shards

PAYLOADS = [b"a" * 10, b"", b"\x00\xff" * 50, b"last", b"one more"]


def names_and_payloads(paths: list[Path]) -> dict[str, list[bytes]]:
    return {path.name: list(RecordIndex([path], pattern="")) for path in paths}


def test_a_record_is_framed_by_length_and_masked_checksums():
    # 0xE3069283 is the check value of CRC-32C, of the nine digits.
    masked = ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    content = framed(b"123456789")
    assert content[:8] == struct.pack("<Q", 9)
    assert content[12:] == b"123456789" + struct.pack("<I", masked)


def test_payloads_come_back_in_order_from_shards_of_nearly_equal_numbers(tmp_path):
    assert names_and_payloads(write_shards(tmp_path, "train", PAYLOADS, count=5, shards=2)) == {
        "train-00000-of-00002.tfrecord": PAYLOADS[:2],
        "train-00001-of-00002.tfrecord": PAYLOADS[2:],
    }


def test_the_same_payloads_give_the_same_bytes(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    one, other = (write_shards(tmp_path / name, "x", PAYLOADS, count=5, shards=1) for name in ("one", "other"))
    assert one[0].read_bytes() == other[0].read_bytes() == b"".join(map(framed, PAYLOADS))


def test_shards_are_named_as_the_od_api_names_them():
    assert shard_name("val", 12, 345) == "val-00012-of-00345.tfrecord"


@pytest.mark.parametrize("count", [4, 6])
def test_another_number_of_payloads_than_announced_is_refused(tmp_path, count):
    with pytest.raises(ValueError, match="announced"):
        write_shards(tmp_path, "x", PAYLOADS, count=count, shards=2)


@pytest.mark.parametrize("shards", [0, 6])
def test_more_shards_than_payloads_are_refused(tmp_path, shards):
    with pytest.raises(ValueError, match="do not fill"):
        write_shards(tmp_path, "x", PAYLOADS, count=5, shards=shards)
