from __future__ import annotations

import pytest

from odrun.config.jobs import composed, with_argument
from odrun.errors import InputError
from odrun.settings import PredictJob, TrainJob


def train_job(*overrides: str) -> TrainJob:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return job


def refused(*overrides: str) -> tuple[str, str | None]:
    with pytest.raises(InputError) as caught:
        composed("train", overrides)
    return caught.value.what, caught.value.remedy


def test_the_default_job_is_the_digits_model_from_random_weights() -> None:
    job = train_job()
    assert (job.dataset.name, job.model.name, job.model.checkpoint) == (
        "digits",
        "ssd_mobilenet_v2_fpnlite_digits",
        "none",
    )


def recipe(*overrides: str) -> tuple[int, int, float, int]:
    """Batch size, steps, learning rate and warm-up steps of the 320x320 entry."""
    train = train_job("model=ssd_mobilenet_v2_fpnlite_320x320", *overrides).train
    return train.batch_size, train.steps, train.learning_rate, train.warmup_steps


@pytest.mark.parametrize(
    ("overrides", "values"),
    [
        ((), (128, 50000, 0.08, 1000)),
        (("train.batch_size=8",), (8, 50000, 0.005, 1000)),
        (("train.batch_size=256",), (256, 50000, 0.16, 1000)),
        (("train.steps=500",), (128, 500, 0.08, 10)),
        (("train.steps=1",), (128, 1, 0.08, 0)),
        (("train.batch_size=8", "train.scale_learning_rate=false"), (8, 50000, 0.08, 1000)),
        (("train.steps=500", "train.scale_schedule=false"), (128, 500, 0.08, 1000)),
        (("train.batch_size=8", "train.learning_rate=0.3"), (8, 50000, 0.3, 1000)),
        (("train.steps=500", "train.warmup_steps=7"), (128, 500, 0.08, 7)),
        (("model.official.batch_size=64", "train.batch_size=8"), (8, 50000, 0.01, 1000)),
    ],
)
def test_rate_and_warm_up_follow_batch_and_steps_unless_they_are_set_or_it_is_switched_off(
    overrides: tuple[str, ...], values: tuple[int, int, float, int]
) -> None:
    assert recipe(*overrides) == values


def test_the_digits_entry_keeps_its_own_recipe() -> None:
    train = train_job().train
    assert (train.batch_size, train.steps, train.learning_rate, train.warmup_steps) == (8, 2600, 0.002, 50)


def test_averages_and_frozen_variables_reach_the_pipeline_node_when_asked_for() -> None:
    plain = train_job().pipeline["train_config"]
    assert plain["freeze_variables"] == []
    assert plain["optimizer"]["use_moving_average"] is False
    assert plain["optimizer"]["moving_average_decay"] is None
    asked = train_job("train.ema_decay=0.99", "train.freeze=[FeatureExtractor,bn]").pipeline["train_config"]
    assert asked["freeze_variables"] == ["FeatureExtractor", "bn"]
    assert asked["optimizer"]["use_moving_average"] is True
    assert asked["optimizer"]["moving_average_decay"] == 0.99


def test_the_schedule_ends_where_training_does_unless_it_is_not_scaled() -> None:
    def total_steps(*overrides: str) -> object:
        optimizer = train_job("train.steps=130", *overrides).pipeline["train_config"]["optimizer"]
        return optimizer["adam_optimizer"]["learning_rate"]["cosine_decay_learning_rate"]["total_steps"]

    assert total_steps() == 130
    assert total_steps("train.scale_schedule=false") == 2600


def test_high_level_settings_reach_the_pipeline_node() -> None:
    entry = "model=ssd_mobilenet_v2_fpnlite_320x320"
    overrides = (entry, "train.batch_size=3", "train.steps=77", "train.learning_rate=0.5", "train.warmup_steps=5")
    node = train_job(*overrides).pipeline["train_config"]
    cosine = node["optimizer"]["momentum_optimizer"]["learning_rate"]["cosine_decay_learning_rate"]
    assert (node["batch_size"], node["num_steps"]) == (3, 77)
    assert cosine == {
        "learning_rate_base": 0.5,
        "total_steps": 77,
        "warmup_steps": 5,
        "warmup_learning_rate": pytest.approx(0.5 * 0.026666 / 0.08),
    }


def test_an_entrys_augmentation_gives_way_to_the_command_lines_and_an_experiments_choice_to_both() -> None:
    entry = "model=ssd_mobilenet_v2_fpnlite_320x320"
    assert list(train_job(entry).augmentation.steps) == ["random_horizontal_flip", "random_crop_image"]
    assert train_job(entry, "augmentation=none").augmentation.steps == {}
    assert train_job("augmentation=flip").augmentation.steps == {"random_horizontal_flip": {}}


def test_augmentation_steps_are_added_and_taken_out_by_name() -> None:
    steps = train_job(
        "augmentation=flip",
        "~augmentation.steps.random_horizontal_flip",
        "+augmentation.steps.random_rgb_to_gray={probability: 0.2}",
    ).augmentation.steps
    assert steps == {"random_rgb_to_gray": {"probability": 0.2}}


def test_any_field_of_the_pipeline_can_be_overridden_added_and_emptied() -> None:
    nms = "pipeline.model.ssd.post_processing.batch_non_max_suppression"
    job = train_job(f"{nms}.iou_threshold=0.5", f"+{nms}.use_static_shapes=true", f"{nms}.score_threshold=null")
    assert job.pipeline["model"]["ssd"]["post_processing"]["batch_non_max_suppression"] == {
        "score_threshold": None,
        "iou_threshold": 0.5,
        "max_detections_per_class": 100,
        "max_total_detections": 100,
        "use_static_shapes": True,
    }


def test_a_data_set_of_ones_own_is_named_after_its_folder() -> None:
    assert train_job("dataset=voc", "dataset.path=/data/cats").dataset.name == "cats"


def test_predict_composes_to_its_own_job() -> None:
    job = composed("predict", ("run=/runs/a", "source=b.jpg", "min_score=0.25"))
    assert isinstance(job, PredictJob)
    assert (job.run, job.source, job.min_score) == ("/runs/a", "b.jpg", 0.25)


@pytest.mark.parametrize(
    ("override", "what", "remedy"),
    [
        ("+train.stepz=3", "there is no train.stepz", "did you mean steps"),
        ("+trian=3", "there is no trian", "did you mean train or tracking"),
        ("train.steps=???", "train.steps is not given, and there is no default", "train.steps=VALUE"),
        (
            "train.learning_rate=nan",
            "train.learning_rate is nan; it has to be finite and above 0",
            "set train.learning_rate=VALUE",
        ),
        (
            "eval.metric=mAP",
            "eval.metric is 'mAP', which is neither a COCO metric nor a validation loss",
            "did you mean AP",
        ),
        (
            "model.official.batch_size=0",
            "model.official.batch_size is 0; it has to be 1 or more",
            "set model.official.batch_size=VALUE",
        ),
        (
            "+pipeline.model.ssd.num_clases=3",
            "pipeline.model.ssd.num_clases is not a field of the OD API",
            "did you mean num_classes",
        ),
        (
            "+pipeline.model.faster_rcnn={}",
            "pipeline.model has faster_rcnn and ssd, of which only one can be set (model)",
            "to keep ssd: pipeline.model.faster_rcnn=null",
        ),
    ],
)
def test_what_composes_but_cannot_be_meant_is_refused(override: str, what: str, remedy: str) -> None:
    assert refused(override) == (what, remedy)


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("pipeline.model.ssd=null", "pipeline.model names no architecture"),
        ("~pipeline.model", "pipeline.model names no architecture"),
        ("pipeline.train_config.optimizer=null", "pipeline.train_config.optimizer is not set"),
    ],
)
def test_what_could_not_be_trained_is_refused_before_there_are_data(override: str, what: str) -> None:
    assert refused(override)[0] == what


def test_an_error_names_the_arguments_that_set_its_key() -> None:
    error = InputError("too many", where="train.steps", remedy="fewer")
    blamed = with_argument(error, ["train.seed=1", "train.steps=9"])
    assert str(blamed) == "too many\n  where:  train.steps (command line: train.steps=9)\n  remedy: fewer"
    assert with_argument(error, ["train.seed=1"]) is error
    assert with_argument(error, ["train.steps=9", "train={steps: 9}"]).where == blamed.where
    assert with_argument(error, ["train=mine"]).where == "train.steps (command line: train=mine)"
    twice = InputError("odd", where="train.steps, train.steps")
    assert with_argument(twice, ["train.steps=9"]).where == blamed.where
    valued = InputError("not there", where="model.archive=/home/a.gz")
    given = ["model=b", "model.archive=a.gz"]
    assert with_argument(valued, given).where == "model.archive=/home/a.gz (command line: model.archive=a.gz)"
    assert with_argument(valued, ["model.archive=/home/a.gz"]) is valued
    nowhere = InputError("somehow")
    assert with_argument(nowhere, ["train.seed=1"]) is nowhere
