"""Requests that change nothing: memory forecasts, evidence, knob importance, the search, introspection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.contract.spec.study_spec import StudySpec
from core.contract.wire import console_api
from core.daemon.answers import evidence_reader, history_reader, introspection_reader
from core.daemon.answers.search_insights import Insights
from core.daemon.placement.forecast_answers import answer
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.study import request_checks
from core.daemon.study.request_checks import Handler
from core.daemon.study.study_runner import Runner
from core.daemon.supervisor import Supervisor


class QuestionRequests:
    """Answers from the state, from files that workers write, and from the search's storage.

    ``runner_of`` gives the runner of a running study; ``foresight`` plans the memory of one that does not
    run.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        runner_of: Callable[[str], Runner | None],
        foresight: Callable[[StudySpec], MemoryPlanner],
    ) -> None:
        self._supervisor, self._runner_of, self._foresight = supervisor, runner_of, foresight
        self._insights = Insights()
        self.handlers: dict[type, Handler] = {
            console_api.Foresee: self._memory,
            console_api.WeighMemory: self._memory,
            console_api.AskEvidence: self._evidence,
            console_api.AskImportance: self._search,
            console_api.AskSearch: self._search,
            console_api.AskInsides: self._introspection,
            console_api.AskHistory: self._history,
        }

    async def _memory(self, request: console_api.Foresee | console_api.WeighMemory) -> console_api.Answer:
        return await asyncio.to_thread(self._memory_now, request)  # advice estimates many variants

    def _memory_now(self, request: console_api.Foresee | console_api.WeighMemory) -> console_api.Answer:
        study = request_checks.study_in(self._supervisor.state, request.study)
        spec, runner = study.settings, self._runner_of(study.name)
        foresight = runner.weighing.foresight if runner is not None else self._foresight(spec)
        return answer(foresight, study, spec, request)

    async def _evidence(self, request: console_api.AskEvidence) -> console_api.Answer:
        study = request_checks.study_in(self._supervisor.state, request.study)
        return await asyncio.to_thread(evidence_reader.read, study, request)

    async def _search(self, request: console_api.AskImportance | console_api.AskSearch) -> console_api.Answer:
        study = request_checks.study_in(self._supervisor.state, request.study)
        runner = self._runner_of(study.name)
        return await self._insights.answer(study, request, runner.caught_up if runner else None)

    async def _introspection(self, request: console_api.AskInsides) -> console_api.Answer:
        study = request_checks.study_in(self._supervisor.state, request.study)
        return await asyncio.to_thread(introspection_reader.read, study, request.trial)

    async def _history(self, request: console_api.AskHistory) -> console_api.Answer:
        study = request_checks.study_in(self._supervisor.state, request.study)
        return await asyncio.to_thread(history_reader.read, study)
