"""A GP sampler that learns from pruned and infeasible trials, accepts constraints that only some trials have,
and stays fast with a long history. Optuna's own does none of these."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from optuna.samplers import GPSampler
from optuna.study import StudyDirection
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState, create_trial

HISTORY = 150  # trials used for the fit, whose time grows with their cube (tests.bench.asks)


class GpSampler(GPSampler):
    """Optuna's GP sampler with additional history.

    A pruned trial counts with its last value, an infeasible one with the worst; neither counts as worse than
    the worst complete trial, which would flatten the rest of the curve. (With several objectives they do not
    count, since they have no intermediate values.) ``known`` is the number of trials at the last proposal. At
    most ``history`` of them are used: half of them the best, the rest the latest.
    """

    history = HISTORY
    known = 0

    def _sample_relative_impl(
        self,
        study: Any,
        completed_trials: list[FrozenTrial],
        running_trials: list[FrozenTrial],
        search_space: dict[str, Any],
    ) -> dict[str, Any]:
        pruned = (
            study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
            if len(study.directions) == 1
            else []
        )
        pruned = [trial for trial in pruned if set(search_space) <= set(trial.params)]
        self.known = len(completed_trials) + len(pruned)
        complete, cut = _select_history(study, completed_trials, pruned, self.history)
        learnable = fill_constraints([*complete, *_cut_short(study, completed_trials, cut)])
        result: dict[str, Any] = super()._sample_relative_impl(study, learnable, running_trials, search_space)
        return result


def _select_history(
    study: Any, complete: list[FrozenTrial], pruned: list[FrozenTrial], most_trials: int
) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Return the complete and the pruned trials to use in the fit, each in their order."""
    if len(complete) + len(pruned) <= most_trials:
        return complete, pruned
    best = {complete[index].number for index in _sort_best_first(study, complete)[: most_trials // 2]}
    left_out = sorted(trial.number for trial in (*complete, *pruned) if trial.number not in best)
    numbers = best.union(left_out[len(best) - most_trials :])
    return (
        [trial for trial in complete if trial.number in numbers],
        [trial for trial in pruned if trial.number in numbers],
    )


def _sort_best_first(study: Any, trials: list[FrozenTrial]) -> Any:
    """Return indices sorted by the sum of the ranks in each objective; trials that violate a constraint come
    last."""
    signs = [1.0 if direction == StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
    ranks = np.argsort(np.argsort(np.array([trial.values for trial in trials]) * signs, axis=0), axis=0)
    violates = [any(value > 0 for value in trial.constraints.values()) for trial in trials]
    return np.lexsort((ranks.sum(axis=1), violates))


def _cut_short(study: Any, complete: list[FrozenTrial], pruned: list[FrozenTrial]) -> list[FrozenTrial]:
    if not pruned:
        return []
    minimize = study.direction == StudyDirection.MINIMIZE
    worst = (max if minimize else min)(trial.value for trial in complete)
    copies = []
    for trial in pruned:
        value = worst if trial.value is None else (min if minimize else max)(worst, trial.value)
        copies.append(_copy_trial(trial, [value], trial.constraints))
    return copies


def fill_constraints(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return ``trials`` with the same constraints in the same order, without which Optuna's fit raises an
    error.

    A missing value is replaced by the median of the known ones, or by 0 (just satisfied) if the median is
    above: that changes the fit least, and adds no violation.
    """
    values_by_name: dict[str, list[float]] = {}
    for trial in trials:
        for name, value in trial.constraints.items():
            values_by_name.setdefault(name, []).append(value)
    if all(len(values) == len(trials) for values in values_by_name.values()) and len(values_by_name) < 2:
        return trials
    usual = {name: min(0.0, statistics.median(values)) for name, values in sorted(values_by_name.items())}
    return [_copy_trial(trial, trial.values, {**usual, **trial.constraints}) for trial in trials]


def _copy_trial(trial: FrozenTrial, values: list[float], constraints: dict[str, float]) -> FrozenTrial:
    return create_trial(
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs={f"{_CONSTRAINTS_KEY}:{name}": value for name, value in constraints.items()},
    )
