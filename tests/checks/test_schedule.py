from __future__ import annotations

from odrun.checks.finding import Finding
from odrun.checks.schedule import check_schedule
from odrun.config.jobs import composed
from odrun.settings import TrainJob


def judged(*overrides: str, images: int) -> dict[str, Finding]:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    found = check_schedule(job.train, job.eval, job.model.official, images=images)
    return {f"{finding.severity}: {finding.what}": finding for finding in found}


def test_the_default_schedule_gives_no_warning_and_tells_its_epochs() -> None:
    assert [*judged(images=600)] == ["note: 2600 steps of 8 images are 34.7 epochs"]


def test_a_training_that_sees_a_part_of_the_images_is_told_the_steps_for_all() -> None:
    found = judged("train.steps=10", "eval.every=5", "train.log_every=5", images=600)
    assert {told: each.remedy for told, each in found.items()} == {
        "warning: the training sees 80 of the 600 images, none twice": "train.steps=75"
    }


def test_a_warm_up_of_most_of_the_training_is_a_warning() -> None:
    found = judged("train.steps=200", "train.warmup_steps=150", "eval.every=50", images=600)
    assert found["warning: the warm-up takes 150 of the 200 steps"].remedy == "train.warmup_steps=20"


def test_a_learning_rate_that_was_not_scaled_to_the_batch_is_a_warning() -> None:
    found = judged("train.batch_size=1", "train.scale_learning_rate=false", images=600)
    told = next(what for what in found if "learning rate" in what)
    assert told.startswith("warning: the learning rate 0.002 is 8.0 times the official one")
    assert found[told].remedy == "train.learning_rate=0.00025"


def test_early_stopping_that_can_never_come_is_a_warning() -> None:
    found = judged("train.early_stopping.patience=3", "eval.every=1000", images=600)
    assert "warning: early stopping waits for 3 evaluations, and the training has 3" in found
