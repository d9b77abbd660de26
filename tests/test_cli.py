from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from odrun import cli
from odrun.errors import InputError

HEAVY = ("numpy", "tensorflow", "tf_keras", "object_detection.builders", "wandb", "matplotlib", "sklearn")
SLOW = (*HEAVY, "PIL", "http.client", "lxml", "odrun.commands.making", "odrun.sweeps.sweeper")
"""What takes a while to be imported; protocol buffers and rich are for who shows something or judges a pipeline."""
PROBE = """
import os, sys
from odrun import cli
names = os.environ["PROBED"].split()
try:
    cli.main(sys.argv[1:])
finally:
    print("heavy:", sorted(name for name in names if name in sys.modules), file=sys.stderr)
"""


def odrun(
    *arguments: str, directory: Path, code: str | None = None, probed: tuple[str, ...] = HEAVY, line: str = ""
) -> subprocess.CompletedProcess[str]:
    start = ["-m", "odrun"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(cli.__file__).parent.parent),
            "PROBED": " ".join(probed),
            "COMP_LINE": line,
        },
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("train", "--cfg", "job"),
        ("predict", "--cfg", "job"),
        ("check", "--cfg", "job"),
        ("wandb-sweep", "model.checkpoint=none", "train.seed=1,2"),
        ("train", "train.stepz=1"),
        ("zoo", "list"),
        ("zoo", "show", "extremenet"),
        ("zoo", "config", "ssd_mobilenet_v2_320x320"),
        ("import", str(Path(__file__).parent / "goldens" / "default.pipeline.config")),
    ],
)
def test_what_runs_nothing_imports_neither_tensorflow_nor_anything_else_that_is_slow(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = odrun(*arguments, directory=tmp_path, code=PROBE)
    assert done.stderr.splitlines()[-1] == "heavy: []"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (("train", "--cfg", "job"), ("rich", "multiprocessing")),
        (("prepare", "--cfg", "job"), ("rich", "multiprocessing", "google.protobuf")),
        (("-sc", "query=bash"), ("rich", "multiprocessing", "google.protobuf")),
    ],
    ids=["train", "prepare", "completion"],
)
def test_who_looks_at_a_config_or_completes_one_waits_for_little(
    arguments: tuple[str, ...], more: tuple[str, ...], tmp_path: Path
) -> None:
    done = odrun(*arguments, directory=tmp_path, code=PROBE, probed=(*SLOW, *more), line="odrun train train.st")
    assert done.stderr.splitlines()[-1] == "heavy: []"


def test_records_that_are_ready_are_found_without_what_makes_them(tmp_path: Path) -> None:
    given = ("prepare", "paths.cache=cache", "paths.outputs=runs")
    first, second = (odrun(*given, directory=tmp_path, code=PROBE, probed=SLOW) for _ in range(2))
    assert "records written to" in first.stdout
    assert "numpy" in first.stderr.splitlines()[-1]
    assert "records found in" in second.stdout
    assert second.stderr.splitlines()[-1] == "heavy: []"
    runs = sorted((tmp_path / "runs" / "prepare").iterdir())
    plots = [{plot.name: plot.read_bytes() for plot in (run / "plots").iterdir()} for run in runs]
    assert plots[0] == plots[1]
    assert len(plots[0]) == 3


def test_the_help_imports_nothing_but_the_standard_library(tmp_path: Path) -> None:
    code = (
        "import sys; from odrun import cli; cli.run(['--help']);"
        "print(sorted(n for n in ('hydra', 'omegaconf', 'yaml', 'numpy', 'google.protobuf') if n in sys.modules))"
    )
    assert odrun(directory=tmp_path, code=code).stdout.splitlines()[-1] == "[]"


def test_the_help_lists_the_commands_that_exist_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    listed = text.partition("commands:\n")[2].partition("\n\n")[0].splitlines()
    names = [line.split()[0] for line in listed]
    assert names == ["train", "prepare", "check", "predict", "zoo", "import", "wandb-sweep", "init", "doctor"]
    folder = Path(cli.__file__).parent
    conf = next(place for place in (folder / "conf", folder.parent / "conf") if place.is_dir())
    assert all((conf / f"{command}.yaml").is_file() for command in cli.COMMANDS)


def test_no_command_prints_the_help_and_is_an_input_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert capsys.readouterr().out == cli.help_text()


@pytest.mark.parametrize("arguments", [["--version"], ["train", "--version"]])
def test_the_version_is_that_of_the_installed_package(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 0
    name, version = capsys.readouterr().out.split()
    assert (name, version.count(".")) == ("odrun", 2)


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("trian", "did you mean train"),
        ("zzz", "valid: check, doctor, import, init, predict, prepare, train, wandb-sweep, zoo"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(
    command: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, "a=1"]) == 2
    assert capsys.readouterr().err == (
        f"odrun: there is no command '{command}'\n  where:  odrun {command}\n  remedy: {remedy}\n"
    )


def test_a_misspelt_key_ends_the_process_with_2_and_one_message(tmp_path: Path) -> None:
    done = odrun("train", "train.stepz=3", directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "odrun: there is no train.stepz\n  where:  command line: train.stepz=3\n  remedy: did you mean steps\n"
    )


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "odrun", "train", "--help"],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)},
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("arguments", [("--help",), ("train", "--cfg", "job")])
def test_an_output_that_takes_no_more_is_told_in_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "odrun", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)},
        )
    assert done.stderr == "odrun: standard output cannot be written: no space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize(("closed", "status"), [(">&-", 0), ("2>&-", 0), (">&- 2>&- train.stepz=1", 2)])
def test_closed_streams_change_neither_the_work_nor_the_status(closed: str, status: int, tmp_path: Path) -> None:
    line = f'exec "$0" -m odrun train --cfg job {closed}'
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)


def test_ctrl_c_before_a_run_has_begun_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    with pytest.raises(SystemExit) as left:
        cli.main(["train"])
    assert left.value.code == 128 + signal.SIGINT
    assert capsys.readouterr().err == "odrun: interrupted\n"


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("odrun ", ["train", "prepare", "check", "predict", "zoo", "import", "wandb-sweep", "init", "doctor"]),
        ("odrun pre", ["prepare", "predict"]),
        ("odrun train dataset=", ["dataset=digits", "dataset=folder", "dataset=voc"]),
        ("odrun train train.st", ["train.steps="]),
        ("odrun predict min", ["min_score="]),
        ("odrun wandb-sweep train.st", ["train.steps="]),
        ("odrun nonsense a", []),
    ],
)
def test_a_shell_is_told_commands_and_then_overrides(
    line: str, completions: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert cli.run(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == completions


def test_the_script_for_a_shell_completes_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["-sc", "install=bash"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("-F hydra_bash_completion odrun")


def test_a_tool_gets_what_follows_its_name_and_its_errors_are_told(monkeypatch, capsys):
    def main(arguments):
        if not arguments:
            raise InputError("nothing to use", remedy="name something")
        sys.stdout.write(" ".join(arguments))
        return 3

    monkeypatch.setitem(sys.modules, "a_tool", SimpleNamespace(main=main))
    monkeypatch.setitem(cli.TOOLS, "tool", ("a_tool", "uses things"))
    assert cli.run(["tool", "--with", "a"]) == 3
    assert capsys.readouterr().out == "--with a"
    assert cli.run(["tool"]) == 2
    assert capsys.readouterr().err == "odrun: nothing to use\n  remedy: name something\n"
    assert "uses things" in cli.help_text()


@pytest.mark.parametrize(
    ("sweep", "status", "ended"),
    [("s", 143, -signal.SIGTERM), ("", 143, 143), ("s", 130, 130), ("s", 1, 1), ("s", 2, 2), ("s", 0, 0)],
)
def test_what_wandbs_agent_stopped_ends_by_the_signal_which_the_agent_counts_as_no_failure(
    sweep: str, status: int, ended: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", sweep)
    code = f"from odrun import cli; cli.run = lambda arguments: (print('told'), {status})[1]; cli.main([])"
    done = odrun(directory=tmp_path, code=code)
    assert (done.returncode, done.stdout) == (ended, "told\n")
