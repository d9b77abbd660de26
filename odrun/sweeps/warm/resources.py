"""The machine's cores and GPUs, divided among the trials that run at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from odrun.sweeps.warm.settings import SettingError, WarmLauncherConf

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""What OpenMP, the BLAS libraries and TensorFlow read when they start."""
_NVIDIA = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU (NVIDIA driver README, chapter 21)."""


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_gpus(environment: Mapping[str, str] | None = None, *, listing: Path = _NVIDIA) -> list[str]:
    """The GPUs as `CUDA_VISIBLE_DEVICES` names them: those that it holds, else all that the driver lists."""
    given = (os.environ if environment is None else environment).get(VISIBLE_GPUS)
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        # CUDA takes what stands before the first name that is none.
        end = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:end]
    return [str(number) for number in range(len(list(listing.iterdir())))] if listing.is_dir() else []


def thread_variables(settings: WarmLauncherConf, cores: int) -> dict[str, str]:
    """What the environment of each trial says of CPU threads; nothing where one trial has the machine for itself."""
    threads = settings.threads_per_trial
    if threads is None:
        if settings.n_jobs == 1:
            return {}
        threads = max(1, cores // settings.n_jobs)
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def gpu_variables(settings: WarmLauncherConf, gpus: list[str]) -> list[dict[str, str]]:
    """What the environment of a trial says of GPUs, for each of the `n_jobs` places.

    Raises:
        SettingError: there are fewer GPUs than that takes; none at all is no error, the trials then use the CPU.
    """
    each = settings.gpus_per_trial
    if each is None:
        each = 0 if settings.n_jobs == 1 else 1
    if not gpus or not each:
        return [{} for _ in range(settings.n_jobs)]
    if each * settings.n_jobs > len(gpus):
        raise SettingError(
            "gpus_per_trial",
            f"{settings.n_jobs} trials at a time with gpus_per_trial={each} need {each * settings.n_jobs} GPUs, and "
            f"there are {len(gpus)}; gpus_per_trial=0 lets every trial see all",
        )
    return [{VISIBLE_GPUS: ",".join(gpus[place * each : (place + 1) * each])} for place in range(settings.n_jobs)]


def resident_mb(pid: int) -> float | None:
    """The memory (10^6 bytes) that a process holds resident; `None` where the system does not say, or it has ended.

    Source: proc(5), `/proc/PID/statm`, second field, in pages.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        return None
