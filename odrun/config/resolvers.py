"""The functions that `conf/` calls, as in `${file_name:${dataset.name}}`: plain values in, text or number out.

Those with a parameter `_root_` get the whole config from OmegaConf, so that an entry says `${scaled_steps:1000}` alone.
"""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from odrun.config.location import conf_dir
from odrun.runs.machine import user_cache
from odrun.tracking.agent import agent_run

NAME_BYTES_MAX = 120
_HELP_COLUMNS = 120
_UNLISTED = ("hydra", "paths")
# Each config that is composed holds the help, for which a command's file is read; LibYAML does so in little time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNFIT_IN_A_NAME = re.compile(r"[^\w.,=+~-]+")


def register() -> None:
    """Make the resolvers known to OmegaConf; calling it again changes nothing."""
    OmegaConf.register_new_resolver("expand_home", expand_home, replace=True)
    OmegaConf.register_new_resolver("file_name", file_name, replace=True)
    OmegaConf.register_new_resolver("name_of_agent", name_of_agent, replace=True)
    OmegaConf.register_new_resolver("trial_name", trial_name, replace=True)
    OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)
    OmegaConf.register_new_resolver("name_of_run", name_of_run, replace=True)
    OmegaConf.register_new_resolver("user_cache", user_cache, replace=True)
    OmegaConf.register_new_resolver("in_proportion", in_proportion, replace=True)
    OmegaConf.register_new_resolver("scaled_with_rate", scaled_with_rate, replace=True)
    OmegaConf.register_new_resolver("scaled_rate", scaled_rate, replace=True)
    OmegaConf.register_new_resolver("scaled_steps", scaled_steps, replace=True)
    OmegaConf.register_new_resolver("keeps_averages", keeps_averages, replace=True)
    OmegaConf.register_new_resolver("archived", archived, replace=True)
    OmegaConf.register_new_resolver("part_of", part_of, replace=True)
    OmegaConf.register_new_resolver("group_options", group_options, replace=True)


def expand_home(path: str) -> str:
    """`path` with a leading `~` as the home folder, for the directories that Hydra makes."""
    return str(Path(str(path)).expanduser())


def file_name(text: str) -> str:
    """`text` as one part of a path: what does not fit becomes `_`, and it ends within 120 bytes."""
    name = _UNFIT_IN_A_NAME.sub("_", str(text)).strip("_")
    return name.encode()[:NAME_BYTES_MAX].decode(errors="ignore") or "_"


def name_of_agent() -> str:
    """`_<run id>` where an agent of a W&B sweep started the run, so that agents side by side have directories apart."""
    run = agent_run(os.environ)
    return "" if run is None or run.run_id is None else f"_{file_name(run.run_id)}"


def trial_name(number: int, overrides: str) -> str:
    """The directory of a sweep's trial, `<number>_<overrides>`, within 120 bytes."""
    return file_name(f"{number}_{overrides}")


def folder_name(path: str) -> str:
    """The last part of a path, which names a data set after its folder."""
    return Path(str(path)).expanduser().absolute().name


def name_of_run(path: str) -> str:
    """`<dataset>-<model>` of the run in `path`, or the folder's own name where it holds no readable run."""
    if not path:
        return "run"
    config = Path(str(path)).expanduser() / "config.yaml"
    try:
        settings = OmegaConf.load(config)
        names = [OmegaConf.select(settings, key) for key in ("dataset.name", "model.name")]
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException):
        names = [None]
    return file_name(folder_name(path) if None in names else "-".join(map(str, names)))


def in_proportion(value: float, reference: float, reference_now: float) -> float:
    """`value`, scaled as `reference_now` is to `reference`; exactly `value` when the two are equal.

    A `reference` of 0 scales nothing: the settings refuse it, and name its key, once the config is whole.
    """
    return value if reference in (0, reference_now) else value * reference_now / reference


def part_of(steps: int, parts: int) -> int:
    """One of `parts` equal parts of `steps`, 1 at least."""
    return max(1, steps // parts)


def scaled_rate(rate: float, *, _root_: DictConfig) -> float:
    """`rate` at the official batch size → at `train.batch_size`, in proportion, if `train.scale_learning_rate` says so.

    Source: Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.1.
    """
    if not _root_.train.scale_learning_rate:
        return rate
    return in_proportion(rate, _root_.model.official.batch_size, _root_.train.batch_size)


def scaled_with_rate(rate: float, *, _root_: DictConfig) -> float:
    """Another `rate` of the official schedule → in proportion to `train.learning_rate`."""
    return in_proportion(rate, _root_.model.official.learning_rate, _root_.train.learning_rate)


def scaled_steps(steps: int, *, _root_: DictConfig) -> int:
    """`steps` of the official schedule → of one of `train.steps`; as they are without `train.scale_schedule`."""
    if not _root_.train.scale_schedule:
        return steps
    return round(in_proportion(steps, _root_.model.official.steps, _root_.train.steps))


def keeps_averages(as_the_entry_says: bool, *, _root_: DictConfig) -> bool:
    """Whether the optimizer keeps averages of the weights: where `train.ema_decay` is set, or the entry has them."""
    return as_the_entry_says or _root_.train.ema_decay is not None


def archived(name: str, *, _root_: DictConfig) -> float:
    """A number of the recipe in the entry's archive or file, by its name in `model.official`."""
    # What reads archives and protocol buffers takes a while to be imported, and most entries are written in YAML.
    from odrun.pipeline.follow import official_recipe
    from odrun.zoo.archived import base_of

    model, cache = _root_.model, Path(_root_.paths.cache).expanduser().absolute()
    config = base_of(
        model.base,
        model.name,
        model.zoo.archive,
        archive=model.archive,
        file=model.file,
        cache=cache,
        mirror=OmegaConf.select(_root_, "zoo.mirror"),
    )
    value: float = getattr(official_recipe(config), name)
    return value


def group_options(command: str) -> str:
    """The groups of a command with their options, a paragraph each, the default marked with `*`."""
    folder = conf_dir()
    defaults = _chosen_options(folder / f"{command}.yaml")
    lines = []
    for group, chosen in sorted(defaults.items()):
        options = sorted(path.stem for path in (folder / group).glob("*.yaml"))
        marked = [f"{name}*" if name == chosen else name for name in options]
        first = f"  {group + '=':<14}"
        lines.append(textwrap.fill(", ".join(marked), _HELP_COLUMNS, initial_indent=first, subsequent_indent=" " * 16))
    return "\n".join(lines)


def _chosen_options(file: Path) -> dict[str, str | None]:
    with file.open("rb") as stream:
        entries = yaml.load(stream, Loader=_LOADER)  # noqa: S506 - both are safe ones
    pairs = [pair for entry in entries["defaults"] if isinstance(entry, dict) for pair in entry.items()]
    return {group: option for group, option in pairs if not group.startswith("override ") and group not in _UNLISTED}
