from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from odrun.config.zoo_fetch import main
from odrun.errors import InputError

NAME = "ssd_mobilenet_v2_fpnlite_320x320"
ARCHIVE = f"20200711/{NAME}_coco17_tpu-8"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    path = tmp_path / "mirror" / f"{ARCHIVE}.tar.gz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
            tar.addfile(tarfile.TarInfo(f"ssd/checkpoint/{name}"), io.BytesIO())
    return tmp_path / "mirror"


def test_the_folder_of_an_entry_is_printed_alone(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([NAME, "--mirror", str(mirror), "--cache", str(tmp_path / "cache")]) == 0
    folder = Path(capsys.readouterr().out.removesuffix("\n"))
    assert folder.parent == tmp_path / "cache" / "zoo"
    assert (folder / "ssd" / "checkpoint" / "ckpt-0.index").is_file()


def test_the_cache_is_the_user_s_unless_given(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert main([NAME, f"--mirror={mirror}"]) == 0
    assert (tmp_path / "xdg" / "odrun" / "zoo" / "zoo.lock").is_file()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "the following arguments are required: NAME"),
        ([NAME, "--mirrors"], "unrecognized arguments: --mirrors"),
        ([NAME, "--mirror="], "zoo.mirror is ''; it has to be null, a folder or an http(s) address"),
        ([NAME, "--cache="], "paths.cache is ''; it has to be the path of a folder"),
        (["ssd_mobilenet_v2_fpnlite_321x320"], "there is no model 'ssd_mobilenet_v2_fpnlite_321x320'"),
        (["ssd_mobilenet_v2_fpnlite_digits"], "ssd_mobilenet_v2_fpnlite_digits has no archive in the zoo"),
    ],
)
def test_what_cannot_be_fetched_is_refused(arguments: list[str], what: str) -> None:
    with pytest.raises(InputError) as caught:
        main(arguments)
    assert caught.value.what == what
    assert caught.value.remedy is not None


def test_an_unknown_entry_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        main(["ssd_mobilenet_v2_fpnlite_321x320"])
    assert str(caught.value.remedy).startswith(f"did you mean {NAME}")
