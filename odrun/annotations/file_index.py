"""What is looked up of each of many files of a listing, held in a few bytes of each."""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, MutableMapping

from odrun.annotations.files import ListedFile, Listing

_HASH_BITS = 32
_NO_WORD = 0
_MOST_WORDS = 255


class FileIndex:
    """Finds the files of a listing that have a key, a text that `key_of` makes of a file: 8 bytes of each are held."""

    def __init__(self, files: Listing, key_of: Callable[[ListedFile], str]) -> None:
        # It takes a while to be imported, and who finds his records ready looks no file up.
        import numpy as np

        self._files = files
        self._key_of = key_of
        # A key's hash, and behind it the place of its file.
        hashed = (_hash(key_of(file)) << _HASH_BITS | place for place, file in enumerate(files))
        self._entries = array("Q", hashed)
        np.frombuffer(self._entries, np.uint64).sort()

    def find(self, key: str) -> list[ListedFile]:
        """The files with that key, in the order of the listing."""
        hashed = _hash(key)
        found = []
        position = bisect_left(self._entries, hashed << _HASH_BITS)
        while position < len(self._entries) and self._entries[position] >> _HASH_BITS == hashed:
            file = self._files[self._entries[position] & ((1 << _HASH_BITS) - 1)]
            # Others may have the same hash.
            if self._key_of(file) == key:
                found.append(file)
            position += 1
        return found


class FileWords(MutableMapping[str, str]):
    """One of a few words (such as the part of a split) for files of a listing, by their names: a byte for each file.

    KeyError for the name of a file that is not in the listing, or has no word.
    """

    def __init__(self, files: Listing) -> None:
        self._files = files
        self._codes = bytearray(len(files))
        self._words: list[str] = []

    def __getitem__(self, name: str) -> str:
        return self._words[self._codes[self._place(name)] - 1]

    def __setitem__(self, name: str, word: str) -> None:
        place = self._files.place(name)
        if place is None:
            raise KeyError(name)
        if word not in self._words:
            if len(self._words) == _MOST_WORDS:
                raise ValueError(f"more than {_MOST_WORDS} words")
            self._words.append(word)
        self._codes[place] = 1 + self._words.index(word)

    def __delitem__(self, name: str) -> None:
        self._codes[self._place(name)] = _NO_WORD

    def __contains__(self, name: object) -> bool:
        place = self._files.place(name) if isinstance(name, str) else None
        return place is not None and self._codes[place] != _NO_WORD

    def __iter__(self) -> Iterator[str]:
        return (name for name, code in zip(self._files.names(), self._codes, strict=True) if code != _NO_WORD)

    def __len__(self) -> int:
        return len(self._codes) - self._codes.count(_NO_WORD)

    @property
    def words(self) -> frozenset[str]:
        """The words that files have."""
        return frozenset(word for code, word in enumerate(self._words, start=1) if code in self._codes)

    def _place(self, name: str) -> int:
        place = self._files.place(name)
        if place is None or self._codes[place] == _NO_WORD:
            raise KeyError(name)
        return place


def _hash(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass"))
