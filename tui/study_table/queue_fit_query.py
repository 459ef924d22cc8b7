"""Asks the engine now and then when the queued trials of a study fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import MemoryNow, Verdict
from tui.base.latest_query import Ask, Latest

ASK_EVERY_S: float | None = 5.0  # at most; None: never


class QueueWaits:
    """``verdicts`` are the engine's last words on queued trials, by number."""

    def __init__(self, ask: Ask, took: Callable[[], None]) -> None:
        self.verdicts: Mapping[int, Verdict] = {}
        self._took = took
        self._query = Latest(ask, self._take)
        self._asked: tuple[object, ...] = ()
        self._at = 0.0

    def wish(self, study: s.Study | None, now: float) -> console_api.WeighMemory | None:
        """Return the question to ask now: the trials that wait or run are others, and some time passed."""
        if study is None or ASK_EVERY_S is None or self._query.busy or now - self._at < ASK_EVERY_S:
            return None
        live = [(trial.number, trial.state) for trial in study.trials.values() if trial.state not in s.ENDED]
        question_key = (study.name, *live)
        if question_key == self._asked:
            return None
        self._asked, self._at = question_key, now
        if not any(state == s.QUEUED for _, state in live):
            self.verdicts = {}
            return None
        return console_api.WeighMemory(study.name)

    async def ask(self, request: console_api.WeighMemory) -> None:
        """Ask; ``verdicts`` change when the answer comes."""
        await self._query.send(request)

    def _take(self, answer: console_api.Answer | None, why: str) -> None:
        """An engine that cannot say leaves the queue without words."""
        queued = answer.queued if isinstance(answer, MemoryNow) else ()
        self.verdicts = {verdict.trial: verdict for verdict in queued}
        self._took()
