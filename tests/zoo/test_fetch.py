from __future__ import annotations

import hashlib
import io
import json
import random
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError
from odrun.model_settings import ZOO_ADDRESS
from odrun.settings import ModelSettings, OfficialSettings, ZooSettings
from odrun.transfer.download import TRIES
from odrun.zoo.fetch import fetch
from odrun.zoo.start import starting_checkpoint

Serving = Callable[..., AbstractContextManager[Any]]
RELATIVE = "20200711/ssd_tpu-8.tar.gz"
ADDRESS = f"{ZOO_ADDRESS}{RELATIVE}"
FETCHING = """
import sys
from pathlib import Path
from odrun.zoo.fetch import fetch

print(fetch(sys.argv[1], sys.argv[2], Path(sys.argv[3]), mirror=sys.argv[4], report=lambda line: None,
            progress=lambda name, done, total: print(name, done, file=sys.stderr, flush=True)))
"""


def packed(files: dict[str, bytes], *, hostile: tarfile.TarInfo | None = None) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, payload in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(payload)
            tar.addfile(member, io.BytesIO(payload))
        if hostile is not None:
            tar.addfile(hostile)
    return content.getvalue()


FILES = {
    "ssd_tpu-8/checkpoint/ckpt-0.index": b"index",
    "ssd_tpu-8/checkpoint/ckpt-0.data-00000-of-00001": random.Random(0).randbytes(3 << 20),
    "ssd_tpu-8/pipeline.config": b"model {}",
}
ARCHIVE = packed(FILES)
OTHER = packed(FILES | {"ssd_tpu-8/pipeline.config": b"model { }"})


class Watching:
    """What a fetch was told, and how long it would have waited."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[str, int, int | None]] = []
        self.waits: list[float] = []

    def fetch(self, cache: Path, mirror: object, *, stalled_s: float = 5, address: str = ADDRESS) -> Path:
        return fetch(
            "ssd",
            address,
            cache,
            mirror=None if mirror is None else str(mirror),
            report=self.lines.append,
            progress=lambda name, done, total: self.counts.append((name, done, total)),
            sleep=self.waits.append,
            stalled_s=stalled_s,
        )

    def refusal(self, cache: Path, mirror: object, **given: Any) -> InputError:
        with pytest.raises(InputError) as caught:
            self.fetch(cache, mirror, **given)
        return caught.value


@pytest.fixture
def watching() -> Watching:
    return Watching()


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def recorded(cache: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((cache / "zoo" / "zoo.lock").read_text())
    return content


def unpacked_in(cache: Path, content: bytes = ARCHIVE) -> Path:
    return cache / "zoo" / f"ssd_tpu-8-{hashlib.sha256(content).hexdigest()[:12]}"


def test_an_archive_is_fetched_unpacked_and_recorded_once(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=ARCHIVE) as server:
        folder = watching.fetch(tmp_path, server.address("/mirror/"))
        assert watching.fetch(tmp_path, server.address("/mirror")) == folder == unpacked_in(tmp_path)
        assert len(server.asked) == 1
    assert files_below(folder) == FILES
    assert (tmp_path / "zoo" / RELATIVE).read_bytes() == ARCHIVE
    assert recorded(tmp_path) == {RELATIVE: {"size_bytes": len(ARCHIVE), "sha256": hashlib.sha256(ARCHIVE).hexdigest()}}
    assert watching.lines[0] == f"fetching {server.address('/mirror/' + RELATIVE)} to {tmp_path / 'zoo' / RELATIVE}"
    for name in ("fetching", "unpacking"):
        assert [count for count in watching.counts if count[0] == name][-1] == (name, len(ARCHIVE), len(ARCHIVE))


def test_a_server_that_cuts_and_stalls_is_gone_on_from(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=ARCHIVE, faults=2, cut_after=1 << 20) as server:
        assert files_below(watching.fetch(tmp_path / "cut", server.address("/"))) == FILES
        assert server.ranges == [None, f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    with serving(content=ARCHIVE, faults=1, stall_s=30) as server:
        assert files_below(watching.fetch(tmp_path / "stall", server.address("/"), stalled_s=0.2)) == FILES
        assert server.ranges == [None, f"bytes={len(ARCHIVE) // 2}-"]


def test_a_server_that_lies_about_the_length_is_refused(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=ARCHIVE, extra_length=100, etag=None) as server:
        error = watching.refusal(tmp_path, server.address("/"))
    assert f"broke off after {len(ARCHIVE)} of {len(ARCHIVE) + 100} bytes" in error.what
    assert error.where == f"zoo.mirror={server.address('/')}"
    assert not (tmp_path / "zoo" / RELATIVE).exists()
    assert not (tmp_path / "zoo" / "zoo.lock").exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (packed(FILES | {"../outside": b"x"}), "outside"),
        (packed(FILES, hostile=tarfile.TarInfo("/absolute")), "absolute"),
        (packed({"a/b": b"x"}), r"holds no checkpoint/ckpt-0\.index"),
        (b"<html>sign in</html>", "a web page"),
        (ARCHIVE[:-1000], "damaged"),
    ],
    ids=["outside", "absolute", "no checkpoint", "web page", "cut"],
)
def test_a_hostile_or_damaged_archive_is_refused_and_not_recorded(
    content: bytes, fault: str, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=content) as server, pytest.raises(InputError, match=fault) as caught:
        watching.fetch(tmp_path / "cache", server.address("/"))
    archive = tmp_path / "cache" / "zoo" / RELATIVE
    assert caught.value.remedy == f"delete {archive} and fetch it again, or put the right one in its place"
    kept = [name for name in files_below(tmp_path) if not name.endswith(".lock")]
    assert kept == [f"cache/zoo/{RELATIVE}"]
    assert not (tmp_path / "cache" / "zoo" / "zoo.lock").exists()


def test_an_archive_that_has_changed_is_refused_with_both_digests(tmp_path: Path, watching: Watching) -> None:
    archive = tmp_path / "zoo" / RELATIVE
    archive.parent.mkdir(parents=True)
    archive.write_bytes(ARCHIVE)
    watching.fetch(tmp_path, None)
    archive.write_bytes(OTHER)
    error = watching.refusal(tmp_path, None)
    assert hashlib.sha256(ARCHIVE).hexdigest() in error.what
    assert hashlib.sha256(OTHER).hexdigest() in error.what
    assert error.where == f"{archive} (recorded in {tmp_path / 'zoo' / 'zoo.lock'})"
    assert not unpacked_in(tmp_path, OTHER).exists()
    (tmp_path / "zoo" / "zoo.lock").unlink()
    assert watching.fetch(tmp_path, None) == unpacked_in(tmp_path, OTHER)


def test_a_mirror_that_has_another_archive_is_refused(tmp_path: Path, watching: Watching) -> None:
    for name, content in {"one": ARCHIVE, "two": OTHER}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "ssd_tpu-8.tar.gz").write_bytes(content)
    watching.fetch(tmp_path / "cache", tmp_path / "one")
    assert "is not the one that was used before" in watching.refusal(tmp_path / "cache", tmp_path / "two").what


@pytest.mark.parametrize("place", [RELATIVE, "ssd_tpu-8.tar.gz"])
def test_a_mirror_can_be_a_folder(place: str, tmp_path: Path, watching: Watching) -> None:
    (tmp_path / "mirror" / place).parent.mkdir(parents=True)
    (tmp_path / "mirror" / place).write_bytes(ARCHIVE)
    assert files_below(watching.fetch(tmp_path / "cache", tmp_path / "mirror")) == FILES
    assert list(recorded(tmp_path / "cache")) == [RELATIVE]


def test_a_mirror_without_the_archive_says_where_it_was_looked_for(tmp_path: Path, watching: Watching) -> None:
    error = watching.refusal(tmp_path / "cache", tmp_path)
    assert error.what == f"the mirror does not have {tmp_path / RELATIVE} or {tmp_path / 'ssd_tpu-8.tar.gz'}"
    assert error.remedy == f"fetch {ADDRESS} by hand and put it at {tmp_path / 'cache' / 'zoo' / RELATIVE}"


@pytest.mark.parametrize("mirror", ["/no/such/folder", "ftp://host/zoo", "http://", "http://host/zoo?key=a", "\0"])
def test_a_mirror_that_is_none_is_refused(mirror: str, tmp_path: Path, watching: Watching) -> None:
    error = watching.refusal(tmp_path, mirror)
    assert str(error.where).startswith("zoo.mirror")
    assert error.remedy is not None


def test_without_network_it_is_said_which_file_to_put_where(tmp_path: Path, watching: Watching) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}/own/ssd.tar.gz"
    error = watching.refusal(tmp_path, None, address=address)
    assert error.what.endswith(f"could not be fetched in {TRIES} tries: the connection failed: connection refused")
    assert error.where == "model.zoo.archive of ssd"
    by_hand = tmp_path / "zoo" / f"ssd-{hashlib.sha256(address.encode()).hexdigest()[:12]}.tar.gz"
    assert error.remedy == (
        f"try again later, or fetch {address} by hand and put it at {by_hand}; zoo.mirror=DIR asks a folder, "
        "or an address, instead"
    )
    by_hand.write_bytes(ARCHIVE)
    assert files_below(watching.fetch(tmp_path, None, address=address)) == FILES


@pytest.mark.parametrize("relative", ["../../ssd.tar.gz", "a/../../ssd.tar.gz", "/etc/ssd.tar.gz", "", "."])
def test_an_address_does_not_lead_out_of_the_cache(relative: str, tmp_path: Path, watching: Watching) -> None:
    (tmp_path / "mirror").mkdir()
    error = watching.refusal(tmp_path / "cache", tmp_path / "mirror", address=ZOO_ADDRESS + relative)
    place = str(error.remedy).partition("put it at ")[2]
    assert Path(place).parent == tmp_path / "cache" / "zoo"


def test_several_processes_fetch_an_archive_once(tmp_path: Path, serving: Serving) -> None:
    with serving(content=ARCHIVE) as server:
        arguments = [sys.executable, "-c", FETCHING, "ssd", ADDRESS, str(tmp_path), server.address("/")]
        running = [
            subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(3)
        ]
        said = [process.communicate(timeout=60)[0] for process in running]
        assert len(server.asked) == 1
    assert said == [f"{unpacked_in(tmp_path)}\n"] * 3
    assert list(recorded(tmp_path)) == [RELATIVE]


def test_what_was_fetched_before_ctrl_c_is_gone_on_from(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=ARCHIVE, faults=1, stall_s=60) as server:
        arguments = [sys.executable, "-c", FETCHING, "ssd", ADDRESS, str(tmp_path), server.address("/")]
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while process.stderr.readline() != f"fetching {len(ARCHIVE) // 2}\n":
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode != 0
        assert not (tmp_path / "zoo" / RELATIVE).exists()
        assert files_below(watching.fetch(tmp_path, server.address("/"))) == FILES
        assert server.ranges == [None, f"bytes={len(ARCHIVE) // 2}-"]


def test_a_training_starts_from_the_fetched_archive(tmp_path: Path, serving: Serving) -> None:
    official = OfficialSettings(batch_size=8, steps=100, learning_rate=0.1, warmup_learning_rate=0.01, warmup_steps=10)
    model = ModelSettings(
        name="ssd",
        base=None,
        file=None,
        family="ssd",
        backbone="mobilenet_v2",
        outputs=["boxes"],
        input_px=[320, 320],
        checkpoint="zoo",
        archive=None,
        zoo=ZooSettings(archive=RELATIVE.removesuffix(".tar.gz"), speed_ms=None, coco_map={}),
        official=official,
    )
    with serving(content=ARCHIVE) as server:
        prefix = starting_checkpoint(model, tmp_path, mirror=server.address("/"))
        assert prefix == str(unpacked_in(tmp_path) / "ssd_tpu-8" / "checkpoint" / "ckpt-0")
        assert starting_checkpoint(replace(model, checkpoint="none"), tmp_path / "other") is None
        assert len(server.asked) == 1
