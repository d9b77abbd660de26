from __future__ import annotations

from pathlib import Path

import pytest

from odrun.annotations import file_index
from odrun.annotations.file_index import FileIndex, FileWords
from odrun.annotations.files import Listing

FILES = Listing.of(Path("data"), ("b/1.jpg", "a/1.png", "a/1.jpg", "a/2.jpg"))


def found(key: str) -> list[str]:
    return [file.name for file in FileIndex(FILES, lambda file: file.stem).find(key)]


def test_files_are_found_by_their_key_in_the_order_of_the_listing():
    assert (found("1"), found("2"), found("3")) == (["a/1.jpg", "a/1.png", "b/1.jpg"], ["a/2.jpg"], [])


def test_keys_of_the_same_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(file_index.zlib, "crc32", lambda _: (1 << 32) - 1)
    assert (found("1"), found("2"), found("3")) == (["a/1.jpg", "a/1.png", "b/1.jpg"], ["a/2.jpg"], [])


def test_an_index_of_no_file_finds_none():
    assert FileIndex(Listing.of(Path(), ()), lambda file: file.name).find("a") == []


def test_files_have_the_word_that_was_last_set():
    words = FileWords(FILES)
    words.update({"a/1.jpg": "train", "b/1.jpg": "train", "a/2.jpg": "train"})
    words["b/1.jpg"] = "validation"
    del words["a/2.jpg"]
    assert words == {"a/1.jpg": "train", "b/1.jpg": "validation"}
    assert ("a/2.jpg" in words, "gone" in words, words.get("a/2.jpg"), len(words)) == (False, False, None, 2)


def test_words_that_no_file_has_any_more_are_not_among_those_of_all():
    words = FileWords(FILES)
    words["a/1.jpg"] = "train"
    words["a/1.jpg"] = "validation"
    assert words.words == {"validation"}


def test_a_file_that_is_not_listed_gets_no_word():
    with pytest.raises(KeyError, match="gone"):
        FileWords(FILES)["gone"] = "train"


def test_more_words_than_a_byte_tells_apart_are_refused():
    words = FileWords(FILES)
    for number in range(255):
        words["a/1.jpg"] = str(number)
    with pytest.raises(ValueError, match="more than 255 words"):
        words["a/1.jpg"] = "one more"
