"""A search in the words of a W&B sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from odrun.errors import InputError
from odrun.sweeps.search.settings import SAMPLERS
from odrun.sweeps.search.space import split
from odrun.sweeps.search.wandb_sweep import METHODS, early_terminate, method, metric, parameters


def parameters_of(*texts: str) -> dict[str, dict[str, object]]:
    return parameters(split(OverridesParser.create().parse_overrides(list(texts)))[0])


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("a=4,8,16", {"values": [4, 8, 16]}),
        ("a=null,0.99,1e-5", {"values": ["null", 0.99, 1e-5]}),
        ("a=true,false", {"values": [True, False]}),
        ("a=[1,2],{b:3}", {"values": ["[1,2]", "{b:3}"]}),
        ("a='b,c',\"1\",'007'", {"values": ["'b,c'", '"1"', "'007'"]}),
        ("a=inf,1_000", {"values": ["inf", 1000]}),
        ("a=interval(0.1,0.9)", {"distribution": "uniform", "min": 0.1, "max": 0.9}),
        ("a=tag(log,interval(1e-4,1e-1))", {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}),
        ("a=int(interval(4,64))", {"distribution": "int_uniform", "min": 4, "max": 64}),
        ("a=tag(log,int(interval(4,64)))", {"distribution": "q_log_uniform_values", "min": 4, "max": 64, "q": 1}),
        ("a=range(4)", {"distribution": "int_uniform", "min": 0, "max": 3}),
        ("a=range(1,9,2)", {"values": [1, 3, 5, 7]}),
        ("a=range(0.1,0.5,0.1)", {"values": [0.1, 0.2, 0.3, 0.4]}),
    ],
)
def test_each_dimension_is_a_parameter(text: str, parameter: dict[str, object]) -> None:
    found = parameters_of(text)["a"]
    assert found == parameter
    assert list(map(type, found.get("values", []))) == list(map(type, parameter.get("values", [])))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "texts",
    [
        ["4", "1e-5", "1.0", "1e+16", "1_000", "-0.5"],
        ["null", "true", "FALSE", "inf", "nan"],
        ["'b,c'", '"d e"', "'007'", "007", "'null'", "'1'", "'it\\'s'", "on", "1:30", "08"],
        ["[1,'a,b']", "{b:3}", "[]", "${c}"],
    ],
)
def test_hydra_reads_what_the_agent_passes_on_as_it_reads_the_choice(texts: list[str], tmp_path: Path) -> None:
    """By way of the file, of JSON, as the server keeps it, and of the agent's own arguments."""
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(parameters_of(f"a={','.join(texts)}"), sort_keys=False))
    values = json.loads(json.dumps(yaml.safe_load(file.read_text())))["a"]["values"]
    given = [create_sweep_command_args({"args": {"a": {"value": value}}})["args_no_hyphens"] for value in values]
    parser = OverridesParser.create()
    read = [parser.parse_override(argument).value() for (argument,) in given]
    meant = [parser.parse_override(f"a={text}").value() for text in texts]
    assert list(map(repr, read)) == list(map(repr, meant))


def test_the_samplers_are_methods_of_wandb_but_for_sobol() -> None:
    assert {name: method(name) for name in METHODS} == {"tpe": "bayes", "random": "random", "grid": "grid"}
    assert set(SAMPLERS) - set(METHODS) == {"sobol"}
    with pytest.raises(InputError, match="W&B does not search by sobol") as refused:
        method("sobol")
    assert refused.value.remedy == (
        "hydra.sweeper.sampler=tpe or hydra.sweeper.sampler=random or hydra.sweeper.sampler=grid"
    )


@pytest.mark.parametrize(
    ("objective", "goal"), [("AP", "maximize"), ("AR_100", "maximize"), ("loss/total", "minimize")]
)
def test_the_metric_has_the_name_it_is_logged_under(objective: str, goal: str) -> None:
    assert metric([objective]) == {"name": f"eval/{objective}", "goal": goal}


@pytest.mark.parametrize(("objectives", "told"), [(["AP", "AP50"], "there are 2"), (["latency_ms"], "is not told")])
def test_several_objectives_and_costs_are_refused(objectives: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        metric(objectives)


def test_trials_are_ended_early_by_hyperband_alone_counted_in_evaluations() -> None:
    assert early_terminate("none", warmup_steps=100, every=10) is None
    assert early_terminate("hyperband", warmup_steps=0, every=10) == {"type": "hyperband", "min_iter": 1}
    assert early_terminate("hyperband", warmup_steps=25, every=10) == {"type": "hyperband", "min_iter": 3}
    with pytest.raises(InputError, match="W&B does not end trials by median"):
        early_terminate("median", warmup_steps=0, every=10)


@pytest.mark.parametrize("key", ["+pipeline.a", "dataset/split", "augmentation@b", "++a"])
def test_a_key_that_is_no_name_of_a_parameter_is_refused(key: str) -> None:
    with pytest.raises(InputError, match=r"W&B takes .* for no name of a parameter"):
        parameters_of(f"{key}=1,2")


def test_too_many_steps_to_list_are_refused() -> None:
    assert len(parameters_of("a=range(0,1,0.001)")["a"]["values"]) == 1000  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a has 100000 values"):
        parameters_of("a=range(0,1,0.00001)")
