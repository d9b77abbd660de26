"""Steps, epochs, warm-up and the intervals of evaluations, checkpoints and logs against one another."""

from __future__ import annotations

from collections.abc import Iterator

from odrun.checks.finding import Finding
from odrun.settings import EvalSettings, OfficialSettings, TrainSettings

_CHECK = "schedule"
RATE_FACTOR = 4
"""A learning rate that is so many times the official one for the batch is told of."""
WARMUP_SHARE = 0.5


def check_schedule(
    train: TrainSettings, evaluation: EvalSettings, official: OfficialSettings, *, images: int
) -> Iterator[Finding]:
    """What of the schedule does not fit; `images` are those that are trained on, one or more."""
    epochs = train.steps * train.batch_size / images
    if epochs < 1:
        needed = -(-images // train.batch_size)
        seen = train.steps * train.batch_size
        yield Finding(
            _CHECK, "warning", f"the training sees {seen} of the {images} images, none twice", f"train.steps={needed}"
        )
    else:
        yield Finding(_CHECK, "note", f"{train.steps} steps of {train.batch_size} images are {epochs:.1f} epochs")
    if train.warmup_steps > WARMUP_SHARE * train.steps and train.steps > 1:
        what = f"the warm-up takes {train.warmup_steps} of the {train.steps} steps"
        yield Finding(_CHECK, "warning", what, f"train.warmup_steps={train.steps // 10}")
    in_proportion = official.learning_rate * train.batch_size / official.batch_size
    if train.learning_rate > RATE_FACTOR * in_proportion:
        what = (
            f"the learning rate {train.learning_rate:.4g} is {train.learning_rate / in_proportion:.1f} times the "
            f"official one in proportion to the batch ({in_proportion:.4g})"
        )
        yield Finding(_CHECK, "warning", what, f"train.learning_rate={in_proportion:.4g}")
    yield from _intervals(train, evaluation)


def _intervals(train: TrainSettings, evaluation: EvalSettings) -> Iterator[Finding]:
    rounds = 1 if evaluation.every is None else -(-train.steps // evaluation.every)
    patience = train.early_stopping.patience
    if patience is not None and rounds <= patience:
        what = f"early stopping waits for {patience} evaluations, and the training has {rounds}"
        often = max(1, train.steps // (4 * patience))
        yield Finding(_CHECK, "warning", what, f"eval.every={often}, or train.early_stopping.patience=null")
    if rounds == 1 and train.steps > 1:
        yield Finding(_CHECK, "note", "there is one evaluation, at the end", f"eval.every={max(1, train.steps // 5)}")
    every = train.checkpoint.every
    if every is not None and every > train.steps:
        what = f"train.checkpoint.every is {every}, and the training has {train.steps} steps"
        yield Finding(_CHECK, "note", what, "train.checkpoint.every=null saves with each evaluation")
    if train.log_every > train.steps:
        what = f"train.log_every is {train.log_every}: of {train.steps} steps the first and the last are logged"
        yield Finding(_CHECK, "note", what, f"train.log_every={max(1, train.steps // 10)}")
