"""Whether an agent of a W&B sweep started this process, and what the agent has told it, by way of the environment.

`wandb agent` runs the command of the sweep with WANDB_SWEEP_ID, WANDB_RUN_ID and WANDB_SWEEP_PARAM_PATH, a YAML file of
the parameters: {"train.batch_size": {"value": 8}}. The client itself is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from odrun.errors import InputError

SWEEP_VARIABLE = "WANDB_SWEEP_ID"
_RUN_VARIABLE = "WANDB_RUN_ID"
_PARAMETERS_VARIABLE = "WANDB_SWEEP_PARAM_PATH"
_COMMAND_REMEDY = "let the command of the sweep end with ${args_no_hyphens}, as odrun wandb-sweep writes it"


@dataclass(frozen=True)
class AgentRun:
    """A run of a sweep; `run_id` is `None` where the client is to make one, `parameters` are the sweep's own values."""

    sweep_id: str
    run_id: str | None
    parameters: Mapping[str, object]

    def beside(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config for W&B, whose client puts the parameters over it: what these replace is in `composed`."""
        replaced = {key: config[key] for key in self.parameters if key in config}
        return {**config, "composed": replaced} if replaced else dict(config)


def agent_run(environment: Mapping[str, str]) -> AgentRun | None:
    """The run that the environment speaks of; `None` if no agent started this process.

    Raises:
        InputError: the file of the parameters cannot be read.
    """
    sweep_id = environment.get(SWEEP_VARIABLE)
    if not sweep_id:
        return None
    file = environment.get(_PARAMETERS_VARIABLE)
    return AgentRun(sweep_id, environment.get(_RUN_VARIABLE) or None, _parameters(Path(file)) if file else {})


def refuse_unheard(mode: str, overrides: Sequence[str], environment: Mapping[str, str]) -> None:
    """Refuse a run of a sweep that the sweep would hear nothing of, or that is not what the sweep believes it to be.

    `mode` is `tracking.wandb.mode`. What no agent started is let pass.

    Raises:
        InputError: W&B is off, or not installed; or a parameter of the sweep has another value in `overrides`, or none.
    """
    run = agent_run(environment)
    if run is None:
        return
    if find_spec("wandb") is None:
        raise InputError(
            "the package wandb is not installed, and an agent of a W&B sweep started this run",
            where=f"{SWEEP_VARIABLE}={run.sweep_id}",
            remedy="pip install wandb",
        )
    # It takes a while to be imported, and few runs are those of an agent.
    from odrun.tracking.wandb_access import refuse_silence

    refuse_silence(mode, environment)
    given = dict(map(_pair, overrides))
    for key, value in run.parameters.items():
        if key not in given:
            raise InputError(
                f"the sweep's {key}={value} is not on the command line", where="command line", remedy=_COMMAND_REMEDY
            )
        if given[key] != str(value):
            raise InputError(
                f"the sweep has {key}={value}, and the command line {key}={given[key]}",
                where="command line",
                remedy=_COMMAND_REMEDY,
            )


def refuse_sweep_of_agent(environment: Mapping[str, str]) -> None:
    """Raise `InputError` if an agent started this process: its trials would all be the one run of the agent."""
    run = agent_run(environment)
    if run is not None:
        raise InputError(
            "an agent of a W&B sweep started this, and a trial is no sweep itself",
            where=f"{SWEEP_VARIABLE}={run.sweep_id}",
            remedy=f"without -m and with hydra.mode=RUN it is one run; where there is no agent: unset {SWEEP_VARIABLE}",
        )


def _parameters(file: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return {key: entry["value"] for key, entry in content.items() if key != "wandb_version"}
    except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"the sweep's parameters cannot be read: {error}", where=f"{_PARAMETERS_VARIABLE}={file}"
        ) from error


def _pair(text: str) -> tuple[str, str]:
    """The key of an override, without its signs and its package, and its value."""
    key, _, value = text.partition("=")
    return key.lstrip("+~").partition("@")[0], value
