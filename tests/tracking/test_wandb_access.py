"""Whether W&B is used: the config first, then the environment, then whether there is a key and a server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from odrun.tracking.tracker import TrackingError
from odrun.tracking.wandb_access import key_is_stored, require_server, wanted_mode

URL = "https://api.wandb.ai"


@pytest.mark.parametrize(
    ("configured", "environment", "mode"),
    [
        ("auto", {}, "online"),
        ("auto", {"WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_MODE": "dryrun"}, "offline"),
        ("auto", {"WANDB_MODE": "online"}, "online"),
        ("auto", {"WANDB_MODE": "disabled"}, "disabled"),
        ("auto", {"WANDB_MODE": "onlin"}, "disabled"),
        ("auto", {"WANDB_DISABLED": "true"}, "disabled"),
        ("auto", {"WANDB_DISABLED": "false", "WANDB_MODE": "offline"}, "offline"),
        ("online", {"WANDB_MODE": "offline"}, "online"),
        ("offline", {"WANDB_MODE": "online"}, "offline"),
        ("disabled", {"WANDB_MODE": "online"}, "disabled"),
    ],
)
def test_the_environment_decides_where_the_config_says_auto(
    configured: str, environment: dict[str, str], mode: str
) -> None:
    assert wanted_mode(configured, environment)[0] == mode


def test_the_reason_names_the_variable() -> None:
    assert wanted_mode("auto", {"WANDB_MODE": "onlin"})[1] == "WANDB_MODE=onlin is not a mode"
    assert wanted_mode("auto", {"WANDB_DISABLED": "true"})[1] == "WANDB_DISABLED=true"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("variable", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
def test_a_key_in_the_environment_is_found(home: Path, variable: str) -> None:
    assert key_is_stored({variable: "x"}, URL)


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_a_key_in_the_home_folder_is_found_for_its_server_only(home: Path, name: str) -> None:
    assert not key_is_stored({}, URL)
    (home / name).write_text("machine api.wandb.ai\n  login user\n  password x\n")
    (home / name).chmod(0o600)
    assert key_is_stored({}, URL)
    assert not key_is_stored({}, "http://localhost:8080")


def test_the_file_that_netrc_names_is_the_one_that_counts(home: Path) -> None:
    (home / ".netrc").write_text("machine api.wandb.ai login user password x\n")
    assert not key_is_stored({"NETRC": str(home / "absent")}, URL)


def test_a_broken_netrc_file_holds_no_key(home: Path) -> None:
    (home / ".netrc").write_text("machine\n nonsense {{{\n")
    assert not key_is_stored({}, URL)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_listens_is_accepted(no_proxy: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        require_server(f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_server_that_does_not_is_named_with_its_port(no_proxy: None) -> None:
    port = free_port()
    with pytest.raises(TrackingError, match=rf"127\.0\.0\.1:{port} cannot be reached: Connection refused"):
        require_server(f"http://127.0.0.1:{port}")


def test_a_name_that_does_not_exist_is_named(no_proxy: None) -> None:
    with pytest.raises(TrackingError, match=r"nowhere\.invalid:443 cannot be reached"):
        require_server("https://nowhere.invalid")


def test_behind_a_proxy_nothing_is_tried(no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    require_server("https://nowhere.invalid")
