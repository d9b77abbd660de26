"""Runs test modules of the OD API, each in a fresh fork of a process that has done the imports.

`python engine_suite.py JOBS MODULE...` prints one line of JSON as a module ends: its name, its seconds, and the outcome
of each of its tests ("passed", "skipped" or the end of the traceback).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path


def main(jobs: int, modules: list[str]) -> None:
    import odrun.compat

    odrun.compat.load()
    for name in ("model_lib_v2", "inputs", "exporter_lib_v2", "utils.test_case", "builders.model_builder"):
        importlib.import_module(f"object_detection.{name}")
    # A fork taken before TensorFlow's runtime has started gives each module a fresh one.
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for report in pool.imap_unordered(run_module, modules, chunksize=1):
            print(json.dumps(report), flush=True)


def run_module(name: str) -> dict[str, object]:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, quiet(Path(folder) / "output.txt"):
        os.environ["TEST_TMPDIR"] = folder
        os.chdir(folder)
        sys.argv = [name]
        tests = run_tests(name)
    return {"module": name, "seconds": round(time.monotonic() - start, 1), "tests": tests}


def run_tests(name: str) -> dict[str, str]:
    from absl import flags

    try:
        module = importlib.import_module(name)
    except (AttributeError, ImportError, NameError, TypeError) as error:
        return {"import": repr(error)}
    flags.FLAGS(sys.argv, known_only=True)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    names = [test.id().removeprefix(name + ".") for test in flat(suite)]
    result = unittest.TestResult()
    suite.run(result)
    outcome = dict.fromkeys(names, "passed")
    for test, _ in result.skipped:
        outcome[test.id().removeprefix(name + ".")] = "skipped"
    for test, trace in result.failures + result.errors:
        outcome[test.id().removeprefix(name + ".")] = trace.strip()[-1500:]
    return dict(sorted(outcome.items()))


def flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    return [case for part in suite for case in (flat(part) if isinstance(part, unittest.TestSuite) else [part])]


@contextlib.contextmanager
def quiet(log: Path):
    with log.open("w") as stream:
        kept = [os.dup(descriptor) for descriptor in (1, 2)]
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
        try:
            yield
        finally:
            sys.stdout.flush()
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
