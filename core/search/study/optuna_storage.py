"""Opens a study's storage: SQLite in its folder, another database, or a journal file for network file
systems."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import URL

from core import paths
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError

LOCK_TIMEOUT_S = 60.0  # how long to wait for another program's lock on a SQLite file
JOURNAL = "journal:"  # prefix of a path: Optuna's journal file, which needs no file-system locks


def find_address(spec: StudySpec, folder: Path) -> str:
    """Return the storage URL: ``study.storage`` with ${NAME} from the environment, else optuna.db in the
    study's folder. Raises TrimtabError for an unset variable, or if optuna.db is a link."""
    if spec.study.storage:
        unset = [name for name in re.findall(r"\$\{(\w+)\}", spec.study.storage) if name not in os.environ]
        if unset:
            raise TrimtabError.of(
                f"the variable {unset[0]} is not set in the engine's environment",
                f"study.storage = {sanitize(spec.study.storage, 200)}",
                f"run `trimtab engine stop`, then start the study in a shell that sets {unset[0]}",
            )
        return os.path.expandvars(spec.study.storage)
    if (folder / "optuna.db").is_symlink():
        raise TrimtabError.of(
            "the storage is a link", str(folder / "optuna.db"), "replace the link by the file itself"
        )
    return make_sqlite_url(folder / "optuna.db")


def make_sqlite_url(file: Path, **options: str) -> str:
    """Return the URL of a SQLite file, safe for any characters in its path: SQLite reads it as a URI, Optuna
    formats it, and SQLAlchemy's quoting depends on its version. ``options`` are SQLite options, such as
    mode="ro"."""
    query = {**options, "uri": "true"}
    return URL.create("sqlite", database=f"file:{quote(str(file))}", query=query).render_as_string()


def open_storage(url: str, reads: bool = False) -> BaseStorage:
    """Open Optuna's storage at ``url``; with ``reads`` missing tables are not created. Raises the errors of
    SQLAlchemy and Optuna."""
    if url.startswith(JOURNAL):
        path = paths.expand_home(url.removeprefix(JOURNAL))
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    arguments = {"timeout": LOCK_TIMEOUT_S} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs={"connect_args": arguments}, skip_table_creation=reads)
