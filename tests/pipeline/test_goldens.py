"""The pipeline.config of the shipped jobs, as files that a reviewer reads and a diff shows.

After an intended change of `conf/`: ODRUN_UPDATE_GOLDENS=1 pytest tests/pipeline/test_goldens.py, and look at the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.pipeline.text import from_text, to_text
from odrun.runs.files import write_whole
from odrun.settings import TrainJob

GOLDENS = Path(__file__).parent.parent / "goldens"
JOBS = {
    "default": (),
    "digits_quick": ("experiment=digits_quick",),
}


def pipeline_text(overrides: tuple[str, ...]) -> str:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return to_text(
        complete(
            build(job.pipeline, job.augmentation),
            train_records="RECORDS/train-?????-of-00001.tfrecord",
            validation_records="RECORDS/validation-?????-of-00001.tfrecord",
            label_map=Path("RECORDS/label_map.pbtxt"),
            num_classes=10,
            checkpoint=None,
        ).config
    )


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_shipped_job_makes_the_pipeline_config_on_record(name: str) -> None:
    golden = GOLDENS / f"{name}.pipeline.config"
    text = pipeline_text(JOBS[name])
    if os.environ.get("ODRUN_UPDATE_GOLDENS") == "1":
        write_whole(golden, text)
    assert text == golden.read_text(encoding="utf-8"), "if intended, update the goldens as the module's docstring says"


def test_every_golden_belongs_to_a_job_and_parses() -> None:
    files = sorted(GOLDENS.glob("*.pipeline.config"))
    assert [file.name.removesuffix(".pipeline.config") for file in files] == sorted(JOBS)
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert to_text(from_text(text, name=file.name)) == text


def test_a_changed_value_would_be_seen() -> None:
    golden = (GOLDENS / "default.pipeline.config").read_text(encoding="utf-8")
    assert pipeline_text(("train.batch_size=17",)) != golden
