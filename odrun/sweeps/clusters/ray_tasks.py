"""Errands as Ray's tasks."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from odrun.errors import RunFailedError
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.clusters.settings import OWN_ADDRESS, own_ray
from odrun.sweeps.warm.resources import THREAD_VARIABLES

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a Ray that is started here: errands take some kilobytes, and Ray reserves a third of the memory by itself."""
_KNOCK_S = 10.0


class RayTasks:
    """The tasks of one launch, with the settings of `RayConf`; a Ray started for them ends with the context."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._init = dict(settings["init"])
        self._remote = dict(settings["remote"])
        self._references: dict[int, Any] = {}
        self._ended: set[int] = set()
        self._is_ours = True

    @property
    def poll_s(self) -> float:
        """How often it bears to be asked."""
        return 0.5

    def __enter__(self) -> RayTasks:
        if ray.is_initialized():
            self._is_ours = False
            return self
        # Nothing that is run here is told to anybody.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        given = {name: value for name, value in self._init.items() if value is not None}
        if own_ray(self._init):
            given = {"object_store_memory": OBJECT_STORE_BYTES, **given, "address": OWN_ADDRESS}
        try:
            _knock(str(given.get("address", "")))
            ray.init(**given)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise RunFailedError(
                f"Ray is not to be reached: {error}",
                where=f"hydra.launcher.ray.init.address={self._init.get('address')}",
                remedy="ray status says whether one runs; init.address=local starts one on this machine",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_ours:
            ray.shutdown()

    def submit(self, errands: Mapping[int, Errand]) -> None:
        """Have the errands run, as many at a time as the cluster has CPUs and GPUs for.

        Raises:
            RunFailedError: `hydra.launcher.ray.remote` holds what Ray does not know.
        """
        options = {name: value for name, value in self._remote.items() if value is not None}
        if "num_gpus" not in options:
            options["num_gpus"] = 1 if ray.cluster_resources().get("GPU", 0) else 0
        threads = str(max(1, int(options.get("num_cpus") or 1)))
        options.setdefault("runtime_env", {"env_vars": dict.fromkeys(THREAD_VARIABLES, threads)})
        try:
            task = ray.remote(**options)(_run)
        except (ValueError, TypeError) as error:
            raise RunFailedError(f"Ray does not take the trials: {error}", where="hydra.launcher.ray.remote") from error
        for number, errand in errands.items():
            self._references[number] = task.options(name=f"odrun trial {number}").remote(errand)

    def ended(self, *, now: bool) -> list[int]:
        """The numbers of those that have ended since it was last asked."""
        del now
        if self._ended == set(self._references):
            return []
        waiting = {self._references[number]: number for number in self._references if number not in self._ended}
        done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        found = [waiting[reference] for reference in done]
        self._ended.update(found)
        return found

    def fault(self, number: int) -> BaseException | str:
        """Why a task left no result."""
        try:
            ray.get(self._references[number])
        except RayTaskError as error:
            cause = error.cause
            return cause if isinstance(cause, Exception) else str(error)
        except RayError as error:
            return f"its process ended without a result: {error}"
        return "its process ended without a result"

    def stop(self, number: int) -> None:
        """Have a task save and end, as Ctrl-C would."""
        ray.cancel(self._references[number], force=False)


def _knock(address: str) -> None:
    """Raise `OSError` if nobody listens at an address with a port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()


def _run(errand: Errand) -> None:
    errand()
