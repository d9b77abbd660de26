"""The members of an archive → files and folders below one folder.

Comes in: members as the archive names them. Refused, as `FaultyArchiveError`: every name that leads out of the folder,
that a disk does not take or that was there before, and more members or bytes than are allowed. Bytes are counted as
they are written, not as the archive states them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

BLOCK_BYTES = 1 << 20
NAME_BYTES_MAX = 255
FOLDERS_DEEP_MAX = 64
RATIO_MAX = 200
"""Images hardly shrink and annotations to a tenth or so; deflate ends at 1032."""
HARMLESS_BYTES = 64 << 20
"""Content for which no ratio is asked."""
_REFUSED_BY_THE_DISK = frozenset((errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ))


class FaultyArchiveError(Exception):
    """What is wrong with an archive, as the end of a sentence that begins with "the archive"."""


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive: its name there, its stated size, and what yields its content in blocks."""

    name: str
    is_folder: bool
    size_bytes: int
    blocks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Limits:
    """What an archive of `archive_bytes` may unpack to, at most."""

    members: int
    content_bytes: int
    archive_bytes: int

    def check_members(self, count: int) -> None:
        """Refuse more than `members` files and folders."""
        if count > self.members:
            raise refused(f"has more than {self.members} members")

    def check_bytes(self, content_bytes: int) -> None:
        """Refuse more than `content_bytes`, and more than `RATIO_MAX` times what the archive has."""
        if content_bytes > self.content_bytes:
            raise refused(f"unpacks to more than {self.content_bytes / 2**30:g} GiB")
        if content_bytes > max(HARMLESS_BYTES, RATIO_MAX * self.archive_bytes):
            raise refused(f"unpacks to more than {RATIO_MAX} times its size")


class Destination:
    """The folder that members are written to; it has to be empty at first."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._made = {folder}
        self._files = 0
        self._bytes = 0

    @property
    def files(self) -> int:
        """How many files have been written."""
        return self._files

    def write(self, member: Member, blocks: Iterable[bytes]) -> None:
        """Make the file or folder of `member`; `blocks` is its content.

        Raises:
            FaultyArchiveError: see the module.
            OSError: the folder cannot be written.
        """
        parts = _checked_parts(member)
        try:
            self._make_folders(parts if member.is_folder else parts[:-1], member.name)
            if not member.is_folder:
                self._write_file(self._folder.joinpath(*parts), member, blocks)
        except OSError as error:
            if error.errno in _REFUSED_BY_THE_DISK:
                raise refused(f"has a member whose name the disk does not take, {shown(member.name)}") from error
            raise

    def _make_folders(self, parts: tuple[str, ...], name: str) -> None:
        folder = self._folder
        for part in parts:
            folder = folder / part
            if folder in self._made:
                continue
            try:
                folder.mkdir()
            except FileExistsError as error:
                raise refused(f"has two members with one name, {shown(name)}") from error
            self._made.add(folder)
            self._count()

    def _write_file(self, path: Path, member: Member, blocks: Iterable[bytes]) -> None:
        self._files += 1
        self._count()
        try:
            # Exclusively, as a disk may take two names for one: for their case, or how their letters are composed.
            target = path.open("xb")
        except FileExistsError as error:
            raise refused(f"has two members with one name, {shown(member.name)}") from error
        written_bytes = 0
        with target:
            for block in blocks:
                written_bytes += len(block)
                self._bytes += len(block)
                self._limits.check_bytes(self._bytes)
                target.write(block)
        if written_bytes != member.size_bytes:
            raise FaultyArchiveError(
                f"is damaged: {shown(member.name)} has {written_bytes} bytes and states {member.size_bytes}"
            )

    def _count(self) -> None:
        self._limits.check_members(self._files + len(self._made) - 1)


def refused(fault: str) -> FaultyArchiveError:
    """The archive could be read, and is not to be."""
    return FaultyArchiveError(f"{fault}; nothing of it was kept")


def shown(name: str) -> str:
    """A member's name as messages give it: quoted, on one line, not endless."""
    return f"{name!r}" if len(name) <= 200 else f"{name[:200]!r}..."


def _checked_parts(member: Member) -> tuple[str, ...]:
    """The member's path below the folder; backslashes separate too, as the tools that write them mean it."""
    name = member.name
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
        raise refused(f"has a member outside of itself, {shown(name)}")
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts and not member.is_folder:
        raise refused(f"has a member without a name, {shown(name)}")
    if len(parts) > FOLDERS_DEEP_MAX:
        raise refused(f"has a member more than {FOLDERS_DEEP_MAX} folders deep, {shown(name)}")
    if "\0" in name:
        raise refused(f"has a member whose name the disk does not take, {shown(name)}")
    try:
        longest_bytes = max((len(part.encode()) for part in parts), default=0)
    except UnicodeEncodeError as error:
        raise refused(f"has a member whose name is not UTF-8, {shown(name)}") from error
    if longest_bytes > NAME_BYTES_MAX:
        raise refused(f"has a member with a name of more than {NAME_BYTES_MAX} bytes, {shown(name)}")
    return parts
