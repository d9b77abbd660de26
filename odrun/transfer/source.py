"""What `dataset.path` names (a folder, an archive, the http(s) address of an archive) → a folder to read.

Archives are unpacked and addresses fetched into the cache, once. Refused, as `InputError`: what is none of these, and
what `transfer.archives` and `transfer.download` refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from odrun.errors import InputError
from odrun.transfer.addresses import is_address

MEMBERS_MAX = 500_000
UNPACKED_BYTES_MAX = 1 << 38
_KEY = "dataset.path"
_REMEDY = "set dataset.path to a folder, a .zip, .tar or .tar.gz file, or the http(s) address of one"

Report = Callable[[str], None]
Progress = Callable[[str, int, "int | None"], None]
"""Told what is going on, and how many bytes of how many are done (None: not known)."""


def local_folder(path_or_address: str, cache: Path, *, report: Report, progress: Progress) -> Path:
    """The folder that `path_or_address` is, or holds: a folder of the user's, or one below `cache`/archives.

    Raises:
        InputError: see the module.
    """
    if is_address(path_or_address):
        from odrun.transfer.download import download

        file = download(
            path_or_address,
            cache / "downloads",
            report=report,
            progress=lambda done, total: progress("fetching", done, total),
        )
        return _unpacked(file, cache, report, progress, remedy=f"delete {file}, or put the right archive in its place")
    path = _existing(path_or_address)
    if path.is_dir():
        return path
    return _unpacked(path, cache, report, progress, remedy=f"{_REMEDY}; an archive may be unpacked by hand")


def _existing(text: str) -> Path:
    try:
        path = Path(text).expanduser()
        if text and (path.is_dir() or path.is_file()):
            return path
        fault = "neither a folder nor a file" if text and path.exists() else "not there"
        shown = path.absolute()
    except (OSError, RuntimeError, ValueError) as error:
        # A name too long, the home of nobody, a null byte.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"The data set's folder cannot be looked for: {reason}", where=_KEY, remedy=_REMEDY) from error
    raise InputError(f"The data set's folder is {fault}: {shown if text else 'no path'}", where=_KEY, remedy=_REMEDY)


def _unpacked(archive: Path, cache: Path, report: Report, progress: Progress, *, remedy: str) -> Path:
    # It takes a while to be imported, and most data lie in a folder.
    from odrun.transfer.archives import unpack

    folder = unpack(
        archive,
        cache / "archives",
        members_max=MEMBERS_MAX,
        bytes_max=UNPACKED_BYTES_MAX,
        remedy=remedy,
        report=report,
        progress=lambda done, total: progress("unpacking", done, total),
    )
    report(f"{archive} unpacked in {folder}")
    return folder
