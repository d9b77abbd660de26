"""Whether W&B is to be used and can be: mode, key, server, the run's id. The client itself is not needed."""

from __future__ import annotations

import netrc
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from odrun.errors import InputError
from odrun.tracking.tracker import TrackingError

Mode = Literal["online", "offline", "disabled"]

_CONNECT_TIMEOUT_S = 4
_ID_FILE = Path("wandb") / "run-id.txt"
_YES = ("true", "1", "yes", "on", "t", "y")
_ENVIRONMENT_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def wanted_mode(configured: str, environment: Mapping[str, str]) -> tuple[Mode, str]:
    """The mode to try and the reason for it; the environment is asked only where the config says `auto`."""
    if configured == "online":
        return "online", "tracking.wandb.mode=online"
    if configured == "offline":
        return "offline", "tracking.wandb.mode=offline"
    if configured == "disabled":
        return "disabled", "tracking.wandb.mode=disabled"
    if environment.get("WANDB_DISABLED", "").strip().lower() in _YES:
        return "disabled", f"WANDB_DISABLED={environment['WANDB_DISABLED']}"
    stated = environment.get("WANDB_MODE", "").strip()
    if not stated:
        return "online", "an API key is configured"
    if stated in _ENVIRONMENT_MODES:
        return _ENVIRONMENT_MODES[stated], f"WANDB_MODE={stated}"
    return "disabled", f"WANDB_MODE={stated} is not a mode"


def refuse_silence(configured: str, environment: Mapping[str, str]) -> None:
    """Raise `InputError` if nothing is to be logged online: a sweep of W&B would hear nothing of its trials."""
    mode, reason = wanted_mode(configured, environment)
    if mode != "online":
        raise InputError(
            "a sweep of W&B hears nothing of a run that is not logged online",
            where=reason,
            remedy="tracking.wandb.mode=online, and log in with wandb login",
        )


def key_is_stored(environment: Mapping[str, str], base_url: str) -> bool:
    """Whether a key for the server at `base_url` is in the environment or in the netrc file."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    named = environment.get("NETRC")
    files = [Path(name).expanduser() for name in ((named,) if named else ("~/.netrc", "~/_netrc"))]
    existing = next((file for file in files if file.is_file()), None)
    if existing is None:
        return False
    try:
        return netrc.netrc(existing).authenticators(urlsplit(base_url).netloc) is not None
    except (netrc.NetrcParseError, OSError):
        return False


def require_server(base_url: str) -> None:
    """Raise `TrackingError` soon, where the client would wait long, if nobody listens at `base_url`.

    Behind a proxy nothing is tried: only the proxy can say.
    """
    address = urlsplit(base_url)
    host = address.hostname or ""
    if address.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise TrackingError(f"{host}:{port} cannot be reached: {error.strerror or error}") from error


def kept_run_id(folder: Path) -> str | None:
    """The id of its W&B run that is kept in a run directory."""
    file = folder / _ID_FILE
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def keep_run_id(folder: Path, run_id: str) -> None:
    """Keep the id, for later jobs in the same directory."""
    file = folder / _ID_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(run_id + "\n", encoding="utf-8")
