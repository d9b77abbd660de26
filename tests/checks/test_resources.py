from __future__ import annotations

from pathlib import Path

from odrun.checks.finding import Finding
from odrun.checks.resources import check_disk, check_memory, check_tracking, check_versions, installed_versions
from odrun.config.jobs import composed
from odrun.settings import TrainJob


def train_job(*overrides: str) -> TrainJob:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return job


def test_a_batch_beyond_the_memory_is_a_warning_with_one_that_fits() -> None:
    job = train_job("model=ssd_efficientdet_d0_512x512", "train.batch_size=128")
    (found,) = check_memory(job, memory_bytes=16 << 30, device="the GPU")
    assert found.severity == "warning"
    assert "an estimate" in found.what
    assert found.remedy is not None
    smaller = train_job("model=ssd_efficientdet_d0_512x512", found.remedy)
    assert [each.severity for each in check_memory(smaller, memory_bytes=16 << 30, device="the GPU")] == ["note"]


def test_more_checkpoints_than_the_disk_has_room_for_are_a_warning(tmp_path: Path) -> None:
    assert [*check_disk(tmp_path / "outputs", kept=1)] == []
    (found,) = check_disk(tmp_path / "outputs", kept=10**9)
    assert (found.severity, found.check) == ("warning", "disk")


def test_online_without_a_key_is_a_warning_and_auto_a_note(tmp_path: Path) -> None:
    without_key = {"NETRC": str(tmp_path / "none")}
    online = train_job("tracking.wandb.mode=online").tracking
    assert [each.severity for each in check_tracking(online, without_key)] == ["warning"]
    assert [each.severity for each in check_tracking(train_job().tracking, without_key)] == ["note"]
    (told,) = check_tracking(online, {"WANDB_API_KEY": "k" * 40})
    assert told == Finding("tracking", "note", "W&B is told online: an API key is configured")


def test_packages_that_are_absent_or_do_not_go_together_are_errors() -> None:
    installed = installed_versions()
    assert [each.severity for each in check_versions(installed)] == ["note"]
    absent = [each.what for each in check_versions({**installed, "tf-keras": None}) if each.severity == "error"]
    assert absent == ["tf-keras not installed"]
    other = [each for each in check_versions({**installed, "tf-keras": "2.16.0"}) if each.severity == "error"]
    assert "of one minor version" in other[0].what
