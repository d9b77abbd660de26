"""Sweeps through a Ray that is started on the loopback."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from counting_sweeps import Start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'odrun[ray]' is needed"),
]
RAY = (
    "hydra/launcher=ray",
    "hydra.launcher.ray.init.num_cpus=2",
    "+hydra.launcher.ray.init._node_ip_address=127.0.0.1",
)


def test_trials_run_in_processes_of_their_own_a_failed_one_ends_no_other_and_a_preempted_one_goes_on(
    start: Start,
) -> None:
    sweep = start(*RAY, "train.steps=150", "train.seed=1,13,2")
    sweep.wait_for(lambda: len(sweep.counted(0)) > 5)
    os.kill(sweep.pids(0)[0], signal.SIGTERM)
    told = sweep.end()
    assert sweep.process.returncode == 1, told
    assert sweep.statuses() == ["completed", "failed", "completed"]
    assert [trial["error"] for trial in sweep.record()["trials"]] == [None, "diverged", None]
    assert sweep.counted(0) == sweep.counted(2) == list(range(1, 151))
    assert len({*sweep.pids(0), *sweep.pids(2), sweep.process.pid}) == 4
    assert "Traceback" not in told


def test_ctrl_c_lets_the_trials_save(start: Start) -> None:
    sweep = start(*RAY, "train.steps=100000", "train.seed=1")
    sweep.wait_for(lambda: len(sweep.counted(0)) > 5)
    sweep.process.send_signal(signal.SIGINT)
    told = sweep.end()
    assert sweep.process.returncode == 130, told
    assert sweep.statuses() == ["interrupted"]
    assert (sweep.trial(0) / "saved.txt").read_text() == str(len(sweep.counted(0)))


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9"])
def test_a_ray_that_is_not_there_is_told(address: str, start: Start, tmp_path: Path) -> None:
    # Where Ray notes the address of the one that runs.
    environment = {"RAY_TMPDIR": str(tmp_path)}
    sweep = start("hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}", environment=environment)
    told = sweep.end()
    assert sweep.process.returncode == 1
    assert "odrun: Ray is not to be reached" in told
    assert f"  where:  hydra.launcher.ray.init.address={address}\n" in told
    assert "Traceback" not in told
