"""Where a study is stored: SQLite in its folder, another database, or a journal file for network file
systems."""

from __future__ import annotations

import os
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from core import paths
from core.contract.spec import Spec
from core.errors import TrimtabError

LOCK_TIMEOUT_S = 60.0  # how long a SQLite file may be locked by another program
JOURNAL = "journal:"  # before a path: Optuna's journal file, which needs no locks of the file system's own


def address(spec: Spec, folder: Path) -> str:
    """Where the study is stored: ``study.storage`` with ${NAME} from the environment, else optuna.db in the
    study's folder. Raises TrimtabError for a link in its place."""
    if spec.study.storage:
        return os.path.expandvars(spec.study.storage)
    if (folder / "optuna.db").is_symlink():
        raise TrimtabError.of("the storage is a link", str(folder / "optuna.db"), "put the file itself there")
    return f"sqlite:///{folder / 'optuna.db'}"


def opened(url: str, reads: bool = False) -> BaseStorage:
    """Optuna's storage at ``url``; one that is only to be read is not made. Raises what SQLAlchemy and Optuna
    raise."""
    if url.startswith(JOURNAL):
        path = paths.expanded(url.removeprefix(JOURNAL))
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    arguments = {"timeout": LOCK_TIMEOUT_S} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs={"connect_args": arguments}, skip_table_creation=reads)
