"""Numbers and digests of many files or images, on disk: rows of one layout, appended, then read by their number.

Comes in: an open file and a layout of `struct`. Held is a block of rows, so that to read them in about their order is
fastest.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

BLOCK_BYTES = 1 << 14
_BLOCKS_REMEMBERED = 4


class Rows:
    """Rows in a file, which is closed with this object; pickled it is the path of that, to be read elsewhere.

    Raises:
        OSError: the file cannot be written or read.
    """

    def __init__(self, stream: BinaryIO, layout: Struct) -> None:
        self._stream = stream
        weakref.finalize(self, stream.close)
        self._layout = layout
        self._in_block = max(1, BLOCK_BYTES // layout.size)
        self._length = 0
        self._is_flushed = True
        self._remembered: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._length

    def append(self, *values: object) -> None:
        """Write one more row."""
        self._stream.write(self._layout.pack(*values))
        self._length += 1
        self._is_flushed = False

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        """The values of row `number`, from 0.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= number < self._length:
            raise IndexError(number)
        block, within = divmod(number, self._in_block)
        return self._layout.unpack_from(self._block(block), within * self._layout.size)

    def __getstate__(self) -> tuple[str, str, int]:
        self._flush()
        return self._stream.name, self._layout.format, self._length

    def __setstate__(self, state: tuple[str, str, int]) -> None:
        path, layout, length = state
        self.__init__(Path(path).open("rb"), Struct(layout))  # type: ignore[misc]  # noqa: SIM115 - closed with this object
        self._length = length

    def _block(self, block: int) -> bytes:
        if not self._is_flushed:
            self._flush()
        content = self._remembered.get(block)
        if content is None:
            if len(self._remembered) == _BLOCKS_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            size_bytes = self._in_block * self._layout.size
            content = self._remembered[block] = os.pread(self._stream.fileno(), size_bytes, block * size_bytes)
        return content

    def _flush(self) -> None:
        self._stream.flush()
        # The last block may have been read when it was shorter.
        self._remembered.clear()
        self._is_flushed = True
