"""The launcher's settings, its division of the machine, its logs and its package."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from odrun.sweeps import warm
from odrun.sweeps.warm.hooks import FileHook, Progress, load_hook
from odrun.sweeps.warm.output import BoundedLog
from odrun.sweeps.warm.resources import gpu_variables, resident_mb, thread_variables, usable_gpus
from odrun.sweeps.warm.settings import SettingError, WarmLauncherConf
from odrun.sweeps.warm.trials import Trial, tail, write_whole


def test_the_package_imports_nothing_of_odrun_but_itself() -> None:
    found = []
    for path in sorted(Path(warm.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found += [name for name in names if name.startswith("odrun") and not name.startswith("odrun.sweeps.warm")]
    assert found == []


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"n_jobs": 0}, "n_jobs"),
        ({"threads_per_trial": 0}, "threads_per_trial"),
        ({"gpus_per_trial": -1}, "gpus_per_trial"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"memory_mb": 0}, "memory_mb"),
        ({"grace_s": -1.0}, "grace_s"),
        ({"start": "spawn"}, "start"),
    ],
)
def test_a_setting_out_of_its_limits_is_refused_by_name(settings: dict[str, float], key: str) -> None:
    with pytest.raises(SettingError, match=f"^{key} is ") as told:
        WarmLauncherConf(**settings)  # type: ignore[arg-type]
    assert told.value.key == key


@pytest.mark.parametrize(
    ("n_jobs", "asked", "cores", "threads"),
    [(1, None, 8, None), (2, None, 8, "4"), (3, None, 8, "2"), (4, None, 2, "1"), (1, 5, 8, "5"), (2, 5, 8, "5")],
)
def test_cores_are_divided_among_the_trials(n_jobs: int, asked: int | None, cores: int, threads: str | None) -> None:
    variables = thread_variables(WarmLauncherConf(n_jobs=n_jobs, threads_per_trial=asked), cores)
    assert set(variables.values()) == (set() if threads is None else {threads})
    assert ("TF_NUM_INTRAOP_THREADS" in variables) == (threads is not None)


@pytest.mark.parametrize(
    ("n_jobs", "each", "gpus", "handed_out"),
    [
        (1, None, ["0", "1"], [None]),
        (2, None, ["0", "1", "2"], ["0", "1"]),
        (2, 2, ["4", "5", "6", "7"], ["4,5", "6,7"]),
        (2, 0, ["0"], [None, None]),
        (2, None, [], [None, None]),
        (1, 1, ["0", "1"], ["0"]),
    ],
)
def test_gpus_are_handed_out_to_each_place(
    n_jobs: int, each: int | None, gpus: list[str], handed_out: list[str | None]
) -> None:
    places = gpu_variables(WarmLauncherConf(n_jobs=n_jobs, gpus_per_trial=each), gpus)
    assert [place.get("CUDA_VISIBLE_DEVICES") for place in places] == handed_out


def test_more_gpus_than_there_are_are_refused_with_the_numbers() -> None:
    with pytest.raises(SettingError, match="2 trials at a time with gpus_per_trial=2 need 4 GPUs, and there are 3"):
        gpu_variables(WarmLauncherConf(n_jobs=2, gpus_per_trial=2), ["0", "1", "2"])


@pytest.mark.parametrize(
    ("given", "gpus"),
    [("0,1", ["0", "1"]), ("GPU-ab, 2", ["GPU-ab", "2"]), ("", []), ("-1", []), ("1,-1,0", ["1"]), (None, ["0", "1"])],
)
def test_gpus_are_those_that_the_environment_allows_else_all_of_the_driver(
    given: str | None, gpus: list[str], tmp_path: Path
) -> None:
    for address in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / address).mkdir()
    environment = {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    assert usable_gpus(environment, listing=tmp_path) == gpus
    assert usable_gpus({}, listing=tmp_path / "none") == []


def test_the_memory_of_a_process_is_known_while_it_lives() -> None:
    held = resident_mb(os.getpid())
    assert held is not None
    assert held > 10
    assert resident_mb(2**22 + 1) is None


def test_a_log_within_its_bounds_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 40)
    BoundedLog(path, head=10, tail=10, slack=20).bound()
    assert path.read_bytes() == b"x" * 40


def test_a_log_is_cut_in_its_middle_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = BoundedLog(path, head=4, tail=6, slack=10)
    path.write_bytes(b"head" + b"x" * 90 + b"ending")
    log.bound()
    assert path.read_bytes() == b"head\n[about 90 bytes are left out here]\nending"
    with path.open("ab") as stream:
        stream.write(b"y" * 50 + b"second")
    log.bound()
    assert path.read_bytes().startswith(b"head\n[about ")
    assert path.read_bytes().endswith(b"left out here]\nsecond")


def test_at_the_end_a_log_is_cut_without_slack(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"head" + b"x" * 8 + b"ending")
    BoundedLog(path, head=4, tail=6, slack=10).bound(is_last=True)
    assert path.read_bytes() == b"head\n[about 8 bytes are left out here]\nending"


def test_a_log_that_is_not_there_has_no_end(tmp_path: Path) -> None:
    BoundedLog(tmp_path / "none").bound()
    assert tail(tmp_path / "none") == []


def test_progress_is_read_from_the_trials_file(tmp_path: Path) -> None:
    hook = FileHook()
    assert hook.progress(tmp_path) == Progress()
    (tmp_path / "progress.json").write_text('{"step": 3, "steps": 9}')
    assert hook.progress(tmp_path) == Progress(3, 9)
    (tmp_path / "progress.json").write_text('{"step": 3, "st')
    assert hook.progress(tmp_path) == Progress()


def test_a_hook_is_found_by_its_name() -> None:
    assert isinstance(load_hook("odrun.sweeps.warm.hooks.FileHook"), FileHook)
    assert isinstance(load_hook(None), FileHook)


def test_the_record_of_a_trial_replaces_the_one_before_whole(tmp_path: Path) -> None:
    trial = Trial(3, ("a=1",), tmp_path / "3", status="completed", pid=7, exit_status=0)
    write_whole(tmp_path / "3" / "trial.json", "old")
    trial.write()
    assert [path.name for path in (tmp_path / "3").iterdir()] == ["trial.json"]
    assert '"status": "completed"' in (tmp_path / "3" / "trial.json").read_text()
