from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import odrun
from odrun.commands import init
from odrun.errors import InputError

WRITTEN = {
    "README.md",
    ".gitignore",
    "conf/dataset/mine.yaml",
    "conf/experiment/first.yaml",
    "conf/sweep/first.yaml",
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "odrun", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(odrun.__file__).parents[1])},
    )


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_written_and_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main([str(tmp_path / "my project")]) == 0

    assert files(tmp_path / "my project") == WRITTEN
    assert (tmp_path / "my project" / "data").is_dir()
    told = capsys.readouterr().out
    assert f"cd '{tmp_path / 'my project'}'" in told
    assert "odrun train --config-dir conf experiment=first" in told


def test_a_folder_with_other_files_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jpg").write_bytes(b"mine")

    assert init.main([str(tmp_path)]) == 0

    assert files(tmp_path) == WRITTEN | {"data/a.jpg"}
    assert (tmp_path / "data" / "a.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_nothing_is_overwritten_and_nothing_written_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")

    with pytest.raises(InputError, match=re.escape(f"there is {name} already")):
        init.main([str(tmp_path)])

    assert files(tmp_path) == {name}


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--force", "a"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        init.main(arguments)
    assert caught.value.remedy == "odrun init DIR"


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="cannot be written: not a directory"):
        init.main([str(tmp_path / "file" / "project")])


def test_the_commands_of_its_readme_compose(tmp_path: Path) -> None:
    init.main([str(tmp_path)])
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    lines = [line.partition("  #")[0] for line in readme.splitlines() if line.startswith("odrun ")]
    assert len(lines) == 3

    for line in lines:
        shown = run(tmp_path, *shlex.split(line)[1:], "--cfg", "job")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "name: mine" in shown.stdout


@pytest.mark.slow
def test_its_experiment_trains_on_the_images_that_are_put_there(tmp_path: Path, shapes: Path) -> None:
    init.main([str(tmp_path)])
    shutil.copytree(shapes, tmp_path / "data", dirs_exist_ok=True)
    small = ["model.checkpoint=none", "model.input_px=[128,128]", "debug=two_steps", "tracking.wandb.mode=disabled"]

    ended = run(tmp_path, "train", "--config-dir", "conf", "experiment=first", "paths.cache=cache", *small)

    assert ended.returncode == 0, ended.stderr
    (made,) = (tmp_path / "outputs" / "train").iterdir()
    assert made.name.endswith("_mine-ssd_mobilenet_v2_fpnlite_320x320")
