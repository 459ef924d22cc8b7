"""A look at a study's storage that cannot change it, taken by a process that ends with the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from core.contract.spec import spec_file
from core.contract.text.sanitize import plain
from core.contract.wire.search_state import SearchState
from core.errors import RefusedError, TrimtabError
from core.search.pruners import rung_status
from core.search.samplers import sampler_status
from core.search.study import knob_importance
from core.search.study.optuna_storage import address, opened, sqlite
from core.search.study.space_generations import named, newest


def read_only(url: str, folder: Path) -> str:
    """The study's own SQLite file opened for reading; a database of ``study.storage`` as it is."""
    own = folder / "optuna.db"
    return sqlite(own, mode="ro") if url == sqlite(own) else url


class Reader:
    """Answers from all trials that the storage holds. Its methods are called by ``search_server``."""

    def __init__(self, raw: dict[str, Any], folder: str) -> None:
        self.spec = spec_file.parse(raw, folder)
        url = address(self.spec, Path(folder))
        try:
            self.study = self._open(read_only(url, Path(folder)))
            self.trials = self.study.get_trials(deepcopy=False)
        except (OptunaError, SQLAlchemyError, ImportError, ValueError, KeyError) as error:
            cause = error.__cause__ or error
            what = f"Optuna's storage cannot be read: {plain(str(cause), 300)}"
            raise TrimtabError.of(what, plain(url), "was it moved or removed?") from error

    def _open(self, url: str) -> optuna.Study:
        storage, name = opened(url, reads=True), self.spec.study.name
        return optuna.load_study(study_name=named(name, max(1, newest(storage, name))), storage=storage)

    def importance(self, method: str, objective: int) -> Any:
        """Which knobs matter, as core.contract.wire.search_state tells it."""
        count = len(self.spec.study.objectives)
        if not 0 <= objective < count:
            raise RefusedError.of(f"there is no objective {objective}", "importance", f"0 to {count - 1}")
        return msgspec.to_builtins(knob_importance.importance(self.spec, self.trials, method, objective))

    def state(self) -> Any:
        """How the sampler stands, and who is on which rung."""
        found, why = rung_status.rungs(self.spec, self.study, self.trials)
        told = sampler_status.lines(self.spec, self.study, self.trials)
        return msgspec.to_builtins(SearchState(tuple(told), found, why))

    def call(self, method: str, arguments: list[Any]) -> Any:
        """One of the methods above."""
        return getattr(self, method)(*arguments)
