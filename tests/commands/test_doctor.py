from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odrun.commands import doctor
from odrun.errors import InputError
from odrun.runs.installation import Installed

PROBED = {
    "tensorflow": "2.20.0",
    "built_with_cuda": True,
    "gpus": [],
    "tensorflow_s": 2.0,
    "object_detection_s": 1.0,
    "shims": 16,
}


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on the loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What TensorFlow's own process says, without starting it; a test changes it."""
    told: dict[str, Any] = {"stdout": json.dumps(PROBED), "stderr": "", "returncode": 0}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, told["returncode"], told["stdout"], told["stderr"])

    monkeypatch.setattr(doctor.subprocess, "run", run)
    return told


@pytest.fixture
def reached(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The arguments with which everything outside of this machine is there."""
    monkeypatch.setenv("WANDB_BASE_URL", server)
    monkeypatch.setenv("WANDB_API_KEY", "a key")
    return ["--mirror", server, "--cache", str(tmp_path)]


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[bool, dict[str, dict[str, Any]]]:
    status = doctor.main(["--json", *arguments])
    told = json.loads(capsys.readouterr().out)
    assert status == (0 if told["can_train"] else 1)
    return told["can_train"], {row["name"]: row for row in told["findings"]}


@pytest.mark.usefixtures("probed")
def test_where_all_is_well_nothing_is_to_be_mended(reached: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    can_train, told = findings(capsys, *reached)

    assert can_train
    assert [name for name, row in told.items() if row["state"] != "ok" and row["area"] != "extras"] == []
    assert told["TensorFlow"]["found"] == "2.20.0, loaded in 2.0 s"
    assert "16 mends" in told["Object Detection API"]["found"]
    assert told["tensorflow"]["found"].startswith("2.20")


@pytest.mark.usefixtures("probed")
def test_a_package_that_is_missing_is_an_error_with_its_command(
    reached: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Installed("lxml", ">=5.3", None, fits=False, extra=None)
    optional = Installed("onnx", ">=1.16", None, fits=False, extra="onnx")
    monkeypatch.setattr(doctor, "packages", lambda: [missing, optional])

    can_train, told = findings(capsys, *reached)

    assert not can_train
    assert (told["lxml"]["state"], told["lxml"]["remedy"]) == ("error", missing.remedy)
    assert (told["onnx"]["state"], told["onnx"]["found"]) == ("warning", "not installed: onnx")


def test_without_a_network_odrun_can_train_all_the_same(
    probed: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probed
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))

    can_train, told = findings(capsys, "--mirror", "http://127.0.0.1:9", "--cache", str(tmp_path))

    assert can_train
    assert [told[name]["state"] for name in ("model zoo", "W&B", "W&B key")] == ["warning"] * 3
    assert told["W&B key"]["remedy"] == "wandb login"


def test_an_engine_that_does_not_load_is_an_error_in_its_own_words(
    probed: dict[str, Any], reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    probed.update(stdout="", stderr="Traceback\nImportError: libcudart is broken\n", returncode=1)

    can_train, told = findings(capsys, *reached)

    assert not can_train
    assert told["TensorFlow"]["found"] == "ImportError: libcudart is broken"


def test_an_engine_that_hangs_is_given_up(
    reached: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(doctor.subprocess, "run", hang)

    can_train, told = findings(capsys, *reached)

    assert not can_train
    assert "did not answer within 120 s" in told["TensorFlow"]["found"]


def test_a_driver_without_a_gpu_in_tensorflow_is_told_with_the_remedy(
    probed: dict[str, Any], reached: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probed
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")

    _, told = findings(capsys, *reached)

    assert told["accelerators"]["state"] == "warning"
    assert "odrun[gpu]" in told["accelerators"]["remedy"]


def test_gpus_are_named(probed: dict[str, Any], reached: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    probed["stdout"] = json.dumps(PROBED | {"gpus": ["NVIDIA H100"]})

    _, told = findings(capsys, *reached)

    assert told["accelerators"]["found"].startswith("NVIDIA H100; asked in ")


@pytest.mark.usefixtures("probed")
def test_the_page_has_an_area_once_and_says_what_to_type(
    reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(reached) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and line[0] != " "] == [
        *("environment", "packages", "extras", "engine", "cache", "network"),
        "odrun can train here: odrun train",
    ]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="unrecognized arguments: --jsno"):
        doctor.main(["--jsno"])


HIDDEN = """
import importlib.abc, sys

class Hiding(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("hydra", "omegaconf", "yaml", "rich", "numpy", "packaging", "lxml", "google"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hiding())
from odrun.cli import main
main(["doctor", "--mirror", "http://127.0.0.1:9"])
"""


@pytest.mark.slow
def test_it_works_without_any_package_and_asks_the_real_engine(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "importable with" in done.stdout
    assert "odrun can train here" in done.stdout
