"""Devices as TensorFlow is told of them, with stand-ins for GPUs, and what is said when memory runs out."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import ClassVar

import pytest

from odrun.compat import devices
from odrun.compat.devices import SMALL_BATCH_PX, gpu_peak_memory_mb, memory_faults_told, prepare_devices
from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError
from odrun.runs.machine import usable_cores


class Config:
    """Stands for `tf.config` on a machine with two GPUs, of which the first is in use already."""

    class experimental:  # noqa: N801 - the name that TensorFlow gives it
        told: ClassVar[list[object]] = []

        @classmethod
        def set_memory_growth(cls, gpu: str, enabled: bool) -> None:
            if gpu == "first":
                raise RuntimeError("Physical devices cannot be modified after being initialized")
            cls.told.append((gpu, enabled))

        @classmethod
        def enable_op_determinism(cls) -> None:
            cls.told.append("determinism")

        @staticmethod
        def get_memory_info(name: str) -> dict[str, int]:
            return {"peak": {"GPU:0": 3_000_000, "GPU:1": 5_000_000}[name]}

    @staticmethod
    def list_physical_devices(kind: str) -> list[str]:
        assert kind == "GPU"
        return ["first", "second"]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setattr(devices.tf, "config", Config)
    Config.experimental.told.clear()
    return Config.experimental.told


def test_memory_of_a_gpu_grows_unless_it_is_in_use_already(two_gpus: list[object]) -> None:
    prepare_devices(deterministic=False)

    assert two_gpus == [("second", True)]


def test_determinism_is_switched_on_where_it_is_asked_for(two_gpus: list[object]) -> None:
    prepare_devices(deterministic=True)

    assert two_gpus == [("second", True), "determinism"]


THREADS = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from odrun.compat.devices import prepare_devices
from odrun.compat.tensorflow import tf
prepare_devices(deterministic=False, batch_px=eval(sys.argv[2]))
print(float(tf.ones([8, 8])[0, 0] + 0), tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="two cores are needed")
@pytest.mark.parametrize(
    ("cores", "batch_px", "environment", "threads"),
    [
        (2, 8 * 160 * 160, {}, 1),
        (2, SMALL_BATCH_PX + 1, {}, 0),
        (2, None, {}, 0),
        (1, 8 * 160 * 160, {}, 0),
        (2, 8 * 160 * 160, {"TF_NUM_INTRAOP_THREADS": "2"}, 0),
    ],
)
def test_small_batches_on_two_cores_get_one_thread_an_operation(
    cores: int, batch_px: int | None, environment: dict[str, str], threads: int
) -> None:
    """0 stands for as many threads as TensorFlow sees fit."""
    command = [sys.executable, "-c", THREADS, str(cores), repr(batch_px)]

    told = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})

    assert told.stdout.split() == ["1.0", str(threads)]


def test_threads_stay_where_tensorflow_has_begun() -> None:
    tf.ones([]).numpy()

    prepare_devices(deterministic=False, batch_px=1)

    assert tf.config.threading.get_intra_op_parallelism_threads() == 0


ROUNDS = """
from odrun.compat.devices import prepare_devices
from odrun.compat.tensorflow import tf
prepare_devices(deterministic=False)
tf.ones([])
from tensorflow.python.eager import context
print(context.context().config.graph_options.rewrite_options.meta_optimizer_iterations)
"""


@pytest.mark.slow
def test_graphs_are_optimized_once() -> None:
    told = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["1"]


@pytest.mark.usefixtures("two_gpus")
def test_the_peak_is_that_of_the_fullest_gpu() -> None:
    assert gpu_peak_memory_mb() == 5.0


def test_without_a_gpu_there_is_no_peak() -> None:
    assert gpu_peak_memory_mb() is None


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
@pytest.mark.parametrize(("batch_size", "remedy"), [(12, "try train.batch_size=6"), (1, "try a smaller image size")])
def test_a_batch_that_does_not_fit_is_told_with_the_size_to_try(error: Exception, batch_size: int, remedy: str) -> None:
    told = f"a batch of {batch_size} images does not fit into memory"
    with pytest.raises(RunFailedError, match=told) as failure, memory_faults_told(batch_size):
        raise error

    assert failure.value.remedy is not None
    assert failure.value.remedy.startswith(remedy)


@pytest.mark.usefixtures("two_gpus")
def test_the_memory_that_was_held_is_told_where_it_is_known() -> None:
    with pytest.raises(RunFailedError, match="TensorFlow held 5 MB of GPU memory at most"), memory_faults_told(8):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")
