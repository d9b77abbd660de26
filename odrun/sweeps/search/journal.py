"""`study.journal`: the file in which an Optuna study lies, read and written by any number of processes."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from odrun.sweeps.search.settings import JOURNAL_NAME


def open_journal(folder: Path) -> JournalStorage:
    """The journal in a folder, made if there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL_NAME)))


def name_in(storage: JournalStorage) -> str | None:
    """The name of the study that the journal holds, that of the folder that it was begun in; `None` before."""
    return next((study.study_name for study in storage.get_all_studies()), None)
