"""Answers knob importance and search state from the study's storage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.errors import RefusedError

KEPT = 64  # cached answers
PATIENCE_S = 3.0  # how long to wait until Optuna has every result of the journal
Asked = console_api.AskImportance | console_api.AskSearch
CaughtUp = Callable[[], Awaitable[None]]


async def read(study: s.Study, request: Asked) -> console_api.Answer:
    """Compute the answer in a separate process. Raises TrimtabError if the storage cannot be read."""
    from core.search.process import storage_reader_client

    spec, folder = study.settings, Path(study.folder)
    if isinstance(request, console_api.AskSearch):
        return await storage_reader_client.ask_state(spec, folder)
    count = len(study.objectives)
    if not 0 <= request.objective < count:
        location, fix = f"study {study.name}", f"give a number from 0 to {count - 1}"
        raise RefusedError.of(f"there is no objective {request.objective}", location, fix)
    return await storage_reader_client.ask_importance(spec, folder, request.method, request.objective)


class Insights:
    """Answers one query at a time and caches the answers, since several consoles may ask the same."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._known: dict[Asked, tuple[tuple[float, int], console_api.Answer]] = {}

    async def answer(self, study: s.Study, request: Asked, caught_up: CaughtUp | None) -> console_api.Answer:
        """Answer from the cache or the storage. ``caught_up`` waits until Optuna has all results of the
        study's runner; None without a runner."""
        moment = (study.created_at, _moment(study, request))
        async with self._turn:
            before = self._known.get(request)
            if before is not None and before[0] == moment:
                return before[1]
            if caught_up is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(caught_up(), PATIENCE_S)
            answer = await read(study, request)
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[request] = (moment, answer)
            return answer


def _moment(study: s.Study, request: Asked) -> int:
    """Return the state that the answer depends on: the number of ended trials, or every evaluation."""
    if isinstance(request, console_api.AskImportance):
        return best_and_counts.count_ended(study)
    return hash(
        tuple((trial.state, trial.latest.get(study.objectives[0][0])) for trial in study.trials.values())
    )
