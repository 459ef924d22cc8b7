"""The interface of a search that a runner needs; core.search implements it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from core.contract.spec.study_spec import StudySpec


class SearchPort(Protocol):
    """Propose trials and take their results, see core.search.process.search_client."""

    @property
    def loaded(self) -> bool: ...
    async def open(self) -> None: ...
    async def ask(self) -> Any: ...
    async def enqueue(self, params: dict[str, Any], counted: bool) -> Any: ...
    async def change(self, spec: StudySpec) -> None: ...
    async def report(
        self, trial: int, step: int, metrics: dict[str, float], rows: Sequence[float] = ()
    ) -> str | None: ...
    async def constrain(self, trial: int, name: str, violation: float) -> None: ...
    async def tell(self, trial: int, state: str, values: tuple[float, ...] = ()) -> None: ...
    async def reconcile(
        self,
        trials: dict[int, tuple[str, tuple[float, ...], dict[str, Any]]],
        readings: Mapping[int, tuple[Sequence[int], Sequence[float]]] | None = None,
    ) -> None: ...
    async def list_unknown_results(self, known: list[int]) -> list[int]: ...
    async def close(self) -> None: ...


Note = Callable[[str], object]  # a note for the event list
SearchFactory = Callable[[StudySpec, Path, Note], SearchPort]


def open_search(spec: StudySpec, folder: Path, note: Note) -> SearchPort:
    """Return an Optuna search in a separate process."""
    from core.search.process.search_client import Search

    return Search(spec, folder, note)
