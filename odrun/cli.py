"""`odrun <command> ...`: finds the command and hands the rest of the line to Hydra; imports as little as it can."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from odrun.errors import InputError, OdrunError, RunFailedError, nearest
from odrun.runs.collection import collection_paused, leave_uncollected

COMMANDS = {
    "train": "the main job: data to records, training with evaluation, metrics, export, pictures (-m sweeps)",
    "prepare": "annotations to checked and split TFRecords, label map, pictures of the data; train does it by itself",
    "check": "all of a training that can be judged before it begins, without TensorFlow; what was changed, and by whom",
    "predict": "detections of a trained run on images, as pictures and as COCO JSON",
}
TOOLS: dict[str, tuple[str, str]] = {
    "zoo": ("odrun.config.zoo", "the model zoo: list, show NAME, config NAME, fetch NAME"),
    "import": ("odrun.config.importing", "a pipeline.config to a model entry in YAML that composes to the same"),
    "wandb-sweep": (
        "odrun.config.wandb_sweep",
        "a sweep, given as to train -m, as the YAML that `wandb sweep` takes",
    ),
    "init": ("odrun.commands.init", "a project of your own in DIR: conf/, data/, README"),
    "doctor": ("odrun.commands.doctor", "what is installed, what is not, and the one command that mends it"),
}
"""Commands that are not Hydra's to run: name → module with `main(arguments)`, what it does."""
_COMPOSED_AS = {"wandb-sweep": "train"}
"""Tools that take the overrides of a command."""
_HELP = """\
odrun runs object detection experiments on the TensorFlow 2 Object Detection API.

usage: odrun COMMAND [group=option ...] [key=value ...]

commands:
{commands}

  odrun COMMAND --help     what can be set
  odrun train              train on the embedded digits: nothing to download, minutes on two CPU cores
  odrun train dataset=folder dataset.path=DIR      your own images: VOC, COCO, YOLO, LabelMe, CSV, TFRecords
  odrun train --cfg job    the composed configuration, nothing run

exit status: 0 done, 1 the run failed, 2 the input is wrong, 130 or 143 stopped by a signal after saving
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status; `arguments` default to `sys.argv[1:]`."""
    _open_closed_streams()
    try:
        status = run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        # What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _status_of_lost_output(error)
    except KeyboardInterrupt:
        sys.stderr.write("odrun: interrupted\n")
        status = 128 + signal.SIGINT
    leave_uncollected()
    if status == 128 + signal.SIGTERM and os.environ.get("WANDB_SWEEP_ID"):
        _die_of(signal.SIGTERM)
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0 if arguments else InputError.exit_status
    command, *rest = arguments
    if "--version" in arguments:
        from importlib import metadata

        sys.stdout.write(f"odrun {metadata.version('odrun')}\n")
        return 0
    if command in ("-sc", "--shell-completion"):
        return _complete(arguments)
    if command in TOOLS:
        return _use(command, rest)
    if command not in COMMANDS:
        error = InputError(
            f"there is no command {command!r}", where=f"odrun {command}", remedy=nearest(command, (*COMMANDS, *TOOLS))
        )
        sys.stderr.write(f"odrun: {error}\n")
        return error.exit_status
    return _run_composed(command, rest)


def _run_composed(command: str, arguments: Sequence[str]) -> int:
    """Run a command that Hydra composes the config of."""
    with collection_paused():
        from odrun.config import application

        return application.run(command, arguments)


def _use(tool: str, arguments: Sequence[str]) -> int:
    """Run a tool; its `main` takes the arguments after its name, returns the exit status and raises `OdrunError`."""
    from importlib import import_module

    try:
        status: int = import_module(TOOLS[tool][0]).main(arguments)
    except OdrunError as error:
        sys.stderr.write(f"odrun: {error}\n")
        return error.exit_status
    return status


def _die_of(number: signal.Signals) -> None:
    """End by the signal itself, for which a shell reads the same status; W&B's agent takes any other end for a failure.

    After a few failures it gives up, and what its sweep stops early is none.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def help_text() -> str:
    """What `odrun --help` prints."""
    told = COMMANDS | {name: text for name, (_, text) in TOOLS.items()}
    width = max(map(len, told))
    return _HELP.format(commands="\n".join(f"  {name:<{width}}  {text}" for name, text in told.items()))


def _open_closed_streams() -> None:
    """A standard stream that the caller closed (`>&-`) is None in Python; what goes there is for nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(descriptor, "w"))


def _status_of_lost_output(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        # The reader, such as `head`, has seen enough.
        return 0
    sys.stderr.write(f"odrun: standard output cannot be written: {(error.strerror or str(error)).lower()}\n")
    return RunFailedError.exit_status


def _complete(arguments: Sequence[str]) -> int:
    """Answer a shell: the commands themselves, or, after a command, what Hydra knows of its overrides."""
    line = os.environ.get("COMP_LINE", "")
    program, _, rest = line.lstrip().partition(" ")
    command, blank, overrides = rest.lstrip().partition(" ")
    if not any(argument.startswith("query=") for argument in arguments):
        return _run_composed(next(iter(COMMANDS)), arguments)
    if not blank:
        sys.stdout.write(" ".join(name for name in (*COMMANDS, *TOOLS) if name.startswith(command)) + "\n")
        return 0
    composing = _COMPOSED_AS.get(command, command)
    if composing not in COMMANDS:
        return 0
    os.environ["COMP_LINE"] = f"{program} {overrides}"
    return _run_composed(composing, arguments)
