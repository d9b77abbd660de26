from __future__ import annotations

import gzip
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odrun.errors import InputError
from odrun.transfer import members
from odrun.transfer.archives import plain_name, unpack

FILES = {"images/a.jpg": b"\xff\xd8" + bytes(range(256)) * 40, "images/empty.txt": b"", "labels.json": b"{}" * 900}
Pack = Callable[[Path, dict[str, bytes]], Path]

UNPACKING = """
import sys, time
from pathlib import Path
from odrun.transfer.archives import unpack

def progress(done, total):
    print("unpacking", flush=True)
    time.sleep(float(sys.argv[3]))

report = lambda line: print("waiting", flush=True)
print(unpack(Path(sys.argv[1]), Path(sys.argv[2]), members_max=99, bytes_max=1 << 20, report=report, progress=progress))
"""


def packed_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def packed_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def packed_tar_gz(path: Path, files: dict[str, bytes]) -> Path:
    return packed_tar(path, files, "w:gz")


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
PACKERS: list[Pack] = [packed_zip, packed_tar, packed_tar_gz]
every_kind = pytest.mark.parametrize("pack", PACKERS)


def unpacked(archive: Path, *, members_max: int = 100, bytes_max: int = 1 << 20) -> Path:
    return unpack(archive, archive.parent / "cache", members_max=members_max, bytes_max=bytes_max)


def fault_of(archive: Path, *, members_max: int = 100, bytes_max: int = 1 << 20) -> str:
    with pytest.raises(InputError) as caught:
        unpacked(archive, members_max=members_max, bytes_max=bytes_max)
    assert kept_in(archive.parent / "cache") == []
    assert caught.value.where == str(archive)
    assert "\n" not in caught.value.what
    return caught.value.what.removeprefix("the archive ")


def kept_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@every_kind
@pytest.mark.parametrize("name", ["data.zip", "data.TAR.gz", "data.tgz", "data.tar", "data.bin"])
def test_an_archive_is_read_by_its_content_whatever_its_name(pack: Pack, name: str, tmp_path: Path) -> None:
    folder = unpacked(pack(tmp_path / name, FILES))
    assert content_of(folder) == FILES
    assert folder.name.rpartition("-")[0] == ("data.bin" if name == "data.bin" else "data")


@every_kind
def test_an_archive_is_unpacked_once_for_its_content(pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / "data", FILES)
    folder = unpacked(archive)
    (folder / "mark").touch()
    assert unpacked(archive) == folder
    assert (folder / "mark").exists()
    assert unpacked(pack(tmp_path / "data", {"other": b""})) != folder


@every_kind
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../outside", "has a member outside of itself, '../outside'; nothing of it was kept"),
        ("a/../../outside", "has a member outside of itself, 'a/../../outside'; nothing of it was kept"),
        ("a\\..\\outside", "has a member outside of itself, 'a\\\\..\\\\outside'; nothing of it was kept"),
        ("/etc/outside", "has a member outside of itself, '/etc/outside'; nothing of it was kept"),
        ("C:\\outside", "has a member outside of itself, 'C:\\\\outside'; nothing of it was kept"),
        ("c:outside", "has a member outside of itself, 'c:outside'; nothing of it was kept"),
        ("\\\\host\\share", "has a member outside of itself, '\\\\\\\\host\\\\share'; nothing of it was kept"),
        ("labels.json", "has two members with one name, 'labels.json'; nothing of it was kept"),
        ("./labels.json", "has two members with one name, './labels.json'; nothing of it was kept"),
        ("labels.json/under", "has two members with one name, 'labels.json/under'; nothing of it was kept"),
        ("images", "has two members with one name, 'images'; nothing of it was kept"),
        (".", "has a member without a name, '.'; nothing of it was kept"),
        ("d/" * 64 + "d", f"has a member more than 64 folders deep, '{'d/' * 64}d'; nothing of it was kept"),
        ("é" * 128, f"has a member with a name of more than 255 bytes, '{'é' * 128}'; nothing of it was kept"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_name_is_refused(pack: Pack, name: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "inner" / "data"
    path.parent.mkdir()
    archive = _with_two(pack, path, name) if name in FILES else pack(path, {**FILES, name: b""})
    assert fault_of(archive) == fault
    assert [file.name for file in tmp_path.iterdir()] == ["inner"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["cache", "data"]


def _with_two(pack: Pack, path: Path, name: str) -> Path:
    """Two members with one name, which a mapping cannot say: packed under another name of equal length."""
    other = "x" * len(name)
    if pack is packed_zip:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"one")
            archive.writestr(name, b"two")
        return path
    packed_tar(path, {other: b"one", name: b"two"})
    plain = path.read_bytes()
    header = bytearray(plain[:512])
    header[: len(name)] = name.encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    content = bytes(header) + plain[512:]
    path.write_bytes(gzip.compress(content) if pack is packed_tar_gz else content)
    return path


def test_a_backslash_separates_folders(tmp_path: Path) -> None:
    assert content_of(unpacked(packed_zip(tmp_path / "data", {"a\\b.jpg": b"1"}))) == {"a/b.jpg": b"1"}


@every_kind
def test_too_many_members_and_folders_are_refused(pack: Pack, tmp_path: Path) -> None:
    fault = "has more than 3 members; nothing of it was kept"
    assert fault_of(pack(tmp_path / "files", dict.fromkeys("abcd", b"")), members_max=3) == fault
    assert fault_of(pack(tmp_path / "folders", {"a/b/c/d": b""}), members_max=3) == fault
    assert content_of(unpacked(pack(tmp_path / "few", {"a/b/c": b""}), members_max=3)) == {"a/b/c": b""}


@every_kind
def test_too_many_bytes_are_refused(pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / "data", {"a": os.urandom(1 << 19), "b": os.urandom((1 << 19) + 1)})
    assert fault_of(archive) == "unpacks to more than 0.000976562 GiB; nothing of it was kept"
    assert len(content_of(unpacked(archive, bytes_max=(1 << 20) + 1))) == 2


@pytest.mark.parametrize("pack", [packed_zip, packed_tar_gz])
def test_a_compression_bomb_is_refused(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "data", {"zeros": bytes(3 << 20)})
    assert len(content_of(unpacked(archive, bytes_max=1 << 30))) == 1
    monkeypatch.setattr(members, "HARMLESS_BYTES", 1 << 20)
    other = pack(tmp_path / "other", {"zeros": bytes(3 << 20), "x": b""})
    with pytest.raises(InputError, match="the archive unpacks to more than 200 times its size; nothing of it was kept"):
        unpacked(other, bytes_max=1 << 30)


@every_kind
def test_what_is_cut_off_is_refused_wherever_it_is_cut(pack: Pack, tmp_path: Path) -> None:
    whole = pack(tmp_path / "data", FILES).read_bytes()
    # A tar ends with blocks of zeros, of which the first one counts.
    end = len(whole.rstrip(b"\0")) + 1 if pack is packed_tar else len(whole)
    for length in sorted({*range(0, end, 97), *range(0, end, 512), end - 1}):
        (tmp_path / "data").write_bytes(whole[:length])
        assert fault_of(tmp_path / "data").startswith("is damaged")


@every_kind
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), faults=st.integers(1, 8))
def test_random_damage_ends_in_a_refusal_or_a_folder(pack: Pack, seed: int, faults: int, tmp_path: Path) -> None:
    content = bytearray(pack(tmp_path / "data", FILES).read_bytes())
    choose = random.Random(seed)
    for _ in range(faults):
        at = choose.randrange(len(content))
        content[at : at + choose.randrange(3)] = choose.choice((b"", b"\xff\xff", b"\0", b"-1", bytes(40), b"77777777"))
    (tmp_path / "data").write_bytes(content)
    assert (_refusal(tmp_path / "data") or "the archive ").startswith("the archive ")
    assert not list((tmp_path / "cache").glob("*.part"))


@every_kind
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30), max_size=4
    )
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_random_names_stay_below_the_folder(pack: Pack, names: list[str], tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir(exist_ok=True)
    archive = pack(outer / "data", dict.fromkeys(names, b""))
    assert "\n" not in (_refusal(archive) or "")
    assert [file.name for file in tmp_path.iterdir()] == ["outer"]
    assert {file.name for file in outer.iterdir()} <= {"data", "cache"}


def _refusal(archive: Path) -> str | None:
    try:
        unpacked(archive)
    except InputError as error:
        return error.what
    return None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"7z\xbc\xaf\x27\x1c1234", "is a 7z archive, and has to be a .zip, .tar or .tar.gz"),
        (b"Rar!\x1a\x07\0", "is a RAR archive, and has to be a .zip, .tar or .tar.gz"),
        (b"BZh91AY", "is compressed with bzip2, and has to be a .zip, .tar or .tar.gz"),
        (b"\n<!DOCTYPE HTML><title>Sign in", "is a web page, and has to be a .zip, .tar or .tar.gz"),
        (b"", "is damaged or not a .tar.gz, .tar or .zip: empty file"),
        (b"just text" * 200, "is damaged or not a .tar.gz, .tar or .zip: invalid header"),
        (gzip.compress(b"{}"), "is damaged or not a .tar.gz, .tar or .zip: truncated header"),
        (b"PK\x05\x06" + bytes(18), "holds no file"),
        (bytes(10240), "holds no file"),
    ],
    ids=["7z", "RAR", "bzip2", "web page", "empty", "text", "gzip alone", "empty zip", "empty tar"],
)
def test_what_is_no_archive_is_told(content: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(content)
    assert fault_of(tmp_path / "data.zip") == fault


def test_an_absent_archive_a_pipe_and_an_unwritable_cache_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        unpacked(tmp_path / "absent.zip")
    assert caught.value.what == "the archive cannot be read: no such file or directory"
    assert caught.value.where == f"dataset.path={tmp_path / 'absent.zip'}"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="the archive cannot be read: it is not a file"):
        unpacked(tmp_path / "pipe")
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError) as caught:
        unpacked(packed_zip(tmp_path / "data.zip", FILES))
    assert caught.value.what.startswith("the cache cannot be written: ")
    assert caught.value.remedy == "paths.cache=DIR"


def test_what_is_not_accepted_does_not_appear(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        assert content_of(folder) == FILES
        raise InputError("not that one")

    archive = packed_zip(tmp_path / "data.zip", FILES)
    with pytest.raises(InputError, match="not that one"):
        unpack(archive, tmp_path / "cache", members_max=9, bytes_max=1 << 20, accept=refuse)
    assert kept_in(tmp_path / "cache") == []


@every_kind
def test_progress_ascends_to_the_size_of_the_archive(pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / "data", FILES)
    told: list[tuple[int, int]] = []
    unpack(archive, tmp_path, members_max=9, bytes_max=1 << 20, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {archive.stat().st_size}
    assert told[-1] == (archive.stat().st_size, archive.stat().st_size)


@every_kind
def test_a_killed_unpacking_leaves_nothing_that_is_read(pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / "data", FILES)
    killed = _unpacking(archive, pause_s=60)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "unpacking\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert [name for name in kept_in(tmp_path / "cache") if not name.startswith(".")] == []
    folder = unpacked(archive)
    assert content_of(folder) == FILES
    assert kept_in(tmp_path / "cache") == [folder.name]


def test_two_processes_at_once_end_with_one_folder(tmp_path: Path) -> None:
    archive = packed_zip(tmp_path / "data", FILES)
    first = _unpacking(archive, pause_s=0.3)
    assert first.stdout is not None
    assert first.stdout.readline() == "unpacking\n"
    second = _unpacking(archive, pause_s=0)
    first_said, second_said = (process.communicate(timeout=30)[0].splitlines() for process in (first, second))
    assert second_said[0] == "waiting"
    assert second_said[1:] == [first_said[-1]]
    assert kept_in(tmp_path / "cache") == [Path(first_said[-1]).name]
    assert content_of(Path(first_said[-1])) == FILES


def _unpacking(archive: Path, *, pause_s: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", UNPACKING, str(archive), str(archive.parent / "cache"), str(pause_s)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a b/c", "a_b_c"), ("../..", "_.."), ("", "data"), ("...", "data"), ("ä" * 3, "_"), ("x" * 99, "x" * 60)],
)
def test_a_plain_name_fits_every_disk(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_a_zip_of_a_million_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    entry = b"PK\x01\x02" + bytes(42)
    directory = entry * 1_000_000
    end = b"PK\x05\x06" + bytes(4) + b"\x40\x42" * 2 + len(directory).to_bytes(4, "little") + bytes(6)
    path.write_bytes(b"PK\x03\x04" + directory + end)
    begin = time.process_time()
    assert fault_of(path, members_max=20_000) == "has more than 20000 members; nothing of it was kept"
    assert time.process_time() - begin < 1
