"""Origins are read off real compositions; tests/commands/test_check.py sees them through a whole check."""

from __future__ import annotations

import inspect
import re

import yaml

from odrun.config import resolvers
from odrun.config.location import conf_dir
from odrun.config.origins import RESOLVED_FROM, Origins, _keys
from odrun.pipeline.descriptors import new_config
from odrun.pipeline.provenance import Source


def made(arguments: list[str], *, raw: dict, now: dict, then: dict, lines: dict[str, str]) -> Origins:  # type: ignore[type-arg]
    return Origins(new_config(), raw, now, then, lines, arguments, frozenset({"train", "model"}))


def test_an_argument_wins_over_the_file_and_the_last_over_the_first() -> None:
    origins = made(["a.b=1", "a.b=2"], raw={}, now={}, then={}, lines={"a.b": "conf/a.yaml:1"})
    assert origins.source_of("a.b") == Source("command line", "a.b=2")


def test_the_choice_of_an_option_sets_no_value_of_its_group() -> None:
    origins = made(
        ["train=fast"], raw={}, now={"train": {"steps": 3}}, then={}, lines={"train.steps": "train/fast.yaml:4"}
    )
    assert origins.source_of("train.steps") == Source("file", "train/fast.yaml:4")


def test_a_value_is_traced_through_a_resolver_to_the_setting_that_changed() -> None:
    raw = {"pipeline": {"rate": "${scaled_with_rate:0.1}"}, "train": {"learning_rate": "${scaled_rate:1}"}}
    origins = made(
        ["train.batch_size=4"],
        raw=raw,
        now={"train": {"learning_rate": 0.5, "batch_size": 4}},
        then={"train": {"learning_rate": 1.0, "batch_size": 8}},
        lines={},
    )
    assert origins.source_of("pipeline.rate") == Source("command line", "train.batch_size=4", "train.batch_size")


def test_keys_stand_at_their_lines_below_their_package() -> None:
    node = yaml.compose("steps: 3\noptimizer:\n  adam: {}\n", Loader=yaml.SafeLoader)
    assert [*_keys(node, "")] == [("steps", 1, True), ("optimizer.adam", 3, False)]
    assert [*_keys(node, "train")] == [("train.steps", 1, True), ("train.optimizer.adam", 3, False)]


def test_all_resolvers_that_look_at_the_whole_config_are_known_by_what_they_look_at() -> None:
    source = inspect.getsource(resolvers)
    assert set(re.findall(r"def (\w+)\([^)]*_root_", source)) == set(RESOLVED_FROM)


def test_no_entry_calls_a_resolver_whose_settings_are_not_known() -> None:
    called = {
        name
        for file in (conf_dir() / "model").rglob("*.yaml")
        for name in re.findall(r"\$\{(\w+):", file.read_text(encoding="utf-8"))
    }
    assert called <= set(RESOLVED_FROM)
