"""Reads a study's storage without changing it, in a process that ends after the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from core.contract.spec import study_spec
from core.contract.text.sanitize import sanitize
from core.contract.wire.search_state import SearchState
from core.errors import RefusedError, TrimtabError
from core.search.pruners import rung_status
from core.search.samplers import sampler_status
from core.search.study import knob_importance
from core.search.study.optuna_storage import find_address, make_sqlite_url, open_storage
from core.search.study.space_generations import find_newest, make_study_name


def read_only(url: str, folder: Path) -> str:
    """Return the URL that opens the study's own SQLite file read-only; any other ``study.storage`` is
    unchanged."""
    own = folder / "optuna.db"
    return make_sqlite_url(own, mode="ro") if url == make_sqlite_url(own) else url


class Reader:
    """Answers queries from all trials in the storage. ``search_server`` calls its methods."""

    def __init__(self, raw: dict[str, Any], folder: str) -> None:
        self.spec = study_spec.read(raw)
        url = find_address(self.spec, Path(folder))
        try:
            self.study = self._open(read_only(url, Path(folder)))
            self.trials = self.study.get_trials(deepcopy=False)
        except (OptunaError, SQLAlchemyError, ImportError, ValueError, KeyError) as error:
            cause = error.__cause__ or error
            message = f"Optuna's storage cannot be read: {sanitize(str(cause), 300)}"
            raise TrimtabError.of(message, sanitize(url), "check that it was not moved or deleted") from error

    def _open(self, url: str) -> optuna.Study:
        storage, name = open_storage(url, reads=True), self.spec.study.name
        return optuna.load_study(
            study_name=make_study_name(name, max(1, find_newest(storage, name))), storage=storage
        )

    def compute_importance(self, method: str, objective: int) -> Any:
        """Compute the knob importance, as plain data of core.contract.wire.search_state."""
        count = len(self.spec.study.objectives)
        if not 0 <= objective < count:
            fix = f"give a number from 0 to {count - 1}"
            raise RefusedError.of(f"there is no objective {objective}", "importance", fix)
        return msgspec.to_builtins(
            knob_importance.compute_importance(self.spec, self.trials, method, objective)
        )

    def state(self) -> Any:
        """Return the state of the sampler, and the trials on each rung."""
        rungs, why = rung_status.list_rungs(self.spec, self.study, self.trials)
        lines = sampler_status.list_lines(self.spec, self.study, self.trials)
        return msgspec.to_builtins(SearchState(tuple(lines), rungs, why))

    def call(self, method: str, arguments: list[Any]) -> Any:
        """Call one of the methods above."""
        return getattr(self, method)(*arguments)
