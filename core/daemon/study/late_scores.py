"""Scores that are pending when a trial's training is done: which worker computes them, and what is reported
then."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.cross_key_checks import awaits_boards
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.state.unrated_trials import awaits_ratings, is_unrated, list_unrated
from core.contract.wire import worker_api
from core.daemon.answers.limit_enforcement import explain_breach, explain_unsure
from core.daemon.placement.study_device_choice import Slot
from core.daemon.workers.worker_pool import Worker, WorkerPool, may_return
from core.daemon.workers.worker_shutdowns import WorkerShutdowns

Put = Callable[..., Awaitable[list[str]]]
Start = Callable[[Slot], Worker]


def list_pending(study: s.Study) -> list[s.Trial]:
    """Return the complete trials with pending scores."""
    return [trial for trial in study.trials.values() if trial.pending]


def make_scoring_assignment(trial: s.Trial, folder: Path) -> worker_api.Score:
    """Return the message that lets a worker score the adapter of a complete trial."""
    place = str(folder / "trials" / str(trial.number))
    return worker_api.Score(
        trial.number, trial.knobs, place, trial.scoring, trial.elapsed_s, keep_finite(trial.latest)
    )


def keep_finite(metrics: dict[str, float]) -> dict[str, float]:
    """Return the values that are finite numbers."""
    return {name: value for name, value in metrics.items() if value == value}


def find_search_result(study: s.Study, spec: StudySpec, event: e.TrialEvent) -> e.TrialEvent | None:
    """Return the event that reports a trial's end to the sampler; None while its scores are pending, or
    its ratings are too few.

    A prune by a limit has to happen first.
    """
    trial = study.trials[event.trial]
    awaits = awaits_boards(spec) or awaits_ratings(spec)
    match event:
        case e.TrialCompleted():
            if event.scoring >= 0 and awaits:
                return None
            why = explain_unsure(study, trial) if event.scoring < 0 else ""
            if not why and is_unrated(study, trial):
                return None
            if why:
                return _make_prune_event(study, event, why)
            return event if event.values or not trial.values else make_result(study, trial)
        case e.TrialScored() | e.ScoringEnded():
            over = isinstance(event, e.ScoringEnded) or event.last
            if not (over and awaits) or trial.state != s.COMPLETE:
                return None
            scored = isinstance(event, e.TrialScored)
            why = explain_breach(study, trial) or (explain_unsure(study, trial) if scored else "")
            if why:
                return _make_prune_event(study, event, why)
            if is_unrated(study, trial):
                return None
            if not trial.values:
                return e.TrialFailed(at=event.at, study=study.name, trial=trial.number, error=trial.why)
            return make_result(study, trial)
    return event


def make_result(study: s.Study, trial: s.Trial) -> e.TrialCompleted:
    """Return the event that reports the result of a complete trial as it is now."""
    return e.TrialCompleted(
        at=trial.ended_at or time.time(), study=study.name, trial=trial.number, step=trial.step,
        values=trial.values,
    )  # fmt: skip


def _make_prune_event(study: s.Study, event: e.TrialEvent, why: str) -> e.TrialPruned:
    step = study.trials[event.trial].step
    return e.TrialPruned(at=event.at, study=study.name, trial=event.trial, step=step, why=why, limit=True)


class LateScores:
    """The pending scores of one study: it keeps a worker running for them."""

    def __init__(
        self,
        crew: WorkerPool,
        departures: WorkerShutdowns,
        folder: Path,
        retries: int,
        put: Put,
        start: Start,
    ) -> None:
        self._crew, self._departures, self._folder, self._retries = crew, departures, folder, retries
        self._put, self._start = put, start
        self._lost: dict[int, int] = {}  # how often a trial's scoring lost its worker
        self._answerers = 0  # workers that were started for ratings alone

    async def see(self, study: s.Study, slots: Sequence[Slot], grace_is_over: bool) -> None:
        """Assign a worker to pending scorings without one."""
        self._keep_answering(study, slots, grace_is_over)
        for trial in list_pending(study):
            if trial.worker in self._crew.workers:
                continue
            if (
                trial.worker not in self._crew.known
                and not grace_is_over
                and may_return(self._folder, trial.worker)
            ):
                continue
            times_lost = self._lost[trial.number] = self._lost.get(trial.number, -1) + 1
            if times_lost > self._retries:
                await self.end([trial], f"its scoring lost its worker {times_lost} times")
                continue
            worker = next(iter(self._crew.of(study.name)), None) or self._start(slots[0])
            await self._put(
                e.ScoringAssigned(
                    at=time.time(), study=study.name, trial=trial.number,
                    worker=worker.name, device=worker.device,
                )
            )  # fmt: skip
            worker.tell(make_scoring_assignment(trial, self._folder))  # else its Hello brings it

    def _keep_answering(self, study: s.Study, slots: Sequence[Slot], grace_is_over: bool) -> None:
        """Keep a worker that answers people while trials wait for their ratings; one that was lost too often
        is not started again until the study is resumed."""
        waits = list_unrated(study) and grace_is_over and not self._crew.of(study.name)
        if waits and self._answerers <= self._retries:
            self._answerers += 1
            self._start(slots[0])

    def update_worker(self, study: s.Study, worker: Worker) -> None:
        """Tell a worker that said Hello what it is to score; a scoring that already runs is not affected."""
        worker.tell_all(
            make_scoring_assignment(trial, self._folder)
            for trial in list_pending(study)
            if trial.worker == worker.name
        )

    async def end(self, trials: list[s.Trial], why: str) -> None:
        """Record that no worker scores ``trials`` any more."""
        for trial in trials:
            worker = self._crew.workers.get(trial.worker)
            if worker is not None:
                worker.tell(worker_api.Unscore(trial.number, why))
            study = self._folder.name
            await self._put(e.ScoringEnded(at=time.time(), study=study, trial=trial.number, why=why))
