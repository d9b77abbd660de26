from __future__ import annotations

import gzip
import io
import tarfile
import time
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.transfer.archives import unpack


def member(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


def tar_of(*members: tarfile.TarInfo, layout: int = tarfile.PAX_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=layout) as tar:
        for one in members:
            tar.addfile(one, io.BytesIO(b"x" * one.size))
    return content.getvalue()


def fault_of(content: bytes, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        names_in(content, folder)
    assert not [found for found in (folder / "cache").iterdir() if found.suffix != ".lock"]
    return caught.value.what.removeprefix("the archive ").removesuffix("; nothing of it was kept")


def names_in(content: bytes, folder: Path) -> list[str]:
    (folder / "a.tar").write_bytes(content)
    unpacked = unpack(folder / "a.tar", folder / "cache", members_max=99, bytes_max=1 << 20)
    return sorted(found.relative_to(unpacked).as_posix() for found in unpacked.rglob("*"))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "first"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
    ],
)
def test_a_link_or_device_is_refused(kind: bytes, target: str, tmp_path: Path) -> None:
    content = tar_of(member("first"), member("link", kind, target=target))
    assert fault_of(content, tmp_path) == "has a link or device, 'link'"


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_layout_of_a_tar_is_read(layout: int, tmp_path: Path) -> None:
    long = "/".join(["folder" * 10] * 3)
    names = ["empty", "exactly", long, "more"]
    sizes = dict(zip(names, (0, 512, 1500, 513), strict=True))
    files = [member(name, size=size) for name, size in sizes.items()]
    content = tar_of(member("d", tarfile.DIRTYPE), *files, layout=layout)
    assert set(names_in(content, tmp_path)) == {*names, "d", "folder" * 10, "/".join(["folder" * 10] * 2)}
    unpacked = unpack(tmp_path / "a.tar", tmp_path / "cache", members_max=99, bytes_max=1 << 20)
    assert {name: (unpacked / name).read_bytes() for name in names} == {n: b"x" * size for n, size in sizes.items()}


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    content = tar_of(member("gr\udcf6\udcdfe.jpg"), layout=tarfile.GNU_FORMAT)
    assert fault_of(content, tmp_path) == "has a member whose name is not UTF-8, 'gr\\udcf6\\udcdfe.jpg'"


def test_damage_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(tar_of(member("a", size=100), member("b", size=100)))
    content[1024 + 10] ^= 0xFF
    assert fault_of(bytes(content), tmp_path).startswith("is damaged: it ends, or has something else, where")


def test_a_tar_without_its_end_is_refused(tmp_path: Path) -> None:
    content = tar_of(member("a", size=100))[:1024]
    assert fault_of(content, tmp_path).startswith("is damaged: it ends, or has something else, where")
    assert names_in(content + bytes(512), tmp_path) == ["a"]


def test_a_header_that_states_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        content = member("huge", kind, size=8 << 30).tobuf(tarfile.GNU_FORMAT) + bytes(10240)
        assert fault_of(content, tmp_path) == "is damaged: a header states that it has 8589934592 bytes"


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    header = member("a", size=-1024).tobuf(tarfile.GNU_FORMAT)
    assert "damaged" in fault_of(tar_of(member("b", size=2048))[:2560] + header + bytes(1024), tmp_path)


def test_headers_that_announce_headers_are_refused(tmp_path: Path) -> None:
    header = member("x", tarfile.GNUTYPE_LONGNAME, size=2).tobuf(tarfile.GNU_FORMAT) + b"ab".ljust(512, b"\0")
    content = gzip.compress(header * 5000 + tar_of(member("a")))
    assert fault_of(content, tmp_path).startswith("is damaged or not a .tar.gz, .tar or .zip: ")


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    info = member("sparse")
    info.pax_headers = {"GNU.sparse.map": "0,-5,7,0", "GNU.sparse.size": "9000", "GNU.sparse.name": "sparse"}
    assert fault_of(tar_of(info), tmp_path) == "has a sparse file, 'sparse'"


def test_what_follows_the_end_is_bounded_too(tmp_path: Path) -> None:
    content = gzip.compress(tar_of(member("a")) + bytes(200 << 20), 1)
    begin = time.process_time()
    assert fault_of(content, tmp_path).startswith("unpacks to more than")
    assert time.process_time() - begin < 5


def test_a_wrong_checksum_of_gzip_is_damage(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(tar_of(member("a", size=3))))
    content[-8] ^= 0xFF
    assert "CRC check failed" in fault_of(bytes(content), tmp_path)
