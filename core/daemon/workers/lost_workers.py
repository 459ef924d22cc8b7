"""Requeue the trials of workers that ended, failed or never came back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Container
from pathlib import Path

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.daemon.workers.trial_requeue import clear_worker, end_trial, requeue
from core.daemon.workers.worker_pool import (
    Worker,
    WorkerPool,
    end_stray,
    is_running,
    may_return,
    read_log_tail,
)
from core.daemon.workers.worker_shutdowns import WorkerShutdowns

RETURN_GRACE_S = 20.0  # for workers to come back after the engine was away


class LostWorkers:
    """The lost workers of one study, whose state ``study`` returns.

    ``fail`` ends the study with a message and a log; ``leaves`` tells whether the engine is exiting, so that
    no worker is blamed for ending.
    """

    def __init__(
        self,
        crew: WorkerPool,
        departures: WorkerShutdowns,
        folder: Path,
        put: Callable[..., Awaitable[list[str]]],
        study: Callable[[], s.Study],
        why_pruned: Callable[[int], str],
        fail: Callable[[str, str], Awaitable[None]],
        leaves: Callable[[], bool],
    ) -> None:
        self._crew, self._departures, self._folder, self._put = crew, departures, folder, put
        self._study, self._why_pruned, self._fail, self._leaves = study, why_pruned, fail, leaves
        self._begun = time.monotonic()
        self._absent: dict[str, str] | None = (
            None  # device by worker, of those that an earlier engine started
        )
        self._fruitless = 0  # workers in a row that ended before any trial ran

    @property
    def grace_is_over(self) -> bool:
        """Whether a worker that survived the engine's absence would have reconnected by now."""
        return time.monotonic() - self._begun > RETURN_GRACE_S

    def are_awaited(self, devices: Container[str]) -> bool:
        """Tell whether workers of an earlier engine still run on ``devices`` and have not reconnected yet:
        others there would load the base a second time."""
        if self.grace_is_over:
            return False
        if self._absent is None:
            trials = self._study().trials.values()
            self._absent = {trial.worker: trial.device for trial in trials if trial.worker}
        for name in list(self._absent):
            if name in self._crew.known or not is_running(self._folder, name):
                del self._absent[name]
        return any(device in devices for device in self._absent.values())

    async def requeue(self, worker: Worker, why: str) -> None:
        """Requeue the trials of a lost worker; those that lost too many workers fail."""
        study = self._study()
        await self._put(*clear_worker(study, worker.name))
        why = self._departures.why(worker.name, why)
        tail = read_log_tail(worker)
        lost_trials = [
            trial
            for trial in study.trials.values()
            if trial.state in s.ON_WORKER and trial.worker == worker.name
        ]
        if lost_trials and worker.name not in self._departures:
            self._fruitless = 0 if any(trial.has_begun for trial in lost_trials) else self._fruitless + 1
        if self._fruitless > study.settings.resources.retries and not self._leaves():
            last = (tail.strip().splitlines() or ["its log is empty"])[-1]
            message = f"{why} before it could run a trial, as {self._fruitless - 1} others before it: {last}"
            await self._fail(sanitize(message, 400), tail)
            return
        for trial in lost_trials:
            await self._give_back(trial, why, tail)

    async def _give_back(self, trial: s.Trial, why: str, tail: str) -> None:
        study = self._study()
        if trial.asked == "prune" or study.state == "stopping":
            await self._put(end_trial(study, trial, self._why_pruned(trial.number)))
            return
        blameless = self._leaves() or study.state == "paused" or trial.worker in self._departures
        retry = trial.retry if blameless else trial.retry + 1
        await self._put(requeue(study, trial, retry, study.settings.resources.retries, why, tail))

    async def requeue_absent(self) -> None:
        """Requeue the trials whose worker did not reconnect after the engine was away."""
        for trial in self._study().trials.values():
            if trial.state not in s.ON_WORKER or trial.worker in self._crew.known:
                continue
            if self.grace_is_over or not may_return(self._folder, trial.worker):
                end_stray(self._folder, trial.worker)  # two workers must not write one trial's files
                await self._give_back(trial, f"its worker {trial.worker} did not come back", "")
