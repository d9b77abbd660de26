"""origin.json tells what ran, and nothing that is nobody's business."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from odrun.runs import origin
from odrun.runs.origin import GitState, Origin, collect, git_state

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def origin_in(folder: Path) -> Origin:
    return collect(
        command=("/home/someone/bin/odrun", "train", "train.steps=5"),
        overrides=("train.steps=5",),
        seeds={"train.seed": 0},
        data_fingerprint="abc",
        working_directory=folder,
    )


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    git(folder, "init", "--quiet")
    (folder / "model.py").write_text("depth = 1\n")
    git(folder, "add", "model.py")
    return folder


def test_what_was_told_is_kept_as_it_was(tmp_path: Path) -> None:
    found = origin_in(tmp_path)
    assert (found.command, found.overrides, found.seeds, found.data_fingerprint) == (
        ("odrun", "train", "train.steps=5"),
        ("train.steps=5",),
        {"train.seed": 0},
        "abc",
    )


def test_outside_of_a_repository_there_is_no_git_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_without_git_there_is_no_git_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(Path.cwd()) is None


@needs_git
def test_a_clean_repository_is_its_commit(tmp_path: Path) -> None:
    repository(tmp_path)
    git(tmp_path, "commit", "--quiet", "-m", "first")
    assert git_state(tmp_path) == GitState(commit=git(tmp_path, "rev-parse", "HEAD"), diff="", diff_left_out=0)


@needs_git
def test_uncommitted_changes_are_kept_from_any_folder_of_the_repository(tmp_path: Path) -> None:
    repository(tmp_path)
    git(tmp_path, "commit", "--quiet", "-m", "first")
    (tmp_path / "model.py").write_text("depth = 2\n")
    (tmp_path / "below").mkdir()
    state = git_state(tmp_path / "below")
    assert state is not None
    assert "-depth = 1\n+depth = 2\n" in state.diff


@needs_git
def test_a_repository_without_a_commit_has_a_diff_only(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "model.py").write_text("depth = 2\n")
    state = git_state(tmp_path)
    assert state is not None
    assert (state.commit, "+depth = 2\n" in state.diff) == (None, True)


@needs_git
def test_a_huge_diff_is_cut_and_says_by_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    (tmp_path / "model.py").write_text("x" * 500)
    monkeypatch.setattr(origin, "_MOST_DIFF_CHARACTERS", 100)
    state = git_state(tmp_path)
    assert state is not None
    assert (len(state.diff), state.diff_left_out > 400) == (100, True)


def test_versions_name_what_is_installed_and_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "PACKAGES", ("pytest", "no-such-package"))
    assert origin_in(tmp_path).versions == {
        "python": platform.python_version(),
        "pytest": pytest.__version__,
        "no-such-package": None,
    }


def test_collecting_imports_nothing_of_the_engine(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from odrun.runs.origin import collect\n"
        "found = collect(command=['odrun'], overrides=[], seeds={}, data_fingerprint=None, working_directory=Path())\n"
        "assert found.versions['tensorflow'], found\n"
        "assert not {'tensorflow', 'numpy', 'hydra', 'wandb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_file_holds_no_environment_and_no_host_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-key")
    monkeypatch.setattr(platform, "node", lambda: "the-hosts-name")
    origin_in(tmp_path).write(tmp_path / "origin.json")
    text = (tmp_path / "origin.json").read_text()
    assert [word for word in ("a-secret-key", "the-hosts-name", "someone") if word in text] == []
    assert sorted(json.loads(text)) == ["command", "data_fingerprint", "git", "host", "overrides", "seeds", "versions"]
