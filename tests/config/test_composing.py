"""A single run is composed once, and nothing that Hydra gives to it is otherwise than if it were composed twice."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from odrun.config import application, resolvers, schemas
from odrun.config.composing import OnceLoader, composing_once
from odrun.config.jobs import HYDRA_VERSION_BASE
from odrun.config.location import conf_dir


@pytest.fixture
def compositions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunMode]]:
    """The mode of each composition that Hydra's own loader makes."""
    made: list[RunMode] = []
    compose = ConfigLoaderImpl._load_configuration_impl

    def counted(self: ConfigLoaderImpl, *arguments: Any, **named: Any) -> DictConfig:
        made.append(named["run_mode"])
        return compose(self, *arguments, **named)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    return iter([made])


def _nothing() -> None:
    """What is done before a sweep, where there is none."""


def seen_by_a_run(monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, once: bool) -> tuple[Any, Any]:
    """What a task that Hydra runs is given, and Hydra's own node."""
    schemas.register("train")
    resolvers.register()
    seen = []

    def task(config: DictConfig) -> None:
        facts = copy.deepcopy(HydraConfig.get())
        seen.append((OmegaConf.to_container(config), OmegaConf.to_container(facts)))

    monkeypatch.setattr("sys.argv", ["odrun", *arguments])
    with composing_once(before_sweep=_nothing) if once else nullcontext():
        hydra.main(config_path=str(conf_dir()), config_name="train", version_base=HYDRA_VERSION_BASE)(task)()
    ((config, facts),) = seen
    return config, facts


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["train.steps=3", "hydra.job.name=mine"],
        ["hydra.mode=RUN"],
        ["dataset=own", "--config-dir", "MINE"],
        ["--config-dir", "MINE", "--config-name", "single"],
    ],
)
def test_a_run_is_given_the_very_same_with_one_composition(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "own.yaml").write_text("defaults: [digits, _self_]\nname: own\n")
    (tmp_path / "single.yaml").write_text("defaults: [train, _self_]\nhydra: {mode: RUN}\n")
    given = [f"hydra.run.dir={tmp_path}/run", *(each.replace("MINE", str(tmp_path)) for each in more)]
    twice, once = (seen_by_a_run(monkeypatch, given, once=once) for once in (False, True))
    assert once == twice
    assert ("hydra.mode=RUN" in once[1]["overrides"]["hydra"]) == ("single" not in more)


@pytest.mark.parametrize(
    ("arguments", "composed"),
    [([], 1), (["--cfg", "job"], 1), (["hydra.mode=RUN"], 2), (["train.steps=0"], 1), (["train.stepz=0"], 2)],
    ids=["run", "cfg", "mode given", "refused", "faulty"],
)
def test_a_run_and_a_shown_config_are_composed_once(
    arguments: list[str], composed: int, compositions: Iterator[list[RunMode]], tmp_path: Path
) -> None:
    made = next(compositions)
    application.run("train", [f"paths.outputs={tmp_path}", *arguments], do=lambda *_, **__: None)
    # What may ask for a sweep by its mode is looked at before.
    assert len(made) == composed


def test_a_folder_of_the_users_own_may_ask_for_a_sweep(tmp_path: Path) -> None:
    seeds = []

    def do(job: Any, **_: object) -> None:
        seeds.append(job.train.seed)

    given = [f"paths.outputs={tmp_path}", "train.seed=1,2", "hydra/launcher=basic"]
    (tmp_path / "mine.yaml").write_text("defaults: [train, _self_]\nhydra: {mode: MULTIRUN}\n")
    assert application.run("train", [*given, "--config-dir", str(tmp_path), "--config-name", "mine"], do=do) == 0
    assert seeds == [1, 2]


class Noted(Callback):
    """Writes what it is told of into the run's directory."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def on_run_start(self, config: DictConfig, **named: Any) -> None:
        self._note("run start", config)

    def on_job_start(self, config: DictConfig, **named: Any) -> None:
        self._note("job start", config)

    def on_job_end(self, config: DictConfig, **named: Any) -> None:
        self._note("job end", config)

    def on_run_end(self, config: DictConfig, **named: Any) -> None:
        self._note("run end", config)

    def _note(self, what: str, config: DictConfig) -> None:
        with self._file.open("a") as stream:
            stream.write(f"{what} {config.hydra.mode.name} {config.train.steps}\n")


def test_hydras_callbacks_are_told_of_a_run(tmp_path: Path) -> None:
    noted = f"+hydra.callbacks.noted={{_target_: {__name__}.Noted, file: {tmp_path}/noted}}"
    given = [f"paths.outputs={tmp_path}", "train.steps=3", noted]
    assert application.run("train", given, do=lambda *_, **__: None) == 0
    told = (tmp_path / "noted").read_text().splitlines()
    assert told == [f"{what} RUN 3" for what in ("run start", "job start", "job end", "run end")]


def test_hydras_own_state_is_given_back_time_after_time() -> None:
    before = GlobalHydra.instance()
    for _ in range(2):
        with composing_once(before_sweep=_nothing):
            assert not GlobalHydra.instance().is_initialized()
            hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE)
            assert GlobalHydra.instance() is not before
        assert GlobalHydra.instance() is before
        assert not before.is_initialized()


def test_the_loader_answers_what_hydras_own_answers_also_in_another_process() -> None:
    schemas.register("train")
    resolvers.register()
    with (
        composing_once(before_sweep=_nothing),
        hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE),
    ):
        loader: Any = pickle.loads(pickle.dumps(GlobalHydra.instance().config_loader()))
        assert isinstance(loader, OnceLoader)
        plain: Any = loader._loader
        assert loader.list_groups("") == plain.list_groups("")
        assert loader.get_group_options("dataset") == plain.get_group_options("dataset")
        assert loader.get_group_options("", ObjectType.GROUP) == plain.get_group_options("", ObjectType.GROUP)
        assert [each.path for each in loader.get_sources()] == [each.path for each in plain.get_sources()]
        assert loader.get_search_path() is plain.get_search_path()
        ways = [each.compute_defaults_list("train", [], RunMode.RUN).defaults for each in (loader, plain)]
        assert ways[0] == ways[1]
        master = loader.load_configuration("train", ["train.steps=3"], RunMode.MULTIRUN)
        assert loader.load_sweep_config(master, ["train.seed=4"]).train.seed == 4
