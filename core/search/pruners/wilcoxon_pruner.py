"""The Wilcoxon pruner over validation rows: is a trial worse than the best beside it, row by row?"""

from __future__ import annotations

import json
from typing import Any

from optuna.pruners import BasePruner, WilcoxonPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.search.pruners.median_pruner import peers

P_THRESHOLD = 0.1  # Optuna's default: the chance at which a difference of the rows counts
LEAST_ROWS = 14  # with fewer and ties among them scipy goes through all signs: seconds for each reading


def key(step: int) -> str:
    """Where the losses of the rows at ``step`` are kept, among a trial's system attributes."""
    return f"trimtab:rows:{step}"


def stored(rows: Any) -> str:
    """The rows' losses as text."""
    return json.dumps([float(f"{row:.4g}") for row in rows])


def rows_of(trial: FrozenTrial, step: int) -> list[float]:
    """The losses of the validation rows at ``step``, in the rows' order; empty where there are none."""
    return json.loads(trial.system_attrs.get(key(step), "[]"))


def rival(study: Any, trial: FrozenTrial, least: int) -> FrozenTrial | None:
    """The other trial with the least mean loss over the same rows at ``trial``'s last step; None with fewer
    than ``least`` others."""
    step, count = trial.last_step or 0, len(rows_of(trial, trial.last_step or 0))
    others = [peer for peer in peers(study, trial) if len(rows_of(peer, step)) == count]
    if count < LEAST_ROWS or len(others) < max(1, least):
        return None
    return min(others, key=lambda peer: sum(rows_of(peer, step)))


class RowsPruner(BasePruner):
    """Optuna's rule, whose steps are the validation rows and whose best trial is the best one at this step.

    A row of one trial is compared with the same row of the other (Wilcoxon's signed ranks), so few rows tell
    a small difference from noise. ``n_startup_trials`` counts the trials that have a reading at the step.
    """

    def __init__(self, n_startup_trials: int, n_warmup_steps: int) -> None:
        self._startup, self._warmup = n_startup_trials, n_warmup_steps
        self._rule = WilcoxonPruner(p_threshold=P_THRESHOLD, n_startup_steps=LEAST_ROWS)

    def prune(self, study: Any, trial: FrozenTrial) -> bool:
        """Is ``trial`` worse than the best beside it on the same rows?"""
        step = trial.last_step
        other = None if step is None or step < self._warmup else rival(study, trial, self._startup)
        if other is None or step is None:
            return False
        return self._rule.prune(_Against(_as_steps(other, step)), _as_steps(trial, step))  # type: ignore[arg-type]


class _Against:
    """What Optuna's rule asks a study for: losses are less where they are better."""

    direction = StudyDirection.MINIMIZE

    def __init__(self, best: FrozenTrial) -> None:
        self.best_trial = best


def _as_steps(trial: FrozenTrial, step: int) -> FrozenTrial:
    rows = rows_of(trial, step)
    found = create_trial(
        state=TrialState.COMPLETE, value=sum(rows) / len(rows), intermediate_values=dict(enumerate(rows))
    )
    found.number = trial.number
    return found


def told(study: Any, trial: FrozenTrial, least: int) -> str:
    """The decision with its numbers: whom it was compared with, on how many rows, and how sure that is."""
    from scipy.stats import wilcoxon  # more than half of what a search process would take to start

    step, other = trial.last_step or 0, rival(study, trial, least)
    if other is None:
        return f"worse than another at step {step}"
    pairs = list(zip(rows_of(trial, step), rows_of(other, step), strict=True))
    worse, apart = sum(mine > its for mine, its in pairs), [mine - its for mine, its in pairs]
    chance = wilcoxon(apart, alternative="greater", zero_method="zsplit").pvalue
    mean = sum(apart) / len(apart)
    return (
        f"worse than trial {other.number} on {worse} of {len(pairs)} validation rows at step {step}, by "
        f"{mean:.3g} nats/token on average (p = {chance:.2g})"
    )
