"""The OD API as odrun uses it: a model, its optimizer and its exporter, behind typed functions.

Comes in: a `TrainEvalPipelineConfig`. Goes out: TensorFlow objects under names of our own. Nothing outside this package
imports `object_detection`. Importing this module imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from odrun.compat.anchors import hold_anchors
from odrun.compat.draws import stateless_draws
from odrun.compat.inputs import Features, Labels
from odrun.compat.refusals import refusals_told
from odrun.compat.suppression import suppress_in_a_loop
from odrun.compat.targets import assign_in_batches
from odrun.compat.tensorflow import tf

# isort: split
from object_detection import exporter_lib_v2, model_lib
from object_detection.builders import model_builder, optimizer_builder
from object_detection.core import standard_fields
from object_detection.utils import config_util
from tensorflow.python.saved_model.save_context import save_context

IMAGE = standard_fields.InputDataFields.image
TRUE_SHAPE = standard_fields.InputDataFields.true_image_shape
TOTAL_LOSS = "Loss/total_loss"
LABEL_ID_OFFSET = 1


class Detections(NamedTuple):
    """What a model finds in a batch, as tensors; slots after `count` of an image are padding.

    Shapes: `boxes` [batch, most, 4] as ymin, xmin, ymax, xmax in fractions of the image; `scores` [batch, most];
    `label_ids` [batch, most] int32, 1-based as in the label map; `count` [batch] int32; `masks` [batch, most, rows,
    columns], 0 to 1 over the area of the box, without rows and columns if the model finds none; `keypoints` [batch,
    most, slots, 3] as y, x in fractions of the image and score, 0 to 1, without slots if the model finds none.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    label_ids: tf.Tensor
    count: tf.Tensor
    masks: tf.Tensor
    keypoints: tf.Tensor


class DetectionModel:
    """A detection model built from a pipeline.config, of whichever architecture.

    Raises:
        InputError: the OD API knows no such model, or a value of it is wrong.
    """

    def __init__(self, pipeline: Any, *, is_training: bool) -> None:
        self._pipeline = pipeline
        with refusals_told("pipeline.model", "build the model"):
            self.network = model_builder.build(pipeline.model, is_training=is_training)
        assign_in_batches(self.network)
        suppress_in_a_loop(self.network)
        hold_anchors(self.network)

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The variables that gradients change; there are none to ask for before `build`."""
        return list(self.network.trainable_variables)

    @property
    def statistics(self) -> list[tf.Variable]:
        """The variables that training changes otherwise, such as the moving averages of batch normalization."""
        return list(self.network.non_trainable_variables)

    @property
    def has_fixed_image_size(self) -> bool:
        """Whether all images, once resized, have one shape, so that they can be batched."""
        resizer = config_util.get_image_resizer_config(self._pipeline.model)
        return all(side > 0 for side in config_util.get_spatial_image_size(resizer))

    def losses(self, features: Features, labels: Labels, *, step: tf.Tensor, seed: int) -> dict[str, tf.Tensor]:
        """The losses of one training batch, each a scalar; `Loss/total_loss` is their sum, regularization included.

        What the model draws (samples of anchors and proposals, dropout) is a function of `seed` and `step`.
        """
        self._switch_to_training(True)
        with stateless_draws(-1 - seed, step):
            return self._losses(features, self._predictions(features, labels, step))

    def losses_and_detections(self, features: Features, labels: Labels) -> tuple[dict[str, tf.Tensor], Detections]:
        """The losses of one batch, as `losses`, and what the model finds in it, both by the model as for inference."""
        self._switch_to_training(False)
        predictions = self._predictions(features, labels, step=tf.constant(0, tf.int64))
        with stateless_draws(0, tf.constant(0, tf.int64)):
            losses = self._losses(features, predictions)
        return losses, _detections(self.network.postprocess(predictions, features[TRUE_SHAPE]))

    def build(self, features: Features) -> None:
        """Make the variables by running the network once on the first image of a batch.

        Raises:
            InputError: the network cannot take images of this size.
        """
        with refusals_told("pipeline.model", "run the model"):
            self.detect(features[IMAGE][:1], features[TRUE_SHAPE][:1])

    def preprocess(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resize and normalize one image [height, width, 3] of any type.

        Returns float32 [model height, model width, 3] and its true shape, int32 [3], without padding.
        """
        images, true_shapes = self.network.preprocess(tf.cast(image, tf.float32)[tf.newaxis])
        return images[0], true_shapes[0]

    def detect(self, images: tf.Tensor, true_shapes: tf.Tensor) -> Detections:
        """Detections in preprocessed images [batch, height, width, 3] with true shapes [batch, 3]."""
        self._switch_to_training(False)
        return _detections(self.network.postprocess(self.network.predict(images, true_shapes), true_shapes))

    def _predictions(self, features: Features, labels: Labels, step: tf.Tensor) -> Any:
        unpadded = self._pipeline.train_config.unpad_groundtruth_tensors
        truth = model_lib.unstack_batch(labels, unpad_groundtruth_tensors=unpadded)
        # As a tensor: the network would take a variable for one of its own, and a checkpoint of it would hold the step.
        model_lib.provide_groundtruth(self.network, truth, training_step=tf.identity(step))
        side_inputs = self.network.get_side_inputs(features)
        return self.network.predict(features[IMAGE], features[TRUE_SHAPE], **side_inputs)

    def _losses(self, features: Features, predictions: Any) -> dict[str, tf.Tensor]:
        losses = dict(self.network.loss(predictions, features[TRUE_SHAPE]))
        if self._pipeline.train_config.add_regularization_loss:
            penalties = self.network.regularization_losses()
            if penalties:
                losses["Loss/regularization_loss"] = tf.add_n(penalties)
        losses[TOTAL_LOSS] = tf.add_n(list(losses.values()))
        return losses

    def _switch_to_training(self, is_training: bool) -> None:
        self.network._is_training = is_training
        tf.keras.backend.set_learning_phase(is_training)


def _detections(found: Any) -> Detections:
    scores = tf.cast(found["detection_scores"], tf.float32)
    shape = tf.unstack(tf.shape(scores))
    none = tf.zeros([*shape, 0, 0])
    return Detections(
        boxes=tf.cast(found["detection_boxes"], tf.float32),
        scores=scores,
        label_ids=tf.cast(found["detection_classes"], tf.int32) + LABEL_ID_OFFSET,
        count=tf.cast(found["num_detections"], tf.int32),
        masks=tf.cast(found["detection_masks"], tf.float32) if "detection_masks" in found else none,
        keypoints=_keypoints(found) if "detection_keypoints" in found else tf.zeros([*shape, 0, 3]),
    )


def _keypoints(found: Any) -> tf.Tensor:
    scores = tf.cast(found["detection_keypoint_scores"], tf.float32)
    return tf.concat([tf.cast(found["detection_keypoints"], tf.float32), scores[..., tf.newaxis]], axis=-1)


def seed_everything(seed: int) -> None:
    """Forget all layers of models built before in this process, then seed Python, NumPy and TensorFlow."""
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(seed)


def optimizer_and_rate(pipeline: Any, *, step: tf.Variable, scale: tf.Variable) -> tuple[Any, Callable[[], tf.Tensor]]:
    """The optimizer of the pipeline and a function that gives its learning rate at the value of `step`.

    The rate is the pipeline's times `scale`, a scalar.
    """
    optimizer, (scheduled,) = optimizer_builder.build(pipeline.train_config.optimizer, global_step=step)

    def rate() -> tf.Tensor:
        return (scheduled() if callable(scheduled) else scheduled) * scale

    getattr(optimizer, "_optimizer", optimizer)._set_hyper("learning_rate", rate)
    return optimizer, rate


def build_optimizer(optimizer: Any, model: DetectionModel) -> list[tuple[tf.Variable, tf.Variable]]:
    """Make the optimizer's variables for a built model; return (variable, moving average) pairs, none if not kept."""
    variables = model.trainable_variables
    if not hasattr(optimizer, "shadow_copy"):
        optimizer._create_all_weights(variables)
        return []
    optimizer._optimizer._create_all_weights(variables)
    optimizer.shadow_copy(model.network)
    return [(variable, optimizer.get_slot(variable, "average")) for variable in variables]


def export_inference_graph(model: DetectionModel, pipeline: Any, *, output_dir: Path) -> None:
    """Write `checkpoint/`, `saved_model/` (input: one uint8 image [1, height, width, 3]) and `pipeline.config`.

    They are laid out and called as those of the OD API's exporter, and hold the weights that `model` has; that program
    would build another model, fill it from a checkpoint and trace it three times. Beside the function that detects, the
    SavedModel has its variables alone: the objects of all layers, of no use there, would take longer to save and to
    load than all else.
    """
    checkpoint = tf.train.Checkpoint(model=model.network)
    tf.train.CheckpointManager(checkpoint, str(output_dir / "checkpoint"), max_to_keep=1).save(checkpoint_number=0)
    model._switch_to_training(False)
    detection = tf.Module()
    detection.__call__ = exporter_lib_v2.DETECTION_MODULE_MAP["image_tensor"](model.network).__call__
    # Traced as saving does it, which would trace it once more otherwise.
    with save_context(tf.saved_model.SaveOptions()):
        signature = detection.__call__.get_concrete_function()
    detection.held_variables = list(signature.variables)
    tf.saved_model.save(detection, str(output_dir / "saved_model"), signatures=signature)
    config_util.save_pipeline_config(pipeline, str(output_dir))
