from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.transfer.archives import unpack


def zip_of(path: Path, *members: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def fault_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        names_in(path)
    assert not [found for found in (path.parent / "cache").iterdir() if found.suffix != ".lock"]
    return caught.value.what.removeprefix("the archive ").removesuffix("; nothing of it was kept")


def names_in(path: Path) -> list[str]:
    folder = unpack(path, path.parent / "cache", members_max=9, bytes_max=1 << 20)
    return sorted(found.relative_to(folder).as_posix() for found in folder.rglob("*"))


def raw_zip(raw_name: bytes, *, flags: int = 0, extra: bytes = b"", content: bytes = b"") -> bytes:
    """A zip with one stored member, for what `zipfile` does not write."""
    checked = (zlib.crc32(content), len(content), len(content), len(raw_name), len(extra))
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, flags, 0, 0, 0x21, *checked) + raw_name + extra + content
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, flags, 0, 0, 0x21, *checked, 0, 0, 0, 0, 0)
    entry += raw_name + extra
    return local + entry + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_link_or_device_is_refused(kind: int, tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    assert fault_of(zip_of(tmp_path / "a.zip", (member, b"/etc/passwd"))) == "has a link or device, 'link'"


def test_modes_and_dates_are_not_taken_over(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("run")
    member.external_attr = (stat.S_IFREG | 0o6777) << 16
    folder = unpack(zip_of(tmp_path / "a.zip", (member, b"")), tmp_path, members_max=9, bytes_max=9)
    assert not (folder / "run").stat().st_mode & 0o7111


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_folders_are_made_with_and_without_content(tmp_path: Path) -> None:
    unmarked = zipfile.ZipInfo("c")
    unmarked.external_attr = (stat.S_IFDIR | 0o755) << 16
    folders = [(zipfile.ZipInfo(name), b"") for name in ("a/", "a/", "b/d/")]
    path = zip_of(tmp_path / "a.zip", *folders, (unmarked, b""), (zipfile.ZipInfo("a/x"), b"1"))
    assert names_in(path) == ["a", "a/x", "b", "b/d", "c"]


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(raw_zip(b"secret", flags=1, content=b"x" * 20))
    assert fault_of(tmp_path / "a.zip") == "has an encrypted member, 'secret'"


@pytest.mark.parametrize(
    ("raw_name", "flags", "name"),
    [
        ("größe.jpg".encode(), 0, "größe.jpg"),
        ("größe.jpg".encode(), 1 << 11, "größe.jpg"),
        ("画像\n100%.jpg".encode(), 0, "画像\n100%.jpg"),
    ],
)
def test_names_are_utf8_whether_flagged_or_not(raw_name: bytes, flags: int, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(raw_zip(raw_name, flags=flags))
    assert names_in(tmp_path / "a.zip") == [name]


def test_the_unicode_path_of_info_zip_counts_if_it_is_of_that_name(tmp_path: Path) -> None:
    raw = "größe".encode("cp437")
    field = b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + "größe".encode()
    extra = struct.pack("<HH", 0x7075, len(field)) + field
    (tmp_path / "a.zip").write_bytes(raw_zip(raw, extra=b"ab\x01\x00x" + extra))
    assert names_in(tmp_path / "a.zip") == ["größe"]
    (tmp_path / "b.zip").write_bytes(raw_zip("grüße".encode("cp437"), extra=extra))
    (tmp_path / "c.zip").write_bytes(raw_zip(b"../outside\xff", extra=extra.replace(b"\x01", b"\x02", 1)))
    for name in ("b", "c"):
        with pytest.raises(InputError, match=r"has a member whose name is not UTF-8|is damaged"):
            names_in(tmp_path / f"{name}.zip")


@pytest.mark.parametrize("flags", [0, 1 << 11])
def test_a_name_that_is_not_utf8_is_refused(flags: int, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(raw_zip(b"gr\xf6\xdfe.jpg", flags=flags))
    told = fault_of(tmp_path / "a.zip")
    assert "utf-8" in told.lower()


def test_a_name_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(raw_zip(b"a.jpg\0.exe"))
    assert fault_of(tmp_path / "a.zip") == "has a member whose name the disk does not take, 'a.jpg\\x00.exe'"


def test_wrong_content_is_damage(tmp_path: Path) -> None:
    content = raw_zip(b"a.jpg", content=b"right")
    (tmp_path / "a.zip").write_bytes(content.replace(b"right", b"wrong"))
    assert fault_of(tmp_path / "a.zip").startswith("is damaged or not a .tar.gz, .tar or .zip: Bad CRC-32")


def test_a_stated_size_that_is_not_the_contents_is_damage(tmp_path: Path) -> None:
    content = bytearray(raw_zip(b"a.jpg", content=b"right"))
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (9).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    assert fault_of(tmp_path / "a.zip") == "is damaged: 'a.jpg' has 5 bytes and states 9"


def test_a_directory_longer_than_the_zip_is_damage(tmp_path: Path) -> None:
    content = bytearray(raw_zip(b"a.jpg"))
    content[-10:-6] = (10**6).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    assert fault_of(tmp_path / "a.zip") == "is damaged: its directory begins before it does"


def test_an_unknown_compression_is_told(tmp_path: Path) -> None:
    content = bytearray(raw_zip(b"a.jpg", content=b"right"))
    for at in (8, content.index(b"PK\x01\x02") + 10):
        content[at : at + 2] = (99).to_bytes(2, "little")
    (tmp_path / "a.zip").write_bytes(content)
    assert "compression" in fault_of(tmp_path / "a.zip")


def test_other_compressions_and_a_comment_are_read(tmp_path: Path) -> None:
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", compression) as archive:
            archive.writestr("a", b"1" * 5000)
            archive.comment = b"PK\x05 comment" * 99
        (tmp_path / "a.zip").write_bytes(content.getvalue())
        assert names_in(tmp_path / "a.zip") == ["a"]


def test_more_members_than_the_end_states_are_counted(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", *((zipfile.ZipInfo(str(number)), b"") for number in range(12)))
    content = bytearray(path.read_bytes())
    content[-14:-10] = (2).to_bytes(2, "little") * 2
    path.write_bytes(content)
    assert fault_of(path) == "has more than 9 members"
    path = zip_of(tmp_path / "a.zip", *((zipfile.ZipInfo(str(number)), b"") for number in range(8)))
    content = bytearray(path.read_bytes())
    content[-14:-10] = (2).to_bytes(2, "little") * 2
    path.write_bytes(content)
    assert fault_of(path) == "is damaged: its directory lists 8 members and its end states 2"


def test_a_zip64_that_states_a_million_members_is_refused(tmp_path: Path) -> None:
    entry = zip_of(tmp_path / "a.zip", (zipfile.ZipInfo("a"), b"")).read_bytes()
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 47, 31)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(entry) - 22, 1)
    (tmp_path / "a.zip").write_bytes(entry[:-22] + end + locator + entry[-22:])
    assert fault_of(tmp_path / "a.zip") == "has more than 9 members"


def test_a_zip64_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"1")
    plain = (tmp_path / "a.zip").read_bytes()
    start, size = struct.unpack_from("<LL", plain, len(plain) - 10)[::-1]
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(plain) - 22, 1)
    (tmp_path / "a.zip").write_bytes(plain[:-22] + end + locator + plain[-22:])
    assert names_in(tmp_path / "a.zip") == ["a"]
