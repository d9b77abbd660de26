"""How TensorFlow uses the machine; to be said before the first tensor is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError
from odrun.runs.machine import usable_cores

# isort: split
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager import context

SMALL_BATCH_PX = 500_000
"""Up to so many pixels a batch, two cores are faster with an operation on each than with both on one operation.

Handing the parts of a small operation to another thread costs more than it gains. Time of a step of SSD MobileNetV2
FPNLite with one thread an operation, by that with two: 0.74 at 205 thousand pixels a batch (8 images of 160 x 160), 0.9
at 410 thousand, 1.12 at 819 thousand (8 of 320 x 320).
"""
_THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"


def prepare_devices(*, deterministic: bool, batch_px: int | None = None) -> None:
    """Let GPU memory grow with need, and use the cores as fits batches of `batch_px` pixels (`None`: not known).

    With `deterministic`, every operation gives equal results in equal runs. In a process whose devices are in use
    already (a later trial of a sweep) memory and threads stay as they were set then; threads that the environment sets
    (`TF_NUM_INTRAOP_THREADS`) stay too.
    """
    gpus = tf.config.list_physical_devices("GPU")
    is_small = batch_px is not None and batch_px <= SMALL_BATCH_PX
    if is_small and usable_cores() == 2 and not gpus and _THREADS_VARIABLE not in os.environ:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
    _optimize_graphs_once()
    for gpu in gpus:
        # TensorFlow may have started with this device: the setting was made then, or is the user's own.
        with suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _optimize_graphs_once() -> None:
    """Let TensorFlow go over a new graph once to make it faster; by default it does so twice.

    The second round takes 0.45 s of the first step of the digits model, and the steps are as fast without it (54 and
    53 ms, medians of four processes each).
    """
    running = context.context()
    if not running._initialized:
        # There is no public way to this option.
        running._config = running._config or tf.compat.v1.ConfigProto()
        running._config.graph_options.rewrite_options.meta_optimizer_iterations = RewriterConfig.ONE


def gpu_peak_memory_mb() -> float | None:
    """The most memory (10^6 bytes) that TensorFlow has held on one GPU; `None` without a GPU."""
    names = [f"GPU:{number}" for number in range(len(tf.config.list_physical_devices("GPU")))]
    peaks = [tf.config.experimental.get_memory_info(name)["peak"] / 1e6 for name in names]
    return max(peaks, default=None)


@contextmanager
def memory_faults_told(batch_size: int) -> Iterator[None]:
    """Running out of memory in a batch of this size as `RunFailedError`, with the size to try next."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        peak = gpu_peak_memory_mb()
        held = "" if peak is None else f"; TensorFlow held {peak:,.0f} MB of GPU memory at most"
        smaller = f"train.batch_size={batch_size // 2}" if batch_size > 1 else "a smaller image size"
        raise RunFailedError(
            f"a batch of {batch_size} images does not fit into memory{held}",
            where="train.batch_size",
            remedy=f"try {smaller}; the learning rate follows the batch size",
        ) from error
