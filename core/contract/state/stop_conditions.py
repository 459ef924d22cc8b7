"""When a study ends early: its budgets, and a search that no longer improves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.contract.spec.study_spec import StopOptions
from core.contract.state import engine_state as s
from core.contract.state.best_and_counts import count_ended, is_better
from core.contract.state.unrated_trials import is_unrated

HOUR_S = 3600.0


@dataclass(frozen=True)
class Stop:
    """Why a study ends.

    ``at_once``: running trials are ended too, since they would use more of an exhausted budget; otherwise no
    new ones start, and the running ones may still improve the result.
    """

    why: str
    at_once: bool


def find_due(study: s.Study, after: StopOptions, now: float) -> Stop | None:
    """Return the condition that ends ``study`` at ``now`` (Unix seconds); None while it may continue.

    ``hours`` count from the study's creation, including pauses; ``trials`` are those that have ended, in any
    state.
    """
    hours, used = (now - study.created_at) / HOUR_S, count_gpu_hours(study, now)
    if after.hours is not None and hours >= after.hours:
        return Stop(f"{hours:.3g} hours have passed (stop_after.hours = {after.hours:g})", True)
    if after.gpu_hours is not None and used >= after.gpu_hours:
        return Stop(f"{used:.3g} GPU-hours are used (stop_after.gpu_hours = {after.gpu_hours:g})", True)
    if after.trials is not None and count_ended(study) >= after.trials:
        return Stop(f"{count_ended(study)} trials have ended (stop_after.trials = {after.trials})", False)
    if after.no_improvement is None:
        return None
    best, trials_since = find_latest_best(study)
    if best is None or trials_since < after.no_improvement:
        return None
    why = (
        f"{_explain_nothing_better(study, best, trials_since)} (stop_after.no_improvement = "
        f"{after.no_improvement})"
    )
    return Stop(why, False)


def find_latest_best(study: s.Study) -> tuple[s.Trial | None, int]:
    """Return the latest trial that was better than all before it, and the number of trials that ended after
    it.

    Complete and pruned trials count, in the order in which they ended, unless they wait for ratings. With
    several objectives a trial is better if it joins the Pareto front: no earlier one equals or beats it in
    all of them.
    """
    ended = [trial for trial in study.trials.values() if trial.state in (s.COMPLETE, s.PRUNED)]
    ended = [trial for trial in ended if not is_unrated(study, trial)]
    ended.sort(key=lambda trial: (trial.ended_at or 0.0, trial.number))
    best, trials_since = None, 0
    front: list[s.Trial] = []
    for trial in ended:
        if _is_in_front(study, trial, front):
            front = [*(member for member in front if _is_in_front(study, member, [trial])), trial]
            best, trials_since = trial, 0
        else:
            trials_since += 1
    return best, trials_since


def _is_in_front(study: s.Study, trial: s.Trial, front: list[s.Trial]) -> bool:
    """Tell whether ``trial`` is better than each of ``front`` in some objective."""
    if len(trial.values) != len(study.objectives) or any(value != value for value in trial.values):
        return False
    directions = [direction for _, direction in study.objectives]
    return all(any(map(is_better, directions, trial.values, front_trial.values)) for front_trial in front)


def _explain_nothing_better(study: s.Study, best: s.Trial, trials_since: int) -> str:
    if len(study.objectives) > 1:
        return f"{trials_since} trials in a row brought nothing to the Pareto front since trial {best.number}"
    metric, _ = study.objectives[0]
    record = f"{metric} {best.values[0]:.4g} of trial {best.number}"
    return f"{trials_since} trials in a row were not better than {record}"


def count_gpu_hours(study: s.Study, now: float) -> float:
    """Return the GPU hours that the trials used; trials that share a device count once.

    The state has no log of which trial was on a device when. The result is the time in which the device had a
    trial, including pauses, or the sum of its trials' training times, whichever is less: exact for trials one
    after another except for loading, and for packs that were never paused.
    """
    total_s = 0.0
    for device in {trial.device for trial in study.trials.values()} - {"", "cpu"}:
        trials = [trial for trial in study.trials.values() if trial.device == device]
        started = [(trial.started_at, trial.ended_at) for trial in trials if trial.started_at is not None]
        spans = [(begin, now if end is None else end) for begin, end in started]
        total_s += min(_measure_union(spans), sum(trial.elapsed_s for trial in trials))
    return total_s / HOUR_S


def _measure_union(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of ``spans``."""
    total, covered_until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, covered_until))
        covered_until = max(covered_until, end)
    return total
