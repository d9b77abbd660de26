"""What the W&B client has written of an offline run."""

from __future__ import annotations

import struct
from pathlib import Path

from wandb.proto import wandb_internal_pb2


def offline_records(folder: Path) -> list[wandb_internal_pb2.Record]:
    """The records of the one offline run: a 7-byte header, then 32 KiB blocks of LevelDB's log format."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    content, position, records, parts = file.read_bytes(), 7, [], b""
    while position + 7 <= len(content):
        left_in_block = 32768 - position % 32768
        if left_in_block < 7:
            position += left_in_block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            records.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return records
