from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

Make = Callable[..., "Program"]  # type: ignore[name-defined] # noqa: F821 - the fixture's own class
SLEEP = "time.sleep(60)"


def test_each_trial_has_a_process_of_its_own_in_which_nothing_happened_before(program: Make) -> None:
    app = program("(here / 'facts').write_text(f'{count} {os.getpid()} {os.getppid()}')")
    status, told = app.run(3)
    assert status == 0, told
    counts, pids, parents = zip(*(app.text(number, "facts").split() for number in range(3)), strict=True)
    assert counts == ("1", "1", "1")
    assert len(set(pids)) == 3
    assert len(set(parents)) == 1
    assert [app.trial(number)["pid"] for number in range(3)] == [int(pid) for pid in pids]


def test_modules_to_preload_are_imported_once_and_are_there_in_every_trial(program: Make) -> None:
    app = program("(here / 'at').write_text(str(sys.modules['costly'].imported_by))", preload=["costly"])
    (app.path.parent / "costly.py").write_text("import os\nimported_by = os.getpid()\n")
    status, told = app.run(2)
    assert status == 0, told
    assert app.text(0, "at") == app.text(1, "at") != str(app.trial(0)["pid"])


def test_trials_run_at_a_time_as_n_jobs_says(program: Make) -> None:
    # Each waits for the other, so that neither would end alone.
    app = program("(sweep / f'met{number}').write_text('')", "wait_for(f'met{1 - number}')")
    assert app.run(2, "hydra.launcher.n_jobs=2")[0] == 0
    assert app.statuses() == ["completed", "completed"]


def test_one_at_a_time_is_one_after_the_other(program: Make) -> None:
    app = program("(here / 'before').write_text(str(len(list(sweep.glob('*/done')))))", "(here / 'done').touch()")
    app.run(3)
    assert [app.text(number, "before") for number in range(3)] == ["0", "1", "2"]


def test_threads_are_divided_and_gpus_are_handed_out(program: Make) -> None:
    app = program(
        "(sweep / f'met{number}').write_text('')",
        "wait_for(f'met{1 - number}')",
        "names = ('OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS', 'CUDA_VISIBLE_DEVICES')",
        "(here / 'variables').write_text(' '.join(os.environ[name] for name in names))",
    )
    arguments = ("hydra.launcher.n_jobs=2", "hydra.launcher.threads_per_trial=3", "hydra.launcher.gpus_per_trial=2")
    status, told = app.run(2, *arguments, environment={"CUDA_VISIBLE_DEVICES": "4,5,6,7"})
    assert status == 0, told
    assert {app.text(number, "variables") for number in range(2)} == {"3 3 4,5", "3 3 6,7"}


def test_what_a_trial_prints_is_in_its_own_log_and_not_on_the_terminal(program: Make) -> None:
    app = program("print('from python', number)", "os.system('echo from below')")
    _, told = app.run(2)
    assert app.text(1) == "from python 1\nfrom below\n"
    assert "from" not in told
    assert [line.partition(" after ")[0] for line in told.splitlines()] == [
        "trial 0 started: +a=0",
        "trial 0 completed",
        "trial 1 started: +a=1",
        "trial 1 completed",
    ]


def test_a_trial_that_prints_without_end_keeps_beginning_and_end(program: Make) -> None:
    # What is written in the instant of a cut is left out with the rest: the last line comes after it.
    app = program("print('first')", "for _ in range(3000): print('x' * 9999)", "time.sleep(2)", "print('last')")
    app.run(1)
    log = app.sweep / "0" / "output.log"
    assert log.stat().st_size < 9_000_000
    text = log.read_text()
    assert text.startswith("first\nxxx")
    assert text.endswith("xxx\nlast\n")
    assert "bytes are left out here]" in text


@pytest.mark.parametrize(
    ("line", "arguments", "reason", "exit_status"),
    [
        ("raise KeyError('missing')", (), "KeyError: 'missing'", 0),
        ("os.kill(os.getpid(), signal.SIGKILL)", (), "it was killed (SIGKILL), as the system does with a process", -9),
        ("os.kill(os.getpid(), signal.SIGSEGV)", (), "it was killed by SIGSEGV", -11),
        ("sys.exit(3)", (), "it left its process with exit status 3 and no result", 3),
        ("sys.exit('no licence')", (), "exit status 1 and no result\nno licence", 1),
        ("return lambda: 1", (), "TrialError: what the trial returned, a function, cannot be pickled: ", 0),
        (SLEEP, ("timeout_s=0.5",), "it took longer than timeout_s=0.5 allows", -15),
        (
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
            ("timeout_s=0.5", "grace_s=0.1"),
            "it took longer than timeout_s=0.5 allows",
            -9,
        ),
        (f"held = bytearray(600_000_000); {SLEEP}", ("memory_mb=500",), "MB of memory, and memory_mb=500 is", -9),
    ],
)
def test_a_trial_that_goes_wrong_is_recorded_and_the_others_run(
    line: str, arguments: tuple[str, ...], reason: str, exit_status: int, program: Make
) -> None:
    app = program(f"if number == 0: {line}" if ";" not in line else f"if number == 0:\n        {line}")
    status, told = app.run(2, *(f"hydra.launcher.{argument}" for argument in arguments))
    assert app.statuses() == ["failed", "completed"]
    assert reason in app.trial(0)["reason"]
    assert app.trial(0)["exit_status"] == exit_status
    assert all(part in told for part in reason.splitlines())
    # Hydra's own sweeper passes the failure of a trial on.
    assert status == 1


def test_the_record_of_a_failed_trial_holds_the_end_of_what_it_printed(program: Make) -> None:
    app = program("for line in range(100): print('line', line)", "os.abort()")
    app.run(1)
    assert app.trial(0)["log_tail"] == [f"line {line}" for line in range(80, 100)]


def test_a_signal_stops_running_trials_in_order_and_starts_no_more(
    program: Make, waiting: Callable[..., None], send: Callable[..., None]
) -> None:
    app = program(
        "try:",
        "    (here / 'begun').touch()",
        f"    {SLEEP}",
        "except KeyboardInterrupt:",
        "    (here / 'saved').touch()",
        "    raise",
    )
    process = app.start(4, "hydra.launcher.n_jobs=2")
    waiting(lambda: len(list(app.sweep.glob("*/begun"))) == 2)
    send(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert sorted(path.parent.name for path in app.sweep.glob("*/saved")) == ["0", "1"]
    assert app.statuses() == ["interrupted", "interrupted"]
    assert "SIGINT: running trials (2) are stopped in order; again: at once\n" in told
    assert process.returncode != 0


def test_a_request_to_terminate_reaches_the_trials_as_such(
    program: Make, waiting: Callable[..., None], send: Callable[..., None]
) -> None:
    app = program(
        "signal.signal(signal.SIGTERM, lambda *_: ((here / 'saved').touch(), sys.exit(1)))",
        "(here / 'begun').touch()",
        SLEEP,
    )
    process = app.start(2)
    waiting(lambda: (app.sweep / "0" / "begun").exists())
    send(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert (app.sweep / "0" / "saved").exists()
    assert app.trial(0)["reason"] == "stopped by SIGTERM"
    assert app.statuses() == ["interrupted"]


def test_a_second_signal_ends_trials_that_do_not_listen(
    program: Make, waiting: Callable[..., None], send: Callable[..., None], alive: Callable[[int], bool]
) -> None:
    app = program("signal.signal(signal.SIGINT, signal.SIG_IGN)", "(here / 'begun').touch()", SLEEP)
    process = app.start(2)
    waiting(lambda: (app.sweep / "0" / "begun").exists())
    pid = app.trial(0)["pid"]
    send(process.pid, signal.SIGINT)
    assert process.stdout is not None
    while "SIGINT: running trials" not in process.stdout.readline():
        pass
    assert alive(pid)
    send(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert not alive(pid)
    assert app.statuses() == ["interrupted"]


def test_trials_end_when_the_launcher_is_killed(
    program: Make, waiting: Callable[..., None], send: Callable[..., None], alive: Callable[[int], bool]
) -> None:
    app = program("(here / 'server').write_text(str(os.getppid()))", "(here / 'begun').touch()", SLEEP)
    process = app.start(2, "hydra.launcher.n_jobs=2")
    waiting(lambda: len(list(app.sweep.glob("*/begun"))) == 2)
    pids = [int(app.text(0, "server")), *(app.trial(number)["pid"] for number in range(2))]
    assert all(map(alive, pids))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    waiting(lambda: not any(map(alive, pids)))


def test_trials_of_a_killed_server_fail_and_the_others_get_a_new_one(
    program: Make, waiting: Callable[..., None], send: Callable[..., None]
) -> None:
    app = program(f"if number == 0: (here / 'server').write_text(str(os.getppid())); {SLEEP}")
    process = app.start(2)
    waiting(lambda: (app.sweep / "0" / "server").exists() and bool(app.text(0, "server")))
    send(int(app.text(0, "server")), signal.SIGKILL)
    process.communicate(timeout=30)
    assert app.statuses() == ["failed", "completed"]
    assert app.trial(0)["reason"] == "the process that trials are forked from was killed"


def test_an_ended_trial_leaves_no_zombie(program: Make) -> None:
    app = program(
        "stats = [path.read_text().rpartition(')')[2].split() for path in Path('/proc').glob('[0-9]*/stat')]",
        "(here / 'siblings').write_text(str(sum(int(stat[1]) == os.getppid() for stat in stats)))",
    )
    app.run(3)
    assert [app.text(number, "siblings") for number in range(3)] == ["1", "1", "1"]


def test_what_a_trial_leaves_to_the_end_of_its_process_is_done_then_and_nothing_else(program: Make) -> None:
    app = program(
        "import atexit, logging, tempfile, weakref",
        "atexit.register((here / 'left').touch)",
        "task.kept = tempfile.TemporaryDirectory(dir=here)",
        "task.handler = logging.handlers.MemoryHandler(99, target=logging.FileHandler(here / 'flushed'))",
        "task.handler.handle(logging.makeLogRecord({'msg': 'told', 'levelno': 20}))",
    )
    app.path.write_text(
        app.path.read_text().replace(
            "count = 0", "count = 0\nimport atexit, logging.handlers\natexit.register(print, 'the end')"
        )
    )
    status, told = app.run(2)
    assert status == 0, told
    ours = {".hydra", "program.log", "output.log", "trial.json"}
    assert {path.name for path in (app.sweep / "0").iterdir()} - ours == {"flushed", "left"}
    assert app.text(0, "flushed") == "told\n"
    assert told.splitlines()[-1] == "the end"
    assert app.text(0) == ""


def test_a_module_that_cannot_be_imported_ahead_is_told_and_left_to_the_trials(program: Make) -> None:
    app = program("pass", preload=["no_such_module"])
    status, told = app.run(2)
    assert status == 0
    assert told.splitlines()[0] == (
        "not everything can be imported ahead, so each trial imports for itself: "
        "no_such_module: ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert app.statuses() == ["completed", "completed"]


def test_without_forking_each_trial_is_a_new_interpreter(program: Make) -> None:
    app = program(
        "(here / 'facts').write_text(f\"{count} {os.environ['OMP_NUM_THREADS']}\")",
        "print('printed', number)",
        "if number == 1: os.abort()",
    )
    app.run(3, "hydra.launcher.start=fresh", "hydra.launcher.n_jobs=2", "hydra.launcher.threads_per_trial=1")
    assert [app.text(number, "facts") for number in range(3)] == ["1 1"] * 3
    assert app.text(2) == "printed 2\n"
    assert app.statuses() == ["completed", "failed", "completed"]
    assert app.trial(1)["reason"] == "it was killed by SIGABRT"


def test_a_setting_out_of_its_limits_is_refused_before_a_trial_starts(program: Make) -> None:
    app = program("pass")
    status, told = app.run(1, "hydra.launcher.n_jobs=0")
    assert status == 1
    assert "n_jobs is 0; it has to be 1 or more" in told
    assert not list(app.sweep.glob("*/trial.json"))


def test_more_gpus_than_there_are_is_refused(program: Make) -> None:
    app = program("pass")
    status, told = app.run(2, "hydra.launcher.n_jobs=3", environment={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert status == 1
    assert "3 trials at a time with gpus_per_trial=1 need 3 GPUs, and there are 2" in told


def test_progress_that_a_trial_writes_is_told_when_it_ends(program: Make) -> None:
    facts = json.dumps({"step": 7, "steps": 9, "metric": "AP", "value": 0.25})
    app = program(f"(here / 'progress.json').write_text('{facts}')")
    _, told = app.run(1)
    assert told.splitlines()[1].endswith(", step 7 of 9, AP 0.25: +a=0")
