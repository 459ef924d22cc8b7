"""Stop a study, release its devices, or fail it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Container

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.wire import worker_api
from core.daemon.workers.trial_requeue import end_study_and_fail, end_study_and_requeue, end_trial
from core.daemon.workers.worker_pool import Worker, WorkerPool
from core.daemon.workers.worker_shutdowns import WorkerShutdowns

GRACE_S = 30.0  # for workers to release their trials
Put = Callable[..., Awaitable[list[str]]]


class StudyStopping:
    """Stops the study that ``now`` returns."""

    def __init__(
        self, crew: WorkerPool, departures: WorkerShutdowns, put: Put, now: Callable[[], s.Study]
    ) -> None:
        self._crew, self._departures, self._put, self._now = crew, departures, put, now
        self._since: float | None = None

    async def begin(self, why: str) -> None:
        """Request the end of every trial. It bypasses the inbox, so that it does not wait for the sampler."""
        self._since = time.monotonic()
        await self.prune_queued(why)
        for worker in self._crew.of(self._now().name):
            if self._is_loading(worker):
                await self._end_loading(worker, why)
        for trial in self._on(None):
            prune_event = e.PruneAsked(
                at=time.time(), study=self._now().name, trial=trial.number, by="the study's stop", why=why
            )
            if not await self._put(prune_event):
                its = self._crew.workers.get(trial.worker)
                if its is not None:
                    its.tell(worker_api.Prune(trial.number, why))

    async def _end_loading(self, worker: Worker, why: str) -> None:
        """End a worker that loads its base: its trials have nothing yet, and it answers only after
        loading."""
        for trial in self._on(worker):
            await self._put(end_trial(self._now(), trial, why))
        self._departures.send(worker, why, at_once=True)

    def yield_devices(self) -> None:
        """Keep every trial, shut down every worker and pause the study."""
        for worker in self._crew.of(self._now().name):
            self._departures.send(worker, "the study is paused", at_once=self._is_loading(worker))

    def give_back(self, kept: Container[str], why: str) -> None:
        """Shut down the workers on devices that are not ``kept``; their trials are queued again, each from
        its checkpoint."""
        for worker in self._crew.of(self._now().name):
            if worker.device not in kept:
                self._departures.send(worker, why, at_once=self._is_loading(worker))

    def hurry(self) -> None:
        """Kill workers that did not release their trials in time."""
        now = time.monotonic()
        if self._since is not None and now - self._since > GRACE_S:
            self._since = now
            for worker in self._crew.of(self._now().name):
                worker.kill()

    async def prune_queued(self, why: str) -> None:
        """Prune the trials that no worker has."""
        for trial in list(self._now().trials.values()):
            if trial.state == s.QUEUED:
                await self._put(end_trial(self._now(), trial, why))

    async def fail(self, reason: str, detail: str, report: worker_api.Broken | None = None) -> None:
        """End the study with the reason; its unfinished trials fail too, unless they are to be kept."""
        study = self._now()
        events = (
            end_study_and_requeue(study, report)
            if report and report.keeps
            else end_study_and_fail(study, reason, detail, report)
        )
        for event in events:
            await self._put(event)

    def _on(self, worker: Worker | None) -> list[s.Trial]:
        """Return the trials on ``worker``, or on any for None."""
        trials = [trial for trial in self._now().trials.values() if trial.state in s.ON_WORKER]
        return [trial for trial in trials if worker is None or trial.worker == worker.name]

    def _is_loading(self, worker: Worker) -> bool:
        """Tell whether the worker holds no trial that has started."""
        return not any(trial.has_begun for trial in self._on(worker))
