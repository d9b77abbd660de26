"""Which files are TFRecords, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from odrun.annotations.files import ListedFile

_RECORD_NAME = re.compile(r".*\.(record|tfrecord)s?(-\d+-of-\d+)?", re.IGNORECASE | re.DOTALL)


def recognizes(files: Sequence[ListedFile]) -> bool:
    """Whether there are files named like records."""
    return any(is_record_file(file) for file in files)


def is_record_file(file: ListedFile) -> bool:
    """Whether the file is named like one of records, whole or a shard."""
    return _RECORD_NAME.fullmatch(file.file_name) is not None
