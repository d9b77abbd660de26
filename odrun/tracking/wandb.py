"""Weights & Biases, and the only module that knows it.

Whatever goes wrong with the client, its service, the key, the network or the disk ends in `TrackingError` here, or
in an offline run with one line that says why: W&B can neither stop nor fail a run.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from odrun.runs.files import shown_path
from odrun.settings import WandbSettings
from odrun.tracking.agent import agent_run
from odrun.tracking.tracker import NullTracker, Picture, PictureBox, Tracker, TrackingError
from odrun.tracking.wandb_access import Mode, keep_run_id, kept_run_id, key_is_stored, require_server, wanted_mode

if TYPE_CHECKING:
    import wandb

_INIT_TIMEOUT_S = 15
_FINISH_TIMEOUT_S = 120
_EXIT_STATUS = {"completed": 0, "stopped_early": 0, "interrupted": 130, "failed": 1}
_BUILTIN_ERRORS = (OSError, ValueError, RuntimeError, AssertionError, EOFError)
_PRIVATE_ERRORS = (
    ("wandb.sdk.lib.asyncio_manager", "AlreadyJoinedError"),
    ("wandb.sdk.lib.asyncio_manager", "ForkedError"),
    ("wandb.sdk.lib.asyncio_manager", "RunCancelledError"),
    ("wandb.sdk.lib.service.service_connection", "WandbApiFailedError"),
    ("wandb.sdk.lib.service.service_connection", "WandbAttachFailedError"),
    ("wandb.sdk.lib.service.service_token", "WandbServiceConnectionError"),
    ("wandb.sdk.mailbox.mailbox", "MailboxClosedError"),
    ("wandb.sdk.mailbox.mailbox_handle", "HandleAbandonedError"),
    ("wandb.sdk.mailbox.mailbox_handle", "ServerResponseError"),
)

_logger = logging.getLogger("odrun.tracking.wandb")


def open_wandb(
    settings: WandbSettings,
    *,
    folder: Path,
    name: str,
    job_type: str,
    config: Mapping[str, object],
    report: Callable[[str], None],
) -> Tracker:
    """The tracker that `settings` ask for; its files go to `folder`/wandb, `folder` being the run directory.

    `report` gets the one line that says whether the run is logged online or offline, and why. With mode `auto` the
    variables WANDB_MODE and WANDB_DISABLED decide, and without them whether a key is configured. A server that cannot
    be reached, a missing or a refused key make the run an offline one. `job_type` is `train`, `eval` or `export`; a run
    directory keeps one W&B run id over all of its jobs and resumes. A run that an agent of a W&B sweep started is that
    run of the sweep, in the sweep's project, and its config has the sweep's parameters under their own names.
    """
    mode, reason = wanted_mode(settings.mode, os.environ)
    if mode == "disabled":
        report(f"W&B: off ({reason})")
        return NullTracker()
    try:
        with _translated():
            if mode == "online" and not _has_key():
                mode, reason = "offline", "no API key is configured"
            start = _Start(settings, folder=folder, name=name, job_type=job_type, config=config)
            run, offline_reason = start.run(mode, reason)
    except TrackingError as error:
        _logger.warning("W&B is off: %s", error.what)
        report(f"W&B: off ({error.what})")
        return NullTracker()
    sweep = start.sweep_id
    if offline_reason is None:
        report(f"W&B: online, {run.url}" + ("" if sweep is None else f", a run of the sweep {sweep}"))
    else:
        deaf = "" if sweep is None else f"; the sweep {sweep} hears nothing of it until then"
        told = f"to upload it later: wandb sync {shown_path(Path(run.dir).parent)}"
        report(f"W&B: offline ({offline_reason}); {told}{deaf}")
    return WandbTracker(run)


class WandbTracker:
    """Passes everything on to an open W&B run, on odrun's own step axis."""

    name = "W&B"

    def __init__(self, run: wandb.Run) -> None:
        self._run = run

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values beside `step`."""
        with _translated():
            self._run.log({"step": step, **values})

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """Log the images with their boxes, which W&B draws itself."""
        with _translated():
            import wandb

            images = {
                f"pictures/{picture.name}": wandb.Image(str(picture.image), boxes=_boxes(picture), caption=picture.name)
                for picture in pictures
            }
            self._run.log({"step": step, **images})

    def summary(self, values: Mapping[str, float]) -> None:
        """Set the run's summary values."""
        with _translated():
            self._run.summary.update(dict(values))

    def close(self, status: str) -> None:
        """Finish the run; an upload is waited for at most two minutes, `wandb sync` can send the rest.

        The service is waited for too: it writes on for a moment, and a process that ends at once would lose that.
        """
        with _translated():
            self._run.finish(exit_code=_EXIT_STATUS.get(status, 1))
            _stop_service()


class _Start:
    """The arguments of a W&B run, tried online first where that is wanted."""

    def __init__(
        self, settings: WandbSettings, *, folder: Path, name: str, job_type: str, config: Mapping[str, object]
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._name = name
        self._job_type = job_type
        self._agent = agent_run(os.environ)
        self._config = dict(config) if self._agent is None else self._agent.beside(config)

    @property
    def sweep_id(self) -> str | None:
        """The sweep that the run belongs to, if there is one."""
        return None if self._agent is None else self._agent.sweep_id

    def run(self, mode: Mode, reason: str) -> tuple[wandb.Run, str | None]:
        """An open run, and why it is an offline one if it is."""
        if mode == "online":
            try:
                with _translated():
                    require_server(_service_settings().base_url)
                    return self._open("online"), None
            except TrackingError as error:
                _logger.warning("W&B cannot be used online: %s", error.what)
                reason = error.what
        return self._open("offline"), reason

    def _open(self, mode: Literal["online", "offline"]) -> wandb.Run:
        import wandb

        limits: dict[str, object] = {"init_timeout": _INIT_TIMEOUT_S, "finish_timeout": _FINISH_TIMEOUT_S}
        known = {key: value for key, value in limits.items() if key in wandb.Settings.model_fields}
        agent, settings, kept_id = self._agent, self._settings, kept_run_id(self._folder)
        # An agent's server knows the run before it begins, so that one with nothing kept of it is none to go on with.
        may_resume = mode == "online" and (agent is None or agent.run_id == kept_id)
        run = wandb.init(
            # Of a run of an agent the client takes these from the environment alone.
            project=settings.project if agent is None else None,
            entity=settings.entity if agent is None else None,
            id=kept_id or secrets.token_hex(6) if agent is None else None,
            group=settings.group,
            tags=settings.tags,
            job_type=self._job_type,
            name=self._name,
            config=self._config,
            dir=str(self._folder),
            mode=mode,
            resume="allow" if may_resume else None,
            reinit="create_new",
            settings=wandb.Settings.model_validate({"silent": True, "console": "off", **known}),
        )
        if run.id != kept_id:
            keep_run_id(self._folder, run.id)
        run.define_metric("*", step_metric="step")
        return run


@contextmanager
def _translated() -> Iterator[None]:
    """W&B's errors as `TrackingError`; after one, its service is given up so that it is silent at the exit."""
    try:
        import wandb
    except ImportError as error:
        raise TrackingError(f"the wandb package cannot be imported: {error}") from error
    foreign: tuple[type[Exception], ...] = (wandb.Error, *_BUILTIN_ERRORS, *_private_errors())
    try:
        yield
    except TrackingError:
        raise
    except foreign as error:
        with suppress(*foreign):
            _stop_service()
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrackingError(first_line.rstrip(".")) from error


def _stop_service() -> None:
    """Wait for the client's service process to end; the next run starts another."""
    import wandb

    with suppress(SystemExit):
        wandb.teardown(exit_code=0)


def _private_errors() -> tuple[type[Exception], ...]:
    """The client's error classes that derive from nothing public; those that the installed version has."""
    found = []
    for module, name in _PRIVATE_ERRORS:
        with suppress(ImportError):
            found.append(getattr(importlib.import_module(module), name, None))
    return tuple(error for error in found if isinstance(error, type) and issubclass(error, Exception))


def _has_key() -> bool:
    """Whether W&B would find a key without asking."""
    settings = _service_settings()
    return bool(settings.api_key or settings.identity_token_file) or key_is_stored(os.environ, settings.base_url)


def _service_settings() -> wandb.Settings:
    """What the client takes from its settings files and the environment."""
    import wandb

    return wandb.setup().settings


def _boxes(picture: Picture) -> dict[str, dict[str, object]]:
    names = dict(picture.class_names)
    groups = {"predictions": picture.predictions, "ground_truth": picture.ground_truth}
    return {
        key: {"box_data": [_box(box, names) for box in boxes], "class_labels": names} for key, boxes in groups.items()
    }


def _box(box: PictureBox, names: Mapping[int, str]) -> dict[str, object]:
    position = {"minX": box.xmin_px, "maxX": box.xmax_px, "minY": box.ymin_px, "maxY": box.ymax_px}
    drawn: dict[str, object] = {
        "position": position,
        "class_id": box.label_id,
        "domain": "pixel",
        "box_caption": names[box.label_id],
    }
    if box.score is None:
        return drawn
    return drawn | {"box_caption": f"{names[box.label_id]} {box.score:.2f}", "scores": {"score": box.score}}
