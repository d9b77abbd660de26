"""An archive (`.zip`, `.tar`, `.tar.gz`; by its content, not its name) → a folder with what is in it, once.

Archives come from elsewhere, so nothing in them is trusted. Refused, with the member's name and nothing kept: members
outside of the archive, links, devices, encrypted members, two members with one name, names that are not UTF-8 or too
long, more members or bytes than allowed, damage. The folder appears whole or not at all, by one process at a time.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from odrun.errors import InputError
from odrun.runs.folders import one_writer, whole_folder
from odrun.transfer.members import BLOCK_BYTES, Destination, FaultyArchiveError, Limits, Member
from odrun.transfer.tars import tar_members
from odrun.transfer.zips import zip_members

REMEDY = "get the archive again, or unpack it yourself and give the folder"
_SUFFIX = re.compile(r"\.(zip|tgz|tar|tar\.gz)$", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    # Also RecursionError, of headers that announce headers, and NotImplementedError, of unknown compressions.
    RuntimeError,
)
_Item = TypeVar("_Item")


def unpack(
    archive: Path,
    folder_of_archives: Path,
    *,
    members_max: int,
    bytes_max: int,
    key: str = "dataset.path",
    remedy: str = REMEDY,
    accept: Callable[[Path], None] = lambda _: None,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """The folder `<folder_of_archives>/<stem>-<sha256, 12 digits>/` with the content of `archive`; made if not there.

    `members_max` bounds the files and folders in it, `bytes_max` their content. `key` is the setting that named the
    archive. `accept` is given the complete content before it appears, to refuse it by an InputError. `report` is told
    of waiting for another process, `progress` how many bytes of the archive, of how many, have been read.

    Raises:
        InputError: the archive is absent or refused (its remedy is `remedy`), or the cache cannot be written.
    """
    stem = plain_name(_SUFFIX.sub("", archive.name))
    with _opened(archive, key) as stream:
        folder = folder_of_archives / f"{stem}-{_sha256(stream, archive, key)[:12]}"
        if folder.is_dir():
            return folder
        limits = Limits(members_max, bytes_max, archive_bytes=stream.tell())
        try:
            with one_writer(folder, waiting=lambda: report(f"another odrun is unpacking {archive}: waiting for it")):
                if not folder.is_dir():
                    with whole_folder(folder) as temporary:
                        _extract(stream, temporary, limits, progress)
                        accept(temporary)
        except FaultyArchiveError as error:
            raise InputError(f"the archive {error}", where=str(archive), remedy=remedy) from error
        except OSError as error:
            raise unwritable(folder_of_archives, error) from error
    return folder


def plain_name(name: str) -> str:
    """`name` as one that every disk takes: ASCII letters, digits and `._-`, not hidden, at most 60 of them."""
    return _NOT_PLAIN.sub("_", name).lstrip(".")[:60] or "data"


def unwritable(folder: Path, error: OSError) -> InputError:
    """What the system refuses in the cache, as the user's error."""
    reason = (error.strerror or str(error)).lower()
    return InputError(f"the cache cannot be written: {reason}", where=str(folder), remedy="paths.cache=DIR")


def _opened(archive: Path, key: str) -> IO[bytes]:
    try:
        if archive.exists() and not archive.is_file():
            # A pipe would be waited for until somebody writes to it.
            raise OSError("it is not a file")
        return archive.open("rb")
    except OSError as error:
        raise _unreadable(archive, key, error) from error


def _sha256(stream: IO[bytes], archive: Path, key: str) -> str:
    digest = hashlib.sha256()
    try:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    except OSError as error:
        raise _unreadable(archive, key, error) from error
    return digest.hexdigest()


def _unreadable(archive: Path, key: str, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    return InputError(f"the archive cannot be read: {reason}", where=f"{key}={archive}", remedy=f"{key}=FILE.tar.gz")


def _extract(stream: IO[bytes], folder: Path, limits: Limits, progress: Callable[[int, int], None]) -> None:
    destination = Destination(folder, limits)

    def counted(blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield block
            progress(stream.tell(), limits.archive_bytes)

    for member in _sound(_members(stream, limits)):
        destination.write(member, counted(_sound(member.blocks())))
    progress(limits.archive_bytes, limits.archive_bytes)
    if not destination.files:
        raise FaultyArchiveError("holds no file")


def _members(stream: IO[bytes], limits: Limits) -> Iterator[Member]:
    stream.seek(0)
    beginning = stream.read(64).lstrip().lower()
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic) or beginning.startswith(magic):
            raise FaultyArchiveError(f"is {kind}, and has to be a .zip, .tar or .tar.gz")
    if start.startswith(_ZIP):
        yield from zip_members(stream, limits)
    elif start.startswith(_GZIP):
        with gzip.GzipFile(fileobj=stream, mode="rb") as content:
            yield from tar_members(content, limits)
    else:
        yield from tar_members(stream, limits)


def _sound(items: Iterator[_Item]) -> Iterator[_Item]:
    """The items, with whatever reading them raises as damage of the archive."""
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except _DAMAGE as error:
            raise FaultyArchiveError(f"is damaged or not a .tar.gz, .tar or .zip: {error}") from error
        yield item
