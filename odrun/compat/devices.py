"""How TensorFlow uses the machine; to be said before the first tensor is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError


def prepare_devices(*, deterministic: bool) -> None:
    """Let GPU memory grow with need; with `deterministic`, have every operation give equal results in equal runs.

    In a process whose GPUs are in use already (a later trial of a sweep) memory stays as it was set then.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # TensorFlow may have started with this device: the setting was made then, or is the user's own.
        with suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


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
