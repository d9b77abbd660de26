"""The sweeps that odrun ships, and what is planned of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from odrun.commands import init
from odrun.config import resolvers, schemas
from odrun.config.location import conf_dir
from odrun.config.planning import plan

COUNTS = {"augmentation": 7, "batch_size_steps": 9, "data_fraction": 4, "learning_rate": 3, "models": 5, "tune": 5}


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml")))
def test_every_sweep_composes(name: str, tmp_path: Path) -> None:
    schemas.register("train")
    resolvers.register()
    planned = plan("train", [f"sweep={name}", "model.checkpoint=none", f"paths.cache={tmp_path}"])
    assert len(planned.jobs) == COUNTS[name]


def test_no_file_of_a_users_project_has_the_name_of_one_of_ours() -> None:
    """Hydra would take ours and not say so."""
    theirs = Path(init.__file__).parents[1] / "project" / "conf"
    assert [path for path in theirs.rglob("*.yaml") if (conf_dir() / path.relative_to(theirs)).exists()] == []
