"""Requests that change nothing: memory forecasts, evidence, knob importance, the search, introspection,
sampled answers, the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.contract.spec.study_spec import StudySpec
from core.contract.wire import console_api, sample_messages
from core.contract.wire.answers import data_messages
from core.daemon.answers import (
    blind_comparisons,
    event_history_reader,
    evidence_reader,
    introspection_reader,
    paired_losses,
)
from core.daemon.answers.data_answers import DataReviews, Environment, RowAnswers
from core.daemon.answers.search_state_answers import Insights
from core.daemon.event_committer import EventCommitter
from core.daemon.placement.forecast_answers import answer
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.study import request_checks
from core.daemon.study.request_checks import Handler
from core.daemon.study.study_runner import Runner
from core.daemon.workers.sample_relay import SampleRelay


class QuestionRequests:
    """Answers from the state, from files that workers write, and from the search's storage.

    ``runner_of`` gives the runner of a running study; ``foresight`` plans the memory of one that does not
    run; ``environment`` returns the variables of a study.
    """

    def __init__(
        self,
        committer: EventCommitter,
        runner_of: Callable[[str], Runner | None],
        foresight: Callable[[StudySpec], MemoryPlanner],
        samples: SampleRelay,
        environment: Environment,
    ) -> None:
        self._samples = samples
        self._reviews, self._rows = DataReviews(environment), RowAnswers(environment)
        self._committer, self._runner_of, self._foresight = committer, runner_of, foresight
        self._insights = Insights()
        self.handlers: dict[type, Handler] = {
            console_api.Foresee: self._answer_forecast,
            console_api.WeighMemory: self._answer_forecast,
            console_api.AskEvidence: self._answer_evidence,
            console_api.AskImportance: self._answer_search,
            console_api.AskSearch: self._answer_search,
            console_api.AskInsides: self._answer_introspection,
            console_api.AskHistory: self._answer_history,
            console_api.AskPaired: self._answer_paired,
            sample_messages.AskSample: self._begin_sample,
            sample_messages.FollowSample: self._follow_sample,
            sample_messages.CancelSample: self._cancel_sample,
            sample_messages.AskPair: self._answer_pair,
            data_messages.AskDataReview: self._answer_review,
            data_messages.AskDataRow: self._answer_row,
        }

    async def close(self) -> None:
        """End the processes that read rows."""
        await self._reviews.close()
        await self._rows.close()

    async def _answer_review(self, request: data_messages.AskDataReview) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        return await self._reviews.answer(study, request)

    async def _answer_row(self, request: data_messages.AskDataRow) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        return await self._rows.answer(study, request)

    async def _answer_forecast(
        self, request: console_api.Foresee | console_api.WeighMemory
    ) -> console_api.Answer:
        return await asyncio.to_thread(self._answer_memory_now, request)  # advice estimates many variants

    def _answer_memory_now(
        self, request: console_api.Foresee | console_api.WeighMemory
    ) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        spec, runner = study.settings, self._runner_of(study.name)
        foresight = runner.weighing.foresight if runner is not None else self._foresight(spec)
        explain_wait = runner.weighing.explain_wait if runner is not None else None
        return answer(foresight, study, spec, request, explain_wait)

    async def _answer_evidence(self, request: console_api.AskEvidence) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        return await asyncio.to_thread(evidence_reader.read, study, request)

    async def _answer_search(
        self, request: console_api.AskImportance | console_api.AskSearch
    ) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        runner = self._runner_of(study.name)
        return await self._insights.answer(study, request, runner.wait_until_caught_up if runner else None)

    async def _answer_introspection(self, request: console_api.AskInsides) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        return await asyncio.to_thread(introspection_reader.read, study, request.trial)

    async def _answer_history(self, request: console_api.AskHistory) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        return await asyncio.to_thread(event_history_reader.read, study)

    async def _answer_paired(self, request: console_api.AskPaired) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        for number in (request.trial, *request.others):
            request_checks.find_any_trial(study, number)
        differences = await asyncio.to_thread(paired_losses.read, study, request.trial, request.others)
        return console_api.Paired(differences)

    async def _begin_sample(self, request: sample_messages.AskSample) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        if request.trial != sample_messages.BASE:
            request_checks.find_any_trial(study, request.trial)
        return self._samples.begin(study, request)

    async def _follow_sample(self, request: sample_messages.FollowSample) -> console_api.Answer:
        return await self._samples.follow(request.ticket, request.known)

    async def _cancel_sample(self, request: sample_messages.CancelSample) -> None:
        self._samples.cancel(request.ticket)

    async def _answer_pair(self, request: sample_messages.AskPair) -> console_api.Answer:
        study = request_checks.find_study(self._committer.state, request.study)
        able = self._samples.list_able(study, request.base)
        return await asyncio.to_thread(blind_comparisons.find_next_pair, study, able, request.seed)
