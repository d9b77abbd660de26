"""A file that memory does not suffice for is a problem of that file; in processes whose memory is really limited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from odrun.annotations.readers import READERS

ROOM_MB = 150
CONFINED = """
import resource, sys
from pathlib import Path
from odrun.annotations.files import list_files
from odrun.annotations.problems import ProblemLog
from odrun.annotations.readers import READERS

log = ProblemLog()
files = list_files(Path(sys.argv[2]), log)
pages = int(Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + int(sys.argv[3]) * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (room, room))
images = list(READERS[sys.argv[1]].read(files, log))
print(len(images), *(f"{problem.file.name}:{problem.fault}" for problem in log.problems))
"""


def confined(format_name: str, folder: Path) -> str:
    """How many images a reader finds with room for so much more than it needs by itself, and what it notes."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, format_name, str(folder), str(ROOM_MB)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SMALL = {
    "labelme": ("b.json", '{"imagePath": "b.jpg", "shapes": []}'),
    "coco": ("b.json", '{"images": [{"id": 1, "file_name": "b.jpg"}], "annotations": [], "categories": []}'),
}


@pytest.mark.parametrize(("format_name", "begin"), [("labelme", '{"shapes": ['), ("coco", '{"images": [{}],"more": [')])
def test_json_that_memory_is_too_short_for_is_a_problem_and_the_next_file_is_read(
    tmp_path: Path, format_name: str, begin: str
) -> None:
    (tmp_path / "a.json").write_text(begin + "[],[]," * 3_000_000 + "[]]}")
    name, content = SMALL[format_name]
    (tmp_path / name).write_text(content)
    (tmp_path / "b.jpg").write_bytes(b"")
    assert confined(format_name, tmp_path) == "1 a.json:malformed_annotation"


@pytest.mark.parametrize(("format_name", "suffix"), [("labelme", "json"), ("coco", "json")])
def test_a_file_larger_than_memory_is_a_problem(tmp_path: Path, format_name: str, suffix: str) -> None:
    with (tmp_path / f"a.{suffix}").open("wb") as stream:
        stream.write(b'{"shapes": [], "images": [{}]')
        stream.truncate(250_000_000)
    assert confined(format_name, tmp_path) == f"0 a.{suffix}:unreadable_file"


def test_every_reader_of_json_is_confined() -> None:
    assert {name for name, reader in READERS.items() if ".json" in reader.suffixes} == set(SMALL)
