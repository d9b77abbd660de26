"""TFRecord files read by number: where each record begins is found once, and each is then read by itself.

Only the headers are read for that, so that a large data set is open at once and no buffer of records is needed.
"""

from __future__ import annotations

import glob
import os
import re
import threading
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from odrun.errors import InputError, RunFailedError
from odrun.records.shards import FOOTER_BYTES, HEADER_BYTES, checked_payload, length_in

_REMEDY = "delete {folder} and run again"


class RecordIndex:
    """The payloads of the records of several files in one numbering, from 0 in the order of the files.

    Reading is safe from several threads at once.

    Raises:
        InputError: there is no file, no record, or a file is cut off or damaged where a record begins.
    """

    def __init__(self, files: Sequence[Path], *, pattern: str) -> None:
        if not files:
            raise InputError("there are no record files", where=pattern, remedy="check the path")
        self._files = tuple(files)
        offsets = [_offsets(file) for file in self._files]
        self._ends = np.cumsum([len(part) for part in offsets])
        self._offsets = np.concatenate(offsets)
        self._open: dict[int, int] = {}
        self._lock = threading.Lock()
        if not len(self):
            raise InputError("the record files hold no record", where=pattern, remedy=_remedy(self._files[0]))

    @classmethod
    def matching(cls, pattern: str) -> RecordIndex:
        """The records of the files that the glob `pattern` matches, in the order of their names."""
        # Path.glob takes relative patterns only.
        names = glob.glob(_plain_glob(pattern))  # noqa: PTH207
        return cls([Path(name) for name in sorted(names)], pattern=pattern)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> bytes:
        """The content of record `number`.

        Raises:
            IndexError: there is no such record.
            RunFailedError: it cannot be read, or does not fit its checksum.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        position, begin = self._file(number), int(self._offsets[number])
        try:
            descriptor = self._descriptor(position)
            header = os.pread(descriptor, HEADER_BYTES, begin)
            content = os.pread(descriptor, length_in(header) + FOOTER_BYTES, begin + HEADER_BYTES)
            return checked_payload(content)
        except (OSError, ValueError) as error:
            raise RunFailedError(
                f"a record cannot be read: it {error}",
                where=self.where(number),
                remedy=_remedy(self._files[position]),
            ) from error

    def where(self, number: int) -> str:
        """The file of record `number` and its place in there, for a message."""
        position = self._file(number)
        return f"{self._files[position]}, record {number - (int(self._ends[position - 1]) if position else 0)}"

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def close(self) -> None:
        """Close the files when nobody reads; a later read opens them again."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def _file(self, number: int) -> int:
        return int(np.searchsorted(self._ends, number, side="right"))

    def _descriptor(self, position: int) -> int:
        with self._lock:
            if position not in self._open:
                self._open[position] = os.open(self._files[position], os.O_RDONLY)
            return self._open[position]


def _offsets(path: Path) -> np.ndarray:
    """The byte at which each record of a file begins."""
    begins = array("q")
    size = path.stat().st_size
    with path.open("rb", buffering=0) as stream:
        begin = 0
        while begin < size:
            stream.seek(begin)
            try:
                end = begin + HEADER_BYTES + length_in(stream.read(HEADER_BYTES)) + FOOTER_BYTES
            except ValueError as error:
                raise InputError(f"record {len(begins)} {error}", where=str(path), remedy=_remedy(path)) from error
            if end > size:
                raise InputError(f"record {len(begins)} is cut off", where=str(path), remedy=_remedy(path))
            begins.append(begin)
            begin = end
    return np.array(begins, np.int64)


def _plain_glob(pattern: str) -> str:
    r"""TensorFlow escapes signs of a glob with `\`, Python with brackets."""
    return re.sub(r"\\(.)", lambda escaped: glob.escape(escaped[1]), pattern)


def _remedy(path: Path) -> str:
    return _REMEDY.format(folder=path.parent)
