"""One training step: losses, gradients, update; the same for every architecture.

Comes in: a built model, a pipeline.config and batches of (features, labels). Goes out: the losses of each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from odrun.compat.engine import TOTAL_LOSS, DetectionModel, Features, Labels, build_optimizer, optimizer_and_rate
from odrun.compat.tensorflow import tf


class Trainer:
    """The state that training changes: the model's variables, the optimizer's and the step.

    `step` counts finished steps. With `use_moving_average` in the pipeline's optimizer, `averaged_weights()` shows the
    model with the moving averages of its weights.
    """

    def __init__(self, model: DetectionModel, pipeline: Any) -> None:
        self.model = model
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
        self._config = pipeline.train_config
        self._optimizer, self._rate = optimizer_and_rate(pipeline, step=self.step)
        self._graph = tf.function(self._train, autograph=False)
        self._averages: list[tuple[tf.Variable, tf.Variable]] = []
        self._is_built = False

    @property
    def trackable(self) -> dict[str, Any]:
        """What a checkpoint holds, by the names that the OD API's own programs use."""
        return {"step": self.step, "model": self.model.network, "optimizer": self._optimizer}

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._rate())

    def build(self, features: Features) -> None:
        """Make all variables from one batch, without training; needed before anything can be restored.

        Variables that came into being while the step is traced would make TensorFlow trace it a second time.
        """
        if self._is_built:
            return
        self.model.build(features)
        self._averages = build_optimizer(self._optimizer, self.model)
        self._is_built = True

    def train(self, features: Features, labels: Labels) -> dict[str, tf.Tensor]:
        """Train on one batch and return its losses, each a scalar tensor; `Loss/total_loss` is their sum."""
        losses: dict[str, tf.Tensor] = self._graph(features, labels)
        return losses

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

    def _train(self, features: Features, labels: Labels) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = self.model.losses(features, labels, step=self.step)
        variables = self.model.trainable_variables
        gradients = tape.gradient(losses[TOTAL_LOSS], variables)
        if self._config.gradient_clipping_by_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._config.gradient_clipping_by_norm)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.step.assign_add(1)
        return losses
