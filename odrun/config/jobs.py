"""A composed config → the settings of a job, checked as far as that goes without TensorFlow and without the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, get_type_hints

from hydra import compose, initialize_config_dir
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from odrun.config import composition, resolvers, schemas
from odrun.config.arguments import key_of, touches
from odrun.config.location import conf_dir
from odrun.errors import InputError, nearest
from odrun.settings import Job, PredictJob, PrepareJob, TrainJob

HYDRA_VERSION_BASE = "1.3"


def composed(command: str, overrides: Sequence[str] = ()) -> Job:
    """The job of `command` as `overrides` make it, without a command line; for tests, scripts and notebooks.

    Raises:
        InputError: a value is out of its limits.
        hydra.errors.HydraException: the overrides do not compose.
    """
    schemas.register(command)
    resolvers.register()
    with initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
        return settings(compose(command, overrides=list(overrides)))


def settings(config: DictConfig) -> Job:
    """The dataclasses that `config` holds, each value within its limits and the pipeline node buildable.

    Raises:
        InputError: a value is missing, unknown, out of its limits or does not fit the OD API.
        omegaconf.errors.OmegaConfBaseException: an interpolation leads nowhere.
    """
    _refuse_gaps(config)
    job = _resolved(config)
    if not isinstance(job, (TrainJob, PrepareJob, PredictJob)):
        raise InputError(
            "the configuration has not the shape of an odrun command",
            where="--config-name",
            remedy="begin its defaults list with /schema/train@_here_ or with train",
        )
    if isinstance(job, (TrainJob, PrepareJob)) and job.model.base is not None:
        job = _based(job)
    if isinstance(job, TrainJob):
        _refuse_pipeline(job)
    return job


def refuse_out_of_limits(config: DictConfig) -> None:
    """Raise what `settings` raises, unless a value is missing: a config can be looked at before it is complete."""
    if not any(_gaps(OmegaConf.to_container(config, resolve=False), "")):
        settings(config)


def config_text(config: DictConfig) -> str:
    """The composed config as YAML with every interpolation resolved."""
    return OmegaConf.to_yaml(config, resolve=True)


def texts(overrides: ListConfig | list[str]) -> tuple[str, ...]:
    """The overrides that Hydra recorded, as typed: an interpolation in one belongs to the config, not to this list."""
    typed = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(typed, list)
    return tuple(map(str, typed))


def with_argument(error: InputError, overrides: Sequence[str]) -> InputError:
    """The same error, its `where` naming the command-line arguments that set the key it lies in or a key above."""
    if error.where is None:
        return error
    places = list(dict.fromkeys(error.where.split(", ")))
    keys = [key_of(place) for place in places]
    exact = [text for text in overrides if key_of(text) in keys]
    blamed = exact or [text for text in overrides if any(touches(text, key) for key in keys)]
    if not blamed or blamed == places:
        return error
    where = f"{', '.join(places)} (command line: {' '.join(blamed)})"
    return InputError(error.what, where=where, remedy=error.remedy)


def _based(job: TrainJob | PrepareJob) -> TrainJob | PrepareJob:
    """The job of an entry whose configuration lies elsewhere, with that as the base of its pipeline."""
    # What reads archives takes a while to be imported.
    from odrun.zoo.archived import based

    cache, mirror = job.paths.cache_dir, job.zoo.mirror if isinstance(job, TrainJob) else None
    node = based(job.pipeline, job.model, job.train, job.augmentation, cache=cache, mirror=mirror)
    return replace(job, pipeline=node)


def _refuse_pipeline(job: TrainJob) -> None:
    """Raise `InputError` for a pipeline that does not fit the OD API, or that says otherwise than the settings."""
    # Protocol buffers, which only trainings need here, take a while to be imported.
    from odrun.pipeline.build import build
    from odrun.pipeline.complete import refuse_incomplete
    from odrun.pipeline.recipe import refuse_unheard

    pipeline = build(job.pipeline, job.augmentation)
    refuse_incomplete(pipeline)
    refuse_unheard(pipeline, job.train)


def _resolved(config: DictConfig) -> object:
    """What the config holds, every interpolation resolved; a resolver's own `InputError` comes out as it is."""
    try:
        _refuse_additions(config)
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        reason: BaseException | None = error
        while reason is not None:
            if isinstance(reason, InputError):
                raise reason from error
            reason = reason.__cause__ or reason.__context__
        raise


def _refuse_additions(config: DictConfig) -> None:
    """Hydra lets `+key=value` add what the dataclasses do not have; `to_object` would carry it along unread."""
    kind = OmegaConf.get_type(config)
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    for key, valid in _additions(values, kind, ""):
        raise InputError(f"there is no {key}", where=key, remedy=nearest(key.rpartition(".")[2], valid))


def _refuse_gaps(config: DictConfig) -> None:
    missing = sorted(_gaps(OmegaConf.to_container(config, resolve=False), ""))
    if missing:
        raise composition.not_given(missing)


def _gaps(values: object, path: str) -> Iterator[str]:
    if values == MISSING:
        yield path
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _gaps(value, f"{path}.{name}" if path else str(name))


def _additions(values: Mapping[Any, object], kind: type | None, path: str) -> Iterator[tuple[str, list[str]]]:
    if kind is None or not is_dataclass(kind):
        return
    shapes = get_type_hints(kind)
    for name, value in values.items():
        if name not in shapes:
            yield f"{path}{name}", list(shapes)
        elif isinstance(value, dict):
            yield from _additions(value, shapes[name], f"{path}{name}.")
