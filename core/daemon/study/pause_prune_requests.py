"""Requests about one trial that its worker carries out: pause, resume, prune."""

from __future__ import annotations

import time

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.wire import console_api, worker_api
from core.daemon.event_committer import EventCommitter
from core.daemon.study import request_checks
from core.daemon.study.request_checks import Handler
from core.daemon.workers.trial_requeue import end_trial, make_event_at_step
from core.daemon.workers.worker_pool import WorkerPool


class TrialRequests:
    """Records each request, then sends it to the trial's worker."""

    def __init__(self, committer: EventCommitter, crew: WorkerPool) -> None:
        self._committer, self._crew, self._put = committer, crew, committer.put_or_refuse
        self.handlers: dict[type, Handler] = {
            console_api.PauseTrial: self._pause,
            console_api.ResumeTrial: self._resume,
            console_api.PruneTrial: self._prune,
        }

    @property
    def state(self) -> s.State:
        """The present state."""
        return self._committer.state

    async def _pause(self, request: console_api.PauseTrial) -> None:
        trial = request_checks.find_live_trial(self.state, request.study, request.trial)
        request_checks.check_may_pause(trial)
        await self._put(e.PauseAsked(at=time.time(), study=request.study, trial=trial.number, by=request.by))
        if trial.state == s.STARTING:  # its worker may be loading the base, and reads this afterwards
            await self._put(make_event_at_step(e.TrialPaused, request.study, trial))
        self._tell(trial, worker_api.Pause(trial.number))

    async def _resume(self, request: console_api.ResumeTrial) -> None:
        trial = request_checks.find_live_trial(self.state, request.study, request.trial)
        request_checks.check_may_resume(trial)
        await self._put(e.ResumeAsked(at=time.time(), study=request.study, trial=trial.number, by=request.by))
        if trial.state == s.PAUSED and not trial.has_begun:
            await self._put(make_event_at_step(e.TrialResumed, request.study, trial))
        self._tell(trial, worker_api.Resume(trial.number))

    async def _prune(self, request: console_api.PruneTrial) -> None:
        trial = request_checks.find_live_trial(self.state, request.study, request.trial)
        why = request.why or f"pruned by {request.by}"
        at, study = time.time(), self.state.studies[request.study]
        if trial.state == s.QUEUED:
            await self._put(end_trial(study, trial, why))
            return
        await self._put(e.PruneAsked(at=at, study=request.study, trial=trial.number, by=request.by, why=why))
        if not trial.has_begun:  # its worker may be loading the base: there is nothing to checkpoint
            await self._put(end_trial(study, trial, why))
        self._tell(trial, worker_api.Prune(trial.number, why))

    def _tell(self, trial: s.Trial, message: worker_api.ToWorker) -> None:
        worker = self._crew.workers.get(trial.worker)
        if worker is not None:
            worker.tell(message)
