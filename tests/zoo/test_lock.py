from __future__ import annotations

import json
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.zoo.lock import Seal, record, require_recorded, seal_of

# The SHA-256 of "abc" is the first example of FIPS 180-2, appendix B.1.
ABC = Seal(3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
OTHER = Seal(4, "0" * 64)


def test_a_seal_is_size_and_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert seal_of(tmp_path / "a") == ABC


def test_what_is_recorded_is_required_ever_after(tmp_path: Path) -> None:
    lock, archive = tmp_path / "zoo.lock", tmp_path / "a.tar.gz"
    require_recorded(lock, "b/a", archive, ABC, remedy="fetch it")
    record(lock, "b/a", archive, ABC, remedy="fetch it")
    record(lock, "a/a", archive, OTHER, remedy="fetch it")
    require_recorded(lock, "b/a", archive, ABC, remedy="fetch it")
    assert list(json.loads(lock.read_text()).items()) == [
        ("a/a", {"size_bytes": 4, "sha256": OTHER.sha256}),
        ("b/a", {"size_bytes": 3, "sha256": ABC.sha256}),
    ]
    for refuse in (require_recorded, record):
        with pytest.raises(InputError) as caught:
            refuse(lock, "b/a", archive, OTHER, remedy="fetch it")
        assert caught.value.what == (
            f"the archive is not the one that was used before: it has 4 bytes with the SHA-256 {OTHER.sha256}, "
            f"and 3 bytes with the SHA-256 {ABC.sha256} is recorded"
        )
        assert caught.value.where == f"{archive} (recorded in {lock})"
        assert caught.value.remedy == f'fetch it; if the new one is right, delete "b/a" in {lock}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"a": 1}',
        b'{"a": {"size_bytes": 1}}',
        b'{"a": {"size_bytes": true, "sha256": "' + b"0" * 64 + b'"}}',
        b'{"a": {"size_bytes": 1, "sha256": "0"}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_record_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    lock = tmp_path / "zoo.lock"
    lock.write_bytes(content)
    for refuse in (require_recorded, record):
        with pytest.raises(InputError, match="cannot be read, or is damaged") as caught:
            refuse(lock, "b", tmp_path / "b", ABC, remedy="fetch it")
        assert caught.value.where == str(lock)
    assert lock.read_bytes() == content
