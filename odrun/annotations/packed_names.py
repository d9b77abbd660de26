"""Many names, sorted, in a few bytes each: neighbours begin alike, so that blocks of them are held compressed.

Comes in: distinct names in any order, without NUL. Goes out: a sequence that knows each by its number and the number of
each. Names of files that are numbered take about 4 bytes, random ones about 20; as objects they would take 90.
"""

from __future__ import annotations

import heapq
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

BLOCK_NAMES = 64
RUN_NAMES = 1 << 13
_BLOCKS_REMEMBERED = 8
_FAST = 1


class PackedNames(Sequence[str]):
    """Sorted names; to read them in about their order is fastest."""

    def __init__(self, names: Iterable[str]) -> None:
        # To be sorted, names are objects: no more than a run of them is at once.
        rest = iter(names)
        runs = []
        while run := sorted(islice(rest, RUN_NAMES)):
            runs.append([block for block, *_ in _packed(iter(run))])
        self._blocks: list[bytes] = []
        self._firsts: list[str] = []
        self._length = 0
        for block, first, count in _packed(heapq.merge(*map(_unpacked, runs))):
            self._blocks.append(block)
            self._firsts.append(first)
            self._length += count
        self._remembered: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(self._length))]
        if number < 0:
            number += self._length
        if not 0 <= number < self._length:
            raise IndexError(number)
        return self._block(number // BLOCK_NAMES)[number % BLOCK_NAMES]

    def __iter__(self) -> Iterator[str]:
        return _unpacked(self._blocks)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.number(name) is not None

    def number(self, name: str) -> int | None:
        """The number of a name, from 0; None of one that is not there."""
        block = bisect_right(self._firsts, name) - 1
        if block < 0:
            return None
        names = self._block(block)
        within = bisect_left(names, name)
        return block * BLOCK_NAMES + within if within < len(names) and names[within] == name else None

    def _block(self, block: int) -> list[str]:
        names = self._remembered.get(block)
        if names is None:
            if len(self._remembered) == _BLOCKS_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            names = self._remembered[block] = _names(self._blocks[block])
        return names


def _packed(names: Iterator[str]) -> Iterator[tuple[bytes, str, int]]:
    """Blocks of names, each with its first and how many there are."""
    while block := [*islice(names, BLOCK_NAMES)]:
        yield zlib.compress("\0".join(block).encode("utf-8", "surrogatepass"), _FAST), block[0], len(block)


def _unpacked(blocks: Iterable[bytes]) -> Iterator[str]:
    for block in blocks:
        yield from _names(block)


def _names(block: bytes) -> list[str]:
    return zlib.decompress(block).decode("utf-8", "surrogatepass").split("\0")
