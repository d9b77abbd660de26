"""The OD API as odrun uses it: a model, its training input, its optimizer and its exporter, behind typed functions.

Comes in: a `TrainEvalPipelineConfig`. Goes out: TensorFlow objects under names of our own. Nothing outside this package
imports `object_detection`. Importing this module imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from odrun.compat.tensorflow import tf
from odrun.errors import InputError

# isort: split
from object_detection import exporter_lib_v2, inputs, model_lib
from object_detection.builders import model_builder, optimizer_builder
from object_detection.core import standard_fields
from tensorflow.python.autograph.core import config as autograph_config

IMAGE = standard_fields.InputDataFields.image
TRUE_SHAPE = standard_fields.InputDataFields.true_image_shape
TOTAL_LOSS = "Loss/total_loss"
LABEL_ID_OFFSET = 1

_LIBRARY_RULES = tuple(
    autograph_config.DoNotConvert(name) for name in ("object_detection", "official", "tf_keras", "tf_slim")
)

Features = Mapping[str, tf.Tensor]
Labels = Mapping[str, tf.Tensor]


@contextmanager
def library_code_unconverted() -> Iterator[None]:
    """Within it, AutoGraph leaves the code of the OD API, tf-keras, tf-slim and tf-models-official as it is.

    They are written with graph operations and need no conversion, which costs most of the time to a first step.
    """
    with _conversion_rules((*_LIBRARY_RULES, *autograph_config.CONVERSION_RULES)):
        yield


@contextmanager
def _library_code_converted() -> Iterator[None]:
    published = tuple(rule for rule in autograph_config.CONVERSION_RULES if rule not in _LIBRARY_RULES)
    with _conversion_rules(published):
        yield


@contextmanager
def _conversion_rules(rules: tuple[Any, ...]) -> Iterator[None]:
    before = autograph_config.CONVERSION_RULES
    autograph_config.CONVERSION_RULES = rules
    try:
        yield
    finally:
        autograph_config.CONVERSION_RULES = before


@contextmanager
def _refusals_told(where: str, what: str) -> Iterator[None]:
    """A value of the pipeline that the OD API stumbles over, while it builds or traces, is the user's to correct."""
    try:
        yield
    except (ValueError, NotImplementedError, tf.errors.InvalidArgumentError) as error:
        told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"the Object Detection API cannot {what}: {told.strip()}",
            where=where,
            remedy="odrun train --cfg job shows the node; correct the value that the message names",
        ) from error


class Detections(NamedTuple):
    """What a model finds in a batch, as tensors; slots after `count` of an image are padding.

    Shapes: `boxes` [batch, most, 4] as ymin, xmin, ymax, xmax in fractions of the image; `scores` [batch, most];
    `label_ids` [batch, most] int32, 1-based as in the label map; `count` [batch] int32.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    label_ids: tf.Tensor
    count: tf.Tensor


class DetectionModel:
    """A detection model built from a pipeline.config, of whichever architecture.

    Raises:
        InputError: the OD API knows no such model, or a value of it is wrong.
    """

    def __init__(self, pipeline: Any, *, is_training: bool) -> None:
        self._pipeline = pipeline
        with _refusals_told("pipeline.model", "build the model"):
            self.network = model_builder.build(pipeline.model, is_training=is_training)

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The variables that gradients change; there are none to ask for before `build`."""
        return list(self.network.trainable_variables)

    @property
    def variable_count(self) -> int:
        """How many variables the built network has."""
        return len(self.network.variables)

    def losses(self, features: Features, labels: Labels, *, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """The losses of one training batch, each a scalar; `Loss/total_loss` is their sum, regularization included."""
        config = self._pipeline.train_config
        self._switch_to_training(True)
        unstacked = model_lib.unstack_batch(labels, unpad_groundtruth_tensors=config.unpad_groundtruth_tensors)
        model_lib.provide_groundtruth(self.network, unstacked, training_step=step)
        side_inputs = self.network.get_side_inputs(features)
        predictions = self.network.predict(features[IMAGE], features[TRUE_SHAPE], **side_inputs)
        losses = dict(self.network.loss(predictions, features[TRUE_SHAPE]))
        if config.add_regularization_loss:
            penalties = self.network.regularization_losses()
            if penalties:
                losses["Loss/regularization_loss"] = tf.add_n(penalties)
        losses[TOTAL_LOSS] = tf.add_n(list(losses.values()))
        return losses

    def build(self, features: Features) -> None:
        """Make the variables by running the network once on the first image of a batch.

        Raises:
            InputError: the network cannot take images of this size.
        """
        with _refusals_told("pipeline.model", "run the model"):
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
        found = self.network.postprocess(self.network.predict(images, true_shapes), true_shapes)
        return Detections(
            boxes=tf.cast(found["detection_boxes"], tf.float32),
            scores=tf.cast(found["detection_scores"], tf.float32),
            label_ids=tf.cast(found["detection_classes"], tf.int32) + LABEL_ID_OFFSET,
            count=tf.cast(found["num_detections"], tf.int32),
        )

    @property
    def start(self) -> str | None:
        """The prefix of the checkpoint that the pipeline starts from; `None` for random weights."""
        return self._pipeline.train_config.fine_tune_checkpoint or None

    def start_objects(self) -> dict[str, Any]:
        """The parts of the network that the starting checkpoint fills, by the names they have in it."""
        kind = self._pipeline.train_config.fine_tune_checkpoint_type
        return dict(self.network.restore_from_objects(fine_tune_checkpoint_type=kind))

    def _switch_to_training(self, is_training: bool) -> None:
        self.network._is_training = is_training
        tf.keras.backend.set_learning_phase(is_training)


def seed_everything(seed: int) -> None:
    """Forget all layers of models built before in this process, then seed Python, NumPy and TensorFlow."""
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(seed)


def training_batches(pipeline: Any, model: DetectionModel) -> tf.data.Dataset:
    """Endless (features, labels) batches of the training records, augmented as the pipeline says.

    A few augmentations of the OD API (`random_square_crop_by_scale`) are written for AutoGraph; with one of them the
    input is converted, within `library_code_unconverted` too.

    Raises:
        InputError: an image size or an augmentation has a value that the OD API cannot work with.
    """
    with _refusals_told("pipeline", "prepare the training images"):
        try:
            return _train_input(pipeline, model)
        except tf.errors.OperatorNotAllowedInGraphError:
            with _library_code_converted():
                return _train_input(pipeline, model)


def _train_input(pipeline: Any, model: DetectionModel) -> tf.data.Dataset:
    return inputs.train_input(
        train_config=pipeline.train_config,
        train_input_config=pipeline.train_input_reader,
        model_config=pipeline.model,
        model=model.network,
    ).repeat()


def optimizer_and_rate(pipeline: Any, *, step: tf.Variable) -> tuple[Any, Callable[[], tf.Tensor]]:
    """The optimizer of the pipeline and a function that gives its learning rate at the value of `step`."""
    optimizer, (rate,) = optimizer_builder.build(pipeline.train_config.optimizer, global_step=step)
    return optimizer, rate if callable(rate) else lambda: rate


def build_optimizer(optimizer: Any, model: DetectionModel) -> list[tuple[tf.Variable, tf.Variable]]:
    """Make the optimizer's variables for a built model; return (variable, moving average) pairs, none if not kept."""
    variables = model.trainable_variables
    if not hasattr(optimizer, "shadow_copy"):
        optimizer._create_all_weights(variables)
        return []
    optimizer._optimizer._create_all_weights(variables)
    optimizer.shadow_copy(model.network)
    return [(variable, optimizer.get_slot(variable, "average")) for variable in variables]


def export_inference_graph(pipeline: Any, *, checkpoint_dir: Path, output_dir: Path) -> None:
    """Write `checkpoint/`, `saved_model/` (input: one uint8 image [1, height, width, 3]) and `pipeline.config`."""
    exporter_lib_v2.export_inference_graph("image_tensor", pipeline, str(checkpoint_dir), str(output_dir))
