"""One training step: losses, gradients, update; the same for every architecture.

Comes in: a built model, a pipeline.config and batches of (features, labels). Goes out: the losses of each step. What is
drawn at random in a step depends on the seed and the number of the step alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from odrun.compat.engine import TOTAL_LOSS, DetectionModel, build_optimizer, optimizer_and_rate
from odrun.compat.inputs import Features, Labels
from odrun.compat.tensorflow import tf


class StepResult(NamedTuple):
    """What a step gives, as scalars: its losses by name, the norm of all gradients, whether weights were updated."""

    losses: Mapping[str, tf.Tensor]
    gradient_norm: tf.Tensor
    is_applied: tf.Tensor


class Trainer:
    """The state that training changes: the model's variables, the optimizer's and the step.

    `step` counts finished steps. With
    `use_moving_average` in the pipeline's optimizer, `averaged_weights()` shows the model with the moving averages of
    its weights.
    """

    def __init__(self, model: DetectionModel, pipeline: Any, *, seed: int = 0) -> None:
        self.model = model
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
        self._rate_scale = tf.Variable(1.0, trainable=False, dtype=tf.float32, name="rate_scale")
        self._seed = seed
        self._clip_norm = pipeline.train_config.gradient_clipping_by_norm
        self._optimizer, self._rate = optimizer_and_rate(pipeline, step=self.step, scale=self._rate_scale)
        self._measured = tf.function(self._measure, autograph=False)
        self._updated = tf.function(self._update, autograph=False, reduce_retracing=True)
        self._averages: list[tuple[tf.Variable, tf.Variable]] = []
        self._trained: list[tf.Variable] = []
        self._is_built = False

    @property
    def trackable(self) -> dict[str, Any]:
        """What a checkpoint holds: by the names that the OD API's own programs use, and the factor of the rate."""
        return {
            "step": self.step,
            "model": self.model.network,
            "optimizer": self._optimizer,
            "rate_scale": self._rate_scale,
        }

    @property
    def keeps_averages(self) -> bool:
        """Whether the pipeline keeps moving averages of the weights."""
        return bool(self._averages)

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._rate())

    def halve_learning_rate(self) -> None:
        """From the next step on the learning rate is half of what it would have been."""
        self._rate_scale.assign(self._rate_scale / 2)

    def build(self, features: Features) -> None:
        """Make all variables from one batch, without training; needed before anything can be restored.

        Variables that came into being while the step is traced would make TensorFlow trace it a second time.
        """
        if self._is_built:
            return
        self.model.build(features)
        self._averages = build_optimizer(self._optimizer, self.model)
        self._trained = self.model.trainable_variables
        self._is_built = True

    def begin_averages(self) -> None:
        """Let the moving averages begin with the weights as they are; to be said before the first step."""
        for variable, average in self._averages:
            average.assign(variable)

    def train_only(self, variables: Sequence[tf.Variable]) -> None:
        """Leave all variables but these alone; to be said before the first step."""
        self._trained = list(variables)

    def train(self, features: Features, labels: Labels) -> StepResult:
        """Train on one batch; a loss or gradient that is no finite number leaves all weights as they were.

        Two graphs, not one with a condition: that would hold every variable of the update twice, and take a third
        longer to trace.
        """
        result: StepResult
        result, gradients, statistics_before = self._measured(features, labels)
        if result.is_applied:
            self._updated(gradients)
        else:
            self._restore_statistics(statistics_before)
        self.step.assign_add(1)
        return result

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within it the model has the moving averages of its weights, where the pipeline keeps them."""
        trained = [(variable, tf.identity(variable)) for variable, _ in self._averages]
        for variable, average in self._averages:
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in trained:
                variable.assign(value)

    def _measure(self, features: Features, labels: Labels) -> tuple[StepResult, list[tf.Tensor | None], tf.Tensor]:
        """What a step gives, the gradients to update by, and the statistics of normalization before it, in one row."""
        # As one tensor: a copy of each by itself takes 3 % of a step.
        rows = [tf.reshape(variable, [-1]) for variable in self.model.statistics]
        before = tf.concat(rows or [tf.zeros([0])], axis=0)
        with tf.GradientTape() as tape:
            losses = self.model.losses(features, labels, step=self.step, seed=self._seed)
        gradients = tape.gradient(losses[TOTAL_LOSS], self._trained)
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        is_finite = tf.math.is_finite(losses[TOTAL_LOSS]) & tf.math.is_finite(norm)
        return StepResult(losses, norm, is_finite), gradients, before

    def _update(self, gradients: Sequence[tf.Tensor | None]) -> None:
        self._optimizer.apply_gradients(zip(gradients, self._trained, strict=True))

    def _restore_statistics(self, before: tf.Tensor) -> None:
        """Put back what a step that is not applied has changed; the graph is traced sooner without this."""
        start = 0
        for variable in self.model.statistics:
            end = start + variable.shape.num_elements()
            variable.assign(tf.reshape(before[start:end], variable.shape))
            start = end
