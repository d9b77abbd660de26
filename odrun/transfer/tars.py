"""The members of a tar, in the order they have in it, each to be read before the next.

`tarfile` takes damage in the middle for the end, and reads a header whole however large it says it is. So it is given a
stream that only goes forward, bounds each read, and knows whether the last header was the block of zeros that ends a
tar.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Protocol, cast

from odrun.transfer.members import BLOCK_BYTES, FaultyArchiveError, Limits, Member, refused, shown

_HEADER_BYTES_MAX = 1 << 20
_OVERHEAD_BYTES = 8192
"""What a member may have besides its content: headers, extended headers and padding."""


class Readable(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes; fewer only at the end."""


def tar_members(content: Readable, limits: Limits) -> Iterator[Member]:
    """The members of the tar that `content` yields, which is read to its end; files and folders alone.

    Raises:
        FaultyArchiveError: a link, a device or a sparse file; too many members; too many bytes; a tar without an end.
        tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RuntimeError: damage.
    """
    stream = _ForwardStream(content, limits)
    # A cast, as tarfile asks for a whole file object and uses read, seek and tell.
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        number = 0
        while (member := tar.next()) is not None:
            number += 1
            limits.check_members(number)
            yield _member(member, stream)
            # Which tarfile would keep, all of them.
            tar.members.clear()  # type: ignore[attr-defined]
    if stream.last_read != bytes(tarfile.BLOCKSIZE):
        raise FaultyArchiveError("is damaged: it ends, or has something else, where a member or the end belongs")
    stream.read_to_end()


def _member(member: tarfile.TarInfo, stream: _ForwardStream) -> Member:
    if member.issparse():
        raise refused(f"has a sparse file, {shown(member.name)}")
    if not (member.isreg() or member.isdir()):
        raise refused(f"has a link or device, {shown(member.name)}")
    size_bytes = 0 if member.isdir() else member.size

    def blocks() -> Iterator[bytes]:
        stream.seek(member.offset_data)
        left_bytes = size_bytes
        while left_bytes > 0:
            block = stream.take(min(left_bytes, BLOCK_BYTES))
            if not block:
                raise EOFError(f"{shown(member.name)} is cut off")
            left_bytes -= len(block)
            yield block

    return Member(member.name, member.isdir(), size_bytes, blocks)


class _ForwardStream:
    def __init__(self, content: Readable, limits: Limits) -> None:
        self._content = content
        self._limits = limits
        self._position = 0
        self.last_read = b""

    def read(self, size: int) -> bytes:
        """A header, or a part of one."""
        if not 0 <= size <= _HEADER_BYTES_MAX:
            raise FaultyArchiveError(f"is damaged: a header states that it has {size} bytes")
        self.last_read = self.take(size)
        return self.last_read

    def take(self, size: int) -> bytes:
        block = self._content.read(size)
        self._position += len(block)
        self._limits.check_bytes(self._position - _OVERHEAD_BYTES * (self._limits.members + 2))
        return block

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise FaultyArchiveError("is damaged: a member begins before the one it follows has ended")
        while self._position < position and self.take(min(position - self._position, BLOCK_BYTES)):
            pass
        return self._position

    def read_to_end(self) -> None:
        """To where gzip keeps its checksum."""
        while self.take(BLOCK_BYTES):
            pass
