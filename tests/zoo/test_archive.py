from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.zoo import archive as archives
from odrun.zoo.archive import checkpoint_in, unpack

GOOD = {
    "model_tpu-8/checkpoint/ckpt-0.index": b"index",
    "model_tpu-8/checkpoint/ckpt-0.data-00000-of-00001": b"weights",
    "model_tpu-8/pipeline.config": b"model {}",
}


def archive(folder: Path, files: dict[str, bytes], *, extra: tarfile.TarInfo | None = None) -> Path:
    path = folder / "model_tpu-8.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if extra is not None:
            tar.addfile(extra)
    return path


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def kept_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_an_archive_is_unpacked_under_its_name_and_digest(tmp_path: Path) -> None:
    path = archive(tmp_path, GOOD)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = unpack(path, tmp_path / "cache")
    assert folder == tmp_path / "cache" / "zoo" / f"model_tpu-8-{digest[:12]}"
    assert everything_below(folder) == GOOD
    assert checkpoint_in(folder, path) == str(folder / "model_tpu-8" / "checkpoint" / "ckpt-0")


def test_an_archive_without_a_checkpoint_is_not_kept(tmp_path: Path) -> None:
    path = archive(tmp_path, {"model_tpu-8/saved_model/saved_model.pb": b"x"})
    with pytest.raises(InputError, match="holds no checkpoint"):
        unpack(path, tmp_path / "cache")
    assert kept_in(tmp_path / "cache" / "zoo") == []


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ({"a": b"", "a/b": b""}, "has two members with one name, 'a/b'"),
        ({"x" * 300: b""}, f"has a member with a name of more than 255 bytes, '{'x' * 200}'..."),
    ],
)
def test_names_that_no_disk_takes_are_the_archives_fault(extra: dict[str, bytes], fault: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        unpack(archive(tmp_path, {**GOOD, **extra}), tmp_path / "cache")
    assert caught.value.what == f"the archive {fault}; nothing of it was kept"
    assert caught.value.where == str(tmp_path / "model_tpu-8.tar.gz")
    assert kept_in(tmp_path / "cache" / "zoo") == []


def test_an_unpacked_archive_is_used_again(tmp_path: Path) -> None:
    path = archive(tmp_path, GOOD)
    folder = unpack(path, tmp_path / "cache")
    (folder / "mark").write_text("")
    assert unpack(path, tmp_path / "cache") == folder
    assert (folder / "mark").exists()


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        (member("../outside", tarfile.REGTYPE), "has a member outside of itself, '../outside'"),
        (member("a/../../outside", tarfile.REGTYPE), "has a member outside of itself, 'a/../../outside'"),
        (member("/etc/outside", tarfile.REGTYPE), "has a member outside of itself, '/etc/outside'"),
        (member("C:\\outside", tarfile.REGTYPE), "has a member outside of itself, 'C:\\\\outside'"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "has a link or device, 'link'"),
        (member("hard", tarfile.LNKTYPE, "model_tpu-8/pipeline.config"), "has a link or device, 'hard'"),
        (member("pipe", tarfile.FIFOTYPE), "has a link or device, 'pipe'"),
        (member("device", tarfile.CHRTYPE), "has a link or device, 'device'"),
    ],
)
def test_a_hostile_archive_is_refused_and_nothing_of_it_kept(
    extra: tarfile.TarInfo, fault: str, tmp_path: Path
) -> None:
    path = archive(tmp_path, GOOD, extra=extra)
    with pytest.raises(InputError) as caught:
        unpack(path, tmp_path / "cache")
    assert caught.value.what == f"the archive {fault}; nothing of it was kept"
    assert caught.value.where == str(path)
    assert kept_in(tmp_path / "cache" / "zoo") == []
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [path.name]


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_BYTES_MAX", 10)
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack(archive(tmp_path, {"zeros": bytes(11)}), tmp_path / "cache")
    monkeypatch.setattr(archives, "MEMBERS_MAX", 2)
    with pytest.raises(InputError, match="has more than 2 members"):
        unpack(archive(tmp_path, {"a": b"", "b": b"", "c": b""}), tmp_path / "cache")
    assert kept_in(tmp_path / "cache" / "zoo") == []


@pytest.mark.parametrize("kept", [0, 1, 40, -30])
def test_a_damaged_archive_is_refused_and_nothing_of_it_kept(kept: int, tmp_path: Path) -> None:
    path = archive(tmp_path, GOOD)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"the archive is damaged or not a \.tar\.gz"):
        unpack(path, tmp_path / "cache")
    assert kept_in(tmp_path / "cache" / "zoo") == []


def test_an_archive_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {**GOOD, "noise": hashlib.sha512(b"x").digest() * 50})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError):
        unpack(path, tmp_path / "cache")
    assert kept_in(tmp_path / "cache" / "zoo") == []


def test_an_absent_archive_and_an_unwritable_cache_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        unpack(tmp_path / "absent.tar.gz", tmp_path / "cache")
    assert caught.value.what == "the archive cannot be read: no such file or directory"
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(InputError) as caught:
        unpack(archive(tmp_path, GOOD), occupied)
    assert caught.value.what == "the cache cannot be written: not a directory"
    assert caught.value.remedy == "paths.cache=DIR"


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"frozen_inference_graph.pb": b""}, "the archive holds no checkpoint/ckpt-0.index"),
        ({"a/ckpt-0.index": b""}, "the archive holds no checkpoint/ckpt-0.index"),
        ({"m/checkpoint/ckpt-0.index": b""}, "the archive's checkpoint has no data file"),
        ({"a/checkpoint/ckpt-0.index": b"", "b/checkpoint/ckpt-0.index": b""}, "the archive holds 2 checkpoints"),
    ],
)
def test_an_archive_without_one_whole_checkpoint_is_refused(files: dict[str, bytes], what: str, tmp_path: Path) -> None:
    path = archive(tmp_path, files)
    with pytest.raises(InputError) as caught:
        checkpoint_in(unpack(path, tmp_path / "cache"), path)
    assert (caught.value.what, caught.value.where) == (what, str(path))
