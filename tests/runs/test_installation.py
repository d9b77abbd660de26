from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from odrun.runs.installation import installer, packages, python_needed


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `project` whose metadata a test writes, and two that are installed beside it."""
    for name, version in (("here", "2.0"), ("old", "1.0")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "project-1.dist-info"
    folder.mkdir()
    return folder / "METADATA"


def written(metadata: Path, *lines: str) -> None:
    metadata.write_text("\n".join(("Metadata-Version: 2.1", "Name: project", "Version: 1", *lines)) + "\n")


def test_what_is_missing_or_too_old_is_told_with_the_command(project: Path) -> None:
    written(project, "Requires-Dist: here>=2", "Requires-Dist: old (>=1.5)", "Requires-Dist: absent")

    here, old, absent = packages("project")

    assert (here.name, here.needed, here.found, here.fits) == ("here", ">=2", "2.0", True)
    assert (old.found, old.fits, absent.found, absent.fits) == ("1.0", False, None, False)
    assert old.remedy == f'{installer()} "old>=1.5"'


def test_extras_are_told_apart_and_markers_of_other_machines_left_out(project: Path) -> None:
    written(
        project,
        "Requires-Dist: here; python_version < '3'",
        "Requires-Dist: absent>=3; extra == 'more'",
        "Requires-Dist: here; extra == 'other'",
    )

    assert [(each.name, each.extra, each.fits) for each in packages("project")] == [
        ("absent", "more", False),
        ("here", "other", True),
    ]


def test_an_extra_of_a_package_that_is_needed_counts(project: Path, tmp_path: Path) -> None:
    here = tmp_path / "here-2.0.dist-info" / "METADATA"
    here.write_text(here.read_text() + "Provides-Extra: fast\nRequires-Dist: absent; extra == 'fast'\n")
    written(project, "Requires-Dist: here[fast]>=1; extra == 'gpu'")

    (package,) = packages("project")

    assert (package.name, package.needed, package.found, package.fits) == ("here[fast]", ">=1", "2.0", False)


@pytest.mark.parametrize(("needed", "fits"), [(">=3.8", True), (">=2.7,<3", False)])
def test_the_python_that_is_needed(project: Path, needed: str, *, fits: bool) -> None:
    written(project, f"Requires-Python: {needed}")

    assert python_needed("project") == (needed, fits)


def test_what_odrun_itself_needs_is_installed_where_its_tests_run() -> None:
    needed = packages()

    assert {"tensorflow", "hydra-core", "pycocotools"} <= {each.name for each in needed}
    assert [each.name for each in needed if each.extra is None and not each.fits] == []


def test_a_package_that_is_not_there_has_no_metadata() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        packages("there-is-no-such-package")
