from __future__ import annotations

import struct

from odrun.records.index import RecordIndex
from odrun.records.shards import framed, shard_name, write_shard

PAYLOADS = [b"a" * 10, b"", b"\x00\xff" * 50, b"last", b"one more"]


def test_a_record_is_framed_by_length_and_masked_checksums():
    # 0xE3069283 is the check value of CRC-32C, of the nine digits.
    masked = ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    content = framed(b"123456789")
    assert content[:8] == struct.pack("<Q", 9)
    assert content[12:] == b"123456789" + struct.pack("<I", masked)


def test_payloads_come_back_in_their_order(tmp_path):
    write_shard(tmp_path / "x.tfrecord", ((payload[:4], payload[4:]) for payload in PAYLOADS))
    assert list(RecordIndex([tmp_path / "x.tfrecord"], pattern="")) == PAYLOADS
    assert (tmp_path / "x.tfrecord").read_bytes() == b"".join(map(framed, PAYLOADS))


def test_shards_are_named_as_the_od_api_names_them():
    assert shard_name("val", 12, 345) == "val-00012-of-00345.tfrecord"
