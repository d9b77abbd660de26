"""The members of a zip, in the order in which their content lies in it.

The end record and the directory are counted before `zipfile` reads the directory, which holds all of it in memory.
Names are UTF-8: so flagged, by Info-ZIP's extra field, or unflagged as macOS writes them.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from odrun.transfer.members import BLOCK_BYTES, FaultyArchiveError, Limits, Member, refused, shown

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR_BYTES = 20
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_SIGNATURE = b"PK\x06\x06"
_COMMENT_BYTES_MAX = (1 << 16) - 1
_ENTRY_SIGNATURE = b"PK\x01\x02"
_ENTRY = struct.Struct("<4s24x3H12x")
_ENTRY_BYTES_MAX = 1024
"""What a member's entry may have in the directory, on the average: 46 bytes, its name, and what extra a tool adds."""
_UTF8_FLAG = 1 << 11
_ENCRYPTED_FLAGS = 1 << 0 | 1 << 6 | 1 << 13
_UNICODE_PATH = 0x7075


def zip_members(stream: IO[bytes], limits: Limits) -> Iterator[Member]:
    """The members of the zip that `stream` is; files and folders alone.

    Raises:
        FaultyArchiveError: a link, a device or an encrypted member; too many members; a name that is not UTF-8.
        zipfile.BadZipFile, OSError, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError, RuntimeError:
            damage.
    """
    _check_directory(stream, limits)
    with zipfile.ZipFile(stream) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            yield _member(archive, info)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = _name(info)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused(f"has a link or device, {shown(name)}")
    if info.flag_bits & _ENCRYPTED_FLAGS:
        raise refused(f"has an encrypted member, {shown(name)}")

    def blocks() -> Iterator[bytes]:
        with archive.open(info) as content:
            while block := content.read(BLOCK_BYTES):
                yield block

    is_folder = kind == stat.S_IFDIR or name.endswith(("/", "\\"))
    return Member(name, is_folder, info.file_size, blocks)


def _name(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _UTF8_FLAG or info.orig_filename.isascii():
        return info.orig_filename
    # zipfile decodes unflagged names by code page 437, which has a letter for each byte: so nothing is lost.
    raw = info.orig_filename.encode("cp437")
    try:
        return (_unicode_path(info.extra, raw) or raw).decode()
    except UnicodeDecodeError as error:
        raise refused(f"has a member whose name is not UTF-8, {shown(info.orig_filename)}") from error


def _unicode_path(extra: bytes, raw_name: bytes) -> bytes | None:
    """The UTF-8 name in Info-ZIP's field 0x7075: version 1, CRC-32 of the raw name, name (APPNOTE.TXT 4.6.9)."""
    while len(extra) >= 4:
        identifier, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if identifier == _UNICODE_PATH and len(field) > 5 and field[0] == 1:
            return field[5:] if struct.unpack_from("<L", field, 1)[0] == zlib.crc32(raw_name) else None
    return None


def _check_directory(stream: IO[bytes], limits: Limits) -> None:
    """Refuse more members than allowed: first as the end record states them, then as the directory lists them.

    The stated count alone is not enough: macOS writes it modulo 65536.
    """
    stated_count, start, size = _directory(stream)
    limits.check_members(stated_count)
    stream.seek(start)
    read_bytes = 0
    count = 0
    while read_bytes < size:
        entry = stream.read(_ENTRY.size)
        if len(entry) < _ENTRY.size or not entry.startswith(_ENTRY_SIGNATURE):
            raise FaultyArchiveError("is damaged: its directory is not one")
        count += 1
        limits.check_members(count)
        following_bytes = sum(_ENTRY.unpack(entry)[1:])
        stream.seek(following_bytes, os.SEEK_CUR)
        read_bytes += _ENTRY.size + following_bytes
    if size > _ENTRY_BYTES_MAX * (limits.members + 1):
        raise refused(f"has a directory of {size} bytes")
    if count & 0xFFFF != stated_count & 0xFFFF:
        raise FaultyArchiveError(f"is damaged: its directory lists {count} members and its end states {stated_count}")


def _directory(stream: IO[bytes]) -> tuple[int, int, int]:
    """The stated number of members, and where the directory begins and how long it is in bytes (APPNOTE.TXT 4.3.16)."""
    total_bytes = stream.seek(0, os.SEEK_END)
    tail_start = max(total_bytes - _END.size - _COMMENT_BYTES_MAX, 0)
    stream.seek(tail_start)
    tail = stream.read()
    at = len(tail) - _END.size
    if at < 0 or not (tail[at:].startswith(_END_SIGNATURE) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise FaultyArchiveError("is damaged: it has no end record, so it is cut off")
    end = tail_start + at
    _, _, _, _, count, size, _, _ = _END.unpack_from(tail, at)
    stream.seek(max(end - _LOCATOR_BYTES - _END_64.size, 0))
    before = stream.read(_LOCATOR_BYTES + _END_64.size)
    if before.startswith(_END_64_SIGNATURE) and before[_END_64.size :].startswith(_LOCATOR_SIGNATURE):
        end -= len(before)
        *_, count, size, _ = _END_64.unpack_from(before)
    if size > end:
        raise FaultyArchiveError("is damaged: its directory begins before it does")
    return count, end - size, size
