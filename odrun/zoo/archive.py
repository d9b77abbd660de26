"""A zoo archive (`NAME.tar.gz`) → an unpacked folder in the cache, and the checkpoint in it.

Archives come from elsewhere, so nothing in them is trusted: members with absolute paths or `..`, links and devices are
refused, and so is more than 16 GiB of content. The folder appears whole or not at all.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from odrun.errors import InputError

UNPACKED_BYTES_MAX = 16 * 2**30
MEMBERS_MAX = 10_000
_OF_THE_NAMES = (None, errno.EEXIST, errno.EISDIR, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR)
"""What the names of an archive's members bring about: not the cache's fault. None is gzip's own damage."""
CHECKPOINT_INDEX = "checkpoint/ckpt-0.index"
_REMEDY = "fetch it again; it has to be the .tar.gz that the TensorFlow 2 detection zoo links to"


def unpack(archive: Path, cache: Path) -> Path:
    """The folder `cache/zoo/<stem>-<sha256, 12 digits>/` with the content of `archive`; made when it is not there yet.

    Raises:
        InputError: the archive is absent, damaged, hostile, too large or without a checkpoint, or the cache cannot be
            written.
    """
    digest = _sha256(archive)
    stem = archive.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
    folder = cache / "zoo" / f"{stem}-{digest[:12]}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{stem}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder.parent, error) from error
    try:
        _extract(archive, temporary)
        checkpoint_in(temporary, archive)
        temporary.chmod(0o755)
        _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def checkpoint_in(folder: Path, archive: Path) -> str:
    """The prefix of the checkpoint `.../checkpoint/ckpt-0` in an unpacked archive.

    Raises:
        InputError: there is none, there are several, or its data file is missing.
    """
    found = sorted(path for path in folder.rglob("ckpt-0.index") if path.parent.name == "checkpoint")
    if len(found) != 1:
        what = f"the archive holds {len(found)} checkpoints" if found else f"the archive holds no {CHECKPOINT_INDEX}"
        raise InputError(what, where=str(archive), remedy=_REMEDY)
    prefix = found[0].with_suffix("")
    if not any(prefix.parent.glob(f"{prefix.name}.data-*")):
        raise InputError("the archive's checkpoint has no data file", where=str(archive), remedy=_REMEDY)
    return str(prefix)


def _sha256(archive: Path) -> str:
    digest = hashlib.sha256()
    try:
        with archive.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except OSError as error:
        raise InputError(
            f"the archive cannot be read: {(error.strerror or str(error)).lower()}",
            where=f"model.archive={archive}",
            remedy="model.archive=FILE.tar.gz",
        ) from error
    return digest.hexdigest()


def _extract(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            unpacked_bytes = 0
            for number, member in enumerate(tar, start=1):
                unpacked_bytes += member.size
                _check(member, number, unpacked_bytes, archive)
                _write(tar, member, folder)
        _verify(archive)
    except (tarfile.TarError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno in _OF_THE_NAMES:
            raise _damaged(archive, error) from error
        raise _unwritable(folder.parent, error) from error


def _verify(archive: Path) -> None:
    """Read to the end, where gzip keeps its checksum; `tarfile` stops at the last member or at a bad header."""
    read_bytes = 0
    with gzip.open(archive) as stream:
        while (block := stream.read(2**20)) and read_bytes <= 2 * UNPACKED_BYTES_MAX:
            read_bytes += len(block)


def _check(member: tarfile.TarInfo, number: int, unpacked_bytes: int, archive: Path) -> None:
    fault = None
    posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
        fault = f"has a member outside of itself, {member.name!r}"
    elif not (member.isreg() or member.isdir()):
        fault = f"has a link or device, {member.name!r}"
    elif unpacked_bytes > UNPACKED_BYTES_MAX:
        fault = f"unpacks to more than {UNPACKED_BYTES_MAX / 2**30:g} GiB"
    elif number > MEMBERS_MAX:
        fault = f"has more than {MEMBERS_MAX} members"
    if fault is not None:
        raise InputError(f"the archive {fault}; nothing of it was kept", where=str(archive), remedy=_REMEDY)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = folder / member.name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _move(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError as error:
        # Another process that unpacked the same archive was faster: its folder has the same content.
        if not folder.is_dir():
            raise _unwritable(folder, error) from error


def _damaged(archive: Path, error: Exception) -> InputError:
    return InputError(f"the archive is damaged or not a .tar.gz: {error}", where=str(archive), remedy=_REMEDY)


def _unwritable(folder: Path, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    return InputError(f"the cache cannot be written: {reason}", where=str(folder), remedy="paths.cache=DIR")
