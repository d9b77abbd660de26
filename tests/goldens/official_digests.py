"""Writes the digests of official training configurations beside itself.

    python tests/goldens/official_digests.py CONFIGS ZOO

CONFIGS is a folder of official `*.config` files (`configs/tf2` of tensorflow/models, research/object_detection), ZOO a
table of the zoo with tabs between its columns: the entry's name first, the file's name third (`-` for none).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from odrun.pipeline.official import digest
from odrun.pipeline.text import read

TARGET = Path(__file__).with_suffix(".json")


def digests(configs: Path, zoo: Path) -> dict[str, str]:
    rows = [line.split("\t") for line in zoo.read_text(encoding="utf-8").splitlines()[1:]]
    return {row[0]: digest(read(configs / row[2])) for row in sorted(rows) if row[2] != "-"}


if __name__ == "__main__":
    made = digests(Path(sys.argv[1]), Path(sys.argv[2]))
    TARGET.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
