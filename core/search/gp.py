"""The GP sampler, made to learn from pruned and infeasible trials: Optuna's own looks at complete ones
alone, and proposes a point that was pruned again and again."""

from __future__ import annotations

from typing import Any

from optuna.samplers import GPSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial


class GpSampler(GPSampler):
    """A pruned trial counts with its last value, an infeasible one with the worst; neither as worse than
    the worst complete trial, which would flatten the rest of the curve."""

    def _sample_relative_impl(
        self,
        study: Any,
        completed_trials: list[FrozenTrial],
        running_trials: list[FrozenTrial],
        search_space: dict[str, Any],
    ) -> dict[str, Any]:
        known = [*completed_trials, *_cut_short(study, completed_trials, search_space)]
        return super()._sample_relative_impl(study, known, running_trials, search_space)


def _cut_short(study: Any, complete: list[FrozenTrial], space: dict[str, Any]) -> list[FrozenTrial]:
    if len(study.directions) > 1:
        return []  # nothing was reported on the way
    minimize = study.direction == StudyDirection.MINIMIZE
    worst = (max if minimize else min)(trial.value for trial in complete)
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)):
        if set(space) <= set(trial.params):
            value = worst if trial.value is None else (min if minimize else max)(worst, trial.value)
            found.append(create_trial(value=value, params=trial.params, distributions=trial.distributions))
    return found
