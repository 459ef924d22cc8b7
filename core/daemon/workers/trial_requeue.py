"""Makes the events for trials whose worker failed, ended or was lost. Pure."""

from __future__ import annotations

import math
import time

from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series
from core.contract.wire import worker_api


def make_event_at_step(
    kind: type[e.TrialPaused] | type[e.TrialResumed], study: str, trial: s.Trial
) -> e.TrialPaused | e.TrialResumed:
    """Return a pause or resume event by the engine, for a trial whose worker is still loading the base."""
    return kind(at=time.time(), study=study, trial=trial.number, step=trial.step)


def retry_or_fail(study: s.Study, event: e.TrialFailed, retries: int) -> e.TrialEvent:
    """Return the event for a trial that failed in its worker: requeued from its checkpoint while it has
    retries."""
    trial = study.trials.get(event.trial)
    if not event.again or trial is None or trial.asked == "prune" or study.state == "stopping":
        return event
    return requeue(study, trial, trial.retry + 1, retries, event.error, event.traceback)


def requeue_or_prune(study: s.Study, event: e.TrialRequeued, why: str) -> e.TrialEvent:
    """Return the event for a trial that left its worker to free memory: requeued, or pruned with the reason
    ``why`` if that was requested meanwhile."""
    trial = study.trials.get(event.trial)
    if trial is None or not (trial.asked == "prune" or study.state == "stopping"):
        return event
    return end_trial(study, trial, why)


def requeue(study: s.Study, trial: s.Trial, retry: int, retries: int, why: str, tail: str) -> e.TrialEvent:
    """Requeue a trial from its checkpoint, or fail it after too many retries.

    ``tail`` is its traceback or the end of its worker's log.
    """
    at = time.time()
    if retry > retries:
        error = f"{why}; this was try {retry} of {retries + 1} (resources.retries = {retries})"
        return e.TrialFailed(
            at=at, study=study.name, trial=trial.number, step=trial.step, error=error, traceback=tail
        )
    return e.TrialRequeued(at=at, study=study.name, trial=trial.number, why=why, retry=retry)


def clear_worker(study: s.Study, worker: str) -> tuple[e.Event, ...]:
    """Return events that clear the loading stage and the pack of a worker that has ended."""
    at = time.time()
    return (
        e.Preparing(at=at, study=study.name, worker=worker, stage=""),
        *(
            replace(pack, at=at, trials=0, trial_bytes={})
            for name, pack in study.packs.items()
            if name == worker
        ),
    )


def end_trial(study: s.Study, trial: s.Trial, why: str) -> e.TrialPruned | e.TrialCompleted:
    """End a trial at its present step without asking its worker. A trial that has done all steps and has its
    final values counts as complete, although only its checkpoint holds its adapter."""
    at, values = time.time(), _find_final_values(study, trial)
    if not values:
        return e.TrialPruned(at=at, study=study.name, trial=trial.number, step=trial.step, why=why)
    weights_note = "its checkpoint is kept" if trial.checkpoint else "its weights are lost"
    text = f"all {trial.step} steps done, but its adapter was not saved; {weights_note}: {why}"
    return e.TrialCompleted(
        at=at, study=study.name, trial=trial.number, step=trial.step, values=values, why=text
    )


def _find_final_values(study: s.Study, trial: s.Trial) -> tuple[float, ...]:
    """Return the objectives' values after the last step; empty while steps or values are missing."""
    curves = [trial.series.get(metric, Series()) for metric, _ in study.objectives]
    finished = 0 < trial.total_steps <= trial.step and not trial.editing
    if not finished or any(not curve.steps or curve.steps[-1] < trial.total_steps for curve in curves):
        return ()
    values = tuple(curve.values[-1] for curve in curves)
    return values if all(math.isfinite(value) for value in values) else ()


def end_study_and_requeue(study: s.Study, report: worker_api.Broken) -> list[e.Event]:
    """End the study with the reason and requeue its trials, so that it can continue once that is fixed."""
    at, ends = time.time(), list[e.Event]()
    for trial in study.trials.values():
        if trial.asked == "prune" and trial.state not in s.ENDED:
            ends.append(end_trial(study, trial, report.what))
        elif trial.state in s.ON_WORKER:
            ends.append(
                e.TrialRequeued(
                    at=at, study=study.name, trial=trial.number, why=report.what, retry=trial.retry
                )
            )
    why = f"{report.what} ({report.where}) → {report.fix}"
    return [*ends, e.StudyEnded(at=at, study=study.name, outcome="failed", why=why)]


def end_study_and_fail(
    study: s.Study, reason: str, detail: str, report: worker_api.Broken | None
) -> list[e.Event]:
    """End the study with the reason and fail its unfinished trials."""
    at = time.time()
    location = f" ({report.where})" if report and report.where else ""
    fix = f" → {report.fix}" if report and report.fix else ""
    ends: list[e.Event] = [
        e.TrialFailed(
            at=at, study=study.name, trial=trial.number, step=trial.step, error=reason, traceback=detail
        )
        for trial in study.trials.values()
        if trial.state not in s.ENDED
    ]
    return [*ends, e.StudyEnded(at=at, study=study.name, outcome="failed", why=f"{reason}{location}{fix}")]
