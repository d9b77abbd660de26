"""An errand in the process that runs it: what it refuses, and what it goes on with."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from counting_sweeps import summary
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from odrun.config import resolvers, schemas
from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Status
from odrun.sweeps.clusters import errand as errands
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.warm.child import Order, Work
from odrun.sweeps.warm.launcher import trial_config
from odrun.sweeps.warm.outcome import result_of

Task = Callable[[DictConfig], object]
Make = Callable[..., Errand]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the errand of a trial that does what it is given; the sweep's directory is there."""
    monkeypatch.chdir(tmp_path)
    schemas.register("train")
    resolvers.register()
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "sweep.json").touch()
    state = Singleton.get_state()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        JobRuntime.instance().set("name", "train")
        context: HydraContext = _context()

        def made(task: Task, command: str = "train") -> Errand:
            work = Work(task, context)
            # What is read here would take the place of Hydra's own state in this process.
            monkeypatch.setattr(errands, "read_work", lambda _: work)
            given = [f"hydra.sweep.dir={sweep}", "hydra.sweep.subdir=0", "dataset.split.seed=1"]
            master = context.config_loader.load_configuration(command, given, run_mode=RunMode.MULTIRUN)
            config = trial_config(work, master, 0, ["dataset.split.seed=1"])
            order = Order(0, pickle.dumps(config), {}, sweep / "0" / "output.log", sweep / "0.pickle")
            return Errand(order, sweep / "0", sweep, tmp_path, b"")

        yield made
    Singleton.set_state(state)


def _context() -> HydraContext:
    from hydra._internal.callbacks import Callbacks

    return HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())


def begun(path: Path, status: Status | None) -> None:
    """What a run that has begun has left in `path`; without a status it was killed."""
    run = RunDirectory(path).create()
    for file in (run.config, run.pipeline_config, run.label_map):
        file.write_text("")
    if status is not None:
        summary(status, steps=3).write(run.summary)


def run(errand: Errand) -> None:
    """Run an errand, and see that its result says it is done."""
    errand()
    returned = result_of(errand.order)
    assert returned is not None
    assert returned.status == JobStatus.COMPLETED


@pytest.mark.parametrize("status", ["interrupted", "failed", None])
def test_a_training_that_has_begun_is_run_again_and_keeps_what_it_has(
    status: Status | None, make: Make, tmp_path: Path
) -> None:
    begun(tmp_path / "sweep" / "0", status)
    seen: list[list[str]] = []
    before = sorted(path.name for path in (tmp_path / "sweep" / "0").iterdir())
    run(make(lambda _: seen.append(sorted(path.name for path in (tmp_path / "sweep" / "0").iterdir()))))
    assert seen == [sorted([*before, "output.log"])]


@pytest.mark.parametrize("status", ["completed", "stopped_early"])
def test_a_run_that_has_ended_is_not_run_again(status: Status, make: Make, tmp_path: Path) -> None:
    begun(tmp_path / "sweep" / "0", status)
    seen: list[DictConfig] = []
    run(make(seen.append))
    assert seen == []


def test_what_cannot_be_gone_on_with_begins_anew(make: Make, tmp_path: Path) -> None:
    lost = RunDirectory(tmp_path / "sweep" / "0").create()
    run(make(lambda _: lost.create(), "prepare"))
    assert lost.log.is_file()


def test_what_a_trial_prints_is_in_its_log_and_the_cluster_has_its_own_streams_back(
    make: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(lambda _: print("within"))()
    os.write(1, b"after\n")
    print("after too")
    assert (tmp_path / "sweep" / "0" / "output.log").read_text() == "within\n"
    assert capfd.readouterr().out == "after\nafter too\n"


def test_a_machine_that_shares_nothing_is_told_and_nothing_is_written_there(make: Make, tmp_path: Path) -> None:
    errand = replace(make(lambda _: None), sweep=tmp_path / "elsewhere", directory=tmp_path / "elsewhere" / "0")
    with pytest.raises(InputError, match="does not see the sweep's directory") as caught:
        errand()
    assert caught.value.where == str(tmp_path / "elsewhere")
    assert "paths.outputs=DIR" in str(caught.value)
    assert not (tmp_path / "elsewhere").exists()


def test_relative_paths_begin_where_the_sweep_was_started(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    errand = make(lambda _: seen.append(Path.cwd()))
    monkeypatch.chdir("/")
    errand()
    assert seen == [tmp_path]
    replace(errand, working_directory=tmp_path / "none")()
    returned = result_of(errand.order)
    assert returned is not None
    assert returned.status == JobStatus.FAILED
    assert isinstance(returned._return_value, InputError)
    assert "does not see the folder that the sweep was started in" in returned._return_value.what
    assert seen == [tmp_path]


def test_a_trial_that_is_stopped_leaves_no_result_and_the_status_of_sigterm(make: Make) -> None:
    def stopped(_: DictConfig) -> None:
        raise KeyboardInterrupt

    errand = make(stopped)
    with pytest.raises(SystemExit) as left:
        errand()
    assert left.value.code == 143
    assert result_of(errand.order) is None
