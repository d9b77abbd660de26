"""Real trainings of a small model: one to its end, one that Ctrl-C stops, one that diverges."""

from __future__ import annotations

import io
import json
import pickle
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from odrun.commands.course import Course
from odrun.commands.fitting import fit
from odrun.commands.stepping import STOPPING
from odrun.compat.tensorflow import tf
from odrun.errors import InterruptedRunError, OdrunError, RunFailedError
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Best, Summary
from odrun.settings import METRIC_KEYS

FOUR_STEPS = (
    "train.steps=4",
    "train.log_every=1",
    "train.checkpoint.every=2",
    "train.checkpoint.keep=2",
    "eval.every=null",
    "eval.pictures=1",
)


@dataclass(frozen=True)
class Fitted:
    """The directory of a training that has ended, the error that it ended with, and what the terminal showed."""

    directory: RunDirectory
    error: OdrunError | None
    shown: str

    @property
    def summary(self) -> Summary:
        return Summary.read(self.directory.summary)

    def rows(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in self.directory.metrics.read_text().splitlines()]


def fitted(tiny: Any, path: Path, stream: io.StringIO, *, resumed_at: int = 0) -> Fitted:
    directory = RunDirectory(path)
    error = None
    try:
        with Course(directory) as course:
            terminal = Terminal(stream)
            fit(
                tiny.job,
                tiny.pipeline,
                tiny.data,
                directory=directory,
                course=course,
                terminal=terminal,
                resumed_at=resumed_at,
            )
    except OdrunError as raised:
        error = raised
    return Fitted(directory, error, stream.getvalue())


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def finished(compose_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Four steps of a model that takes crops, a checkpoint each two of them, and one evaluation at the end."""
    return fitted(compose_tiny(*FOUR_STEPS), tmp_path_factory.mktemp("runs") / "finished", io.StringIO())


@pytest.fixture(scope="module")
def resumed(finished: Fitted, compose_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The same training, as if it had been killed after step 3, whose metrics were half written."""
    folder = tmp_path_factory.mktemp("runs") / "resumed"
    (folder / "checkpoints").mkdir(parents=True)
    for file in finished.directory.checkpoints.glob("ckpt-2.*"):
        shutil.copy(file, folder / "checkpoints")
    lines = finished.directory.metrics.read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:3])[:-5])
    return fitted(compose_tiny(*FOUR_STEPS), folder, io.StringIO(), resumed_at=2)


@pytest.fixture(scope="module")
def stopped(
    finished: Fitted,
    compose_tiny: Callable[..., Any],
    impatient_terminal: type[io.StringIO],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fitted]:
    """More steps, from the best checkpoint of `finished`, stopped in the first; SIGINT is Python's own meanwhile."""
    tiny = compose_tiny("train.steps=20")
    tiny.pipeline.train_config.fine_tune_checkpoint = str(finished.directory.best_checkpoint(4))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield fitted(tiny, tmp_path_factory.mktemp("runs") / "stopped", impatient_terminal())
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def diverged(compose_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A learning rate at which the weights leave the range of numbers with the first step."""
    tiny = compose_tiny("train.steps=3", "train.log_every=1", "train.learning_rate=1e30", "train.warmup_steps=0")
    return fitted(tiny, tmp_path_factory.mktemp("runs") / "diverged", io.StringIO())


def test_a_finished_training_leaves_every_file_that_a_run_is_to_have(finished: Fitted) -> None:
    assert finished.error is None
    folder = finished.directory.path
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "eval",
        "export",
        "metrics.jsonl",
        "pipeline.config",
        "plots",
        "predictions",
        "summary.json",
        "tensorboard",
    ]
    assert files(folder / "eval") == ["4/detections.json", "4/metrics.json"]
    assert files(folder / "plots") == [
        "average_precision.png",
        "boxes.png",
        "class_average_precision.png",
        "classes.png",
        "losses.png",
        "samples.png",
    ]
    image_id = min(entry["image_id"] for entry in json.loads(finished.directory.eval(4).detections.read_text()))
    assert files(folder / "predictions") == [f"{image_id}.jpg", f"{image_id}_plain.png", "sheet.jpg"]
    assert len(files(folder / "tensorboard")) == 1
    assert {"checkpoint/ckpt-0.index", "saved_model/saved_model.pb", "pipeline.config", "label_map.pbtxt"} <= set(
        files(folder / "export")
    )


def test_each_step_has_its_checkpoint_where_that_is_asked_for_and_the_best_lies_apart(finished: Fitted) -> None:
    folder = finished.directory.checkpoints

    assert [path.name for path in sorted(folder.rglob("*.index"))] == ["ckpt-4.index", "ckpt-2.index", "ckpt-4.index"]
    assert tf.train.latest_checkpoint(str(folder)) == str(finished.directory.checkpoint(4))
    assert tf.train.latest_checkpoint(str(folder / "best")) == str(finished.directory.best_checkpoint(4))
    for step in (2, 4):
        reader = tf.train.load_checkpoint(str(finished.directory.checkpoint(step)))
        assert reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE") == step


def test_each_logged_step_has_one_line_and_the_last_one_its_evaluation(finished: Fitted) -> None:
    first, *_, last = finished.rows()

    assert [row["step"] for row in finished.rows()] == [1, 2, 3, 4]
    assert {"train/loss/total", "train/learning_rate", "train/images_per_s", "system/peak_memory_mb"} <= set(first)
    assert [key for key in first if key.startswith("eval/")] == []
    assert [key for key in last if key.startswith("eval/") and not key.startswith("eval/loss/")] == [
        f"eval/{key}" for key in METRIC_KEYS
    ]
    assert last["eval/loss/total"] > 0


def test_the_summary_tells_the_best_checkpoint_with_its_metrics(finished: Fitted) -> None:
    metrics = json.loads(finished.directory.eval(4).metrics.read_text())

    summary = finished.summary
    assert (summary.status, summary.steps, summary.error) == ("completed", 4, None)
    assert (summary.best, summary.metrics) == (Best(4, "AP", metrics["AP"]), metrics)


def test_the_summary_tells_how_long_each_part_took_and_how_fast_training_was(finished: Fitted) -> None:
    timings, throughput = finished.summary.timings, finished.summary.throughput

    assert throughput is not None
    assert throughput.steps_per_s is not None
    assert throughput.images_per_s == pytest.approx(2 * throughput.steps_per_s)
    assert (timings.import_s, timings.prepare_s) == (None, None)
    parts = (timings.build_s, timings.train_s, timings.eval_s)
    assert all(part is not None and part > 0 for part in parts)
    assert timings.first_step_s is not None
    assert timings.total_s is not None
    assert timings.first_step_s < timings.total_s
    assert sum(part for part in parts if part is not None) < timings.total_s


def test_the_export_is_said_to_be_equal_to_the_checkpoint(finished: Fitted) -> None:
    assert "equal to the checkpoint on 4 images: largest difference" in finished.shown


def test_a_signal_stops_training_after_the_step_with_130(stopped: Fitted) -> None:
    assert isinstance(stopped.error, InterruptedRunError)
    assert (stopped.error.exit_status, stopped.error.what, stopped.error.where) == (
        130,
        "stopped by SIGINT after step 1 of 20; a checkpoint of it has been saved",
        str(stopped.directory.checkpoints),
    )
    assert STOPPING in stopped.shown
    assert (stopped.summary.status, stopped.summary.steps, stopped.summary.best) == ("interrupted", 1, None)


def test_a_training_that_was_stopped_leaves_a_checkpoint_of_its_last_step_and_its_metrics(stopped: Fitted) -> None:
    assert sorted(path.name for path in stopped.directory.path.iterdir()) == [
        "checkpoints",
        "metrics.jsonl",
        "pipeline.config",
        "summary.json",
        "tensorboard",
    ]
    assert 'fine_tune_checkpoint_type: "full"' in stopped.directory.pipeline_config.read_text()
    assert tf.train.latest_checkpoint(str(stopped.directory.checkpoints)) == str(stopped.directory.checkpoint(1))
    assert [row["step"] for row in stopped.rows()] == [1]


def test_after_a_training_signals_do_what_they_did_before(stopped: Fitted) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_training_that_starts_from_a_checkpoint_tells_how_much_of_the_model_it_filled(stopped: Fitted) -> None:
    line = next(line for line in stopped.shown.splitlines() if "variables restored" in line)

    restored, of, total = line.split()[:3]
    assert of == "of"
    assert 100 < int(restored) <= int(total)


@pytest.mark.slow
def test_a_loss_that_is_no_number_fails_the_run_with_the_step_and_a_remedy(diverged: Fitted) -> None:
    assert isinstance(diverged.error, RunFailedError)
    assert diverged.error.where == "step 2"
    assert diverged.error.remedy is not None
    assert "train.learning_rate" in diverged.error.remedy
    assert (diverged.summary.status, diverged.summary.steps) == ("failed", 2)
    assert diverged.summary.error == str(diverged.error)
    assert re.search(r"its images: \d+ \(train/\d+\.jpg\), \d+ \(train/\d+\.jpg\)$", diverged.error.what)


@pytest.mark.slow
def test_a_training_that_diverged_leaves_the_weights_before_it_did_and_no_export(diverged: Fitted) -> None:
    assert files(diverged.directory.checkpoints) == ["checkpoint", "ckpt-2.data-00000-of-00001", "ckpt-2.index"]
    assert sorted(path.name for path in diverged.directory.path.iterdir()) == [
        "checkpoints",
        "metrics.jsonl",
        "pipeline.config",
        "summary.json",
        "tensorboard",
    ]
    assert [row["step"] for row in diverged.rows()] == [1]


@pytest.mark.slow
def test_a_resumed_training_goes_on_as_if_it_had_never_been_killed(finished: Fitted, resumed: Fitted) -> None:
    assert resumed.error is None
    assert [row["step"] for row in resumed.rows()] == [1, 2, 3, 4]
    changing = ("time", "train/step_s", "train/input_wait_s", "train/images_per_s", "system/peak_memory_mb")
    whole, cut = (
        [{k: v for k, v in row.items() if k not in changing} for row in run.rows()] for run in (finished, resumed)
    )
    assert cut == whole
    assert resumed.summary.metrics == finished.summary.metrics


@pytest.mark.slow
def test_two_trainings_with_one_seed_are_equal_and_with_another_they_differ(
    finished: Fitted, compose_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    again = fitted(compose_tiny(*FOUR_STEPS), tmp_path / "again", io.StringIO())
    other = fitted(compose_tiny(*FOUR_STEPS, "train.seed=1"), tmp_path / "other", io.StringIO())

    losses = [[row["train/loss/total"] for row in run.rows()] for run in (finished, again, other)]
    assert losses[0] == losses[1]
    assert not set(losses[0]) & set(losses[2])


@pytest.mark.slow
def test_a_callback_that_stops_the_training_ends_it_with_everything_that_belongs_to_an_end(
    compose_tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
    from odrun.training.callbacks import Callback

    class Short(Callback):
        def after_step(self, report):
            if report.step == 2:
                report.control.stop("two are enough")

        def after_evaluation(self, step, metrics):
            self.told = (step, metrics["eval/AP"])

        def on_end(self):
            open(self.folder / "told.txt", "w").write(str(self.told))

        def on_start(self, training):
            self.folder = training.folder
    """
    (tmp_path / "short_callback.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    tiny = compose_tiny(*FOUR_STEPS, "+train.callbacks.short={_target_: short_callback.Short}")

    ended = fitted(tiny, tmp_path / "run", io.StringIO())

    assert ended.error is None
    assert (ended.summary.status, ended.summary.steps) == ("stopped_early", 2)
    assert "after step 2: two are enough" in ended.shown
    assert (ended.directory.path / "told.txt").read_text().startswith("(2, ")
    assert (ended.directory.export / "saved_model" / "saved_model.pb").is_file()
    assert ended.directory.checkpoint(2).with_suffix(".index").is_file()


@pytest.mark.slow
def test_deterministic_operations_bear_the_augmentations_and_give_equal_losses(
    compose_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    """In processes of their own, because it cannot be switched off again."""
    program = """
    import io, pathlib, pickle, sys
    from odrun.commands.course import Course
    from odrun.commands.fitting import fit
    from odrun.report.terminal import Terminal
    from odrun.runs.directory import RunDirectory
    job, data, pipeline_text, folder = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
    import odrun.compat
    odrun.compat.load()
    from object_detection.protos import pipeline_pb2
    from google.protobuf import text_format
    pipeline = pipeline_pb2.TrainEvalPipelineConfig()
    text_format.Parse(pipeline_text, pipeline)
    directory = RunDirectory(pathlib.Path(folder))
    with Course(directory) as course:
        fit(job, pipeline, data, directory=directory, course=course, terminal=Terminal(io.StringIO()))
    """
    tiny = compose_tiny(*FOUR_STEPS, "augmentation=flip_crop", "train.deterministic=true")
    losses = []
    for name in ("one", "other"):
        given = tmp_path / f"{name}.pickle"
        given.write_bytes(pickle.dumps((tiny.job, tiny.data, str(tiny.pipeline), str(tmp_path / name))))
        subprocess.run([sys.executable, "-c", textwrap.dedent(program), given], check=True, capture_output=True)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["train/loss/total"] for line in lines])

    assert len(losses[0]) == 4
    assert losses[0] == losses[1]
