"""A Wilcoxon pruner over validation rows: it compares a trial with the best other trial, row by row."""

from __future__ import annotations

import json
from typing import Any

from optuna.pruners import BasePruner, WilcoxonPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.search.pruners.median_pruner import list_peers

P_THRESHOLD = 0.1  # Optuna's default: the p-value below which a difference counts
LEAST_ROWS = 14  # with fewer rows and ties scipy enumerates all signs, which takes seconds per value


def make_key(step: int) -> str:
    """Return the system attribute with the losses of the rows at ``step``."""
    return f"trimtab:rows:{step}"


def encode_losses(rows: Any) -> str:
    """Return the rows' losses as JSON text."""
    return json.dumps([float(f"{row:.4g}") for row in rows])


def read_rows(trial: FrozenTrial, step: int) -> list[float]:
    """Return the losses of the validation rows at ``step``, in the rows' order; empty if there are none."""
    result: list[float] = json.loads(trial.system_attrs.get(make_key(step), "[]"))
    return result


def find_rival(study: Any, trial: FrozenTrial, least: int) -> FrozenTrial | None:
    """Return the other trial with the lowest mean loss over the same rows at ``trial``'s last step; None with
    fewer than ``least`` others."""
    step, count = trial.last_step or 0, len(read_rows(trial, trial.last_step or 0))
    rivals = [peer for peer in list_peers(study, trial) if len(read_rows(peer, step)) == count]
    if count < LEAST_ROWS or len(rivals) < max(1, least):
        return None
    return min(rivals, key=lambda peer: sum(read_rows(peer, step)))


class RowsPruner(BasePruner):
    """Optuna's WilcoxonPruner with validation rows as its steps and the best trial at this step as its best.

    Each row's loss is compared with the other trial's loss on the same row (Wilcoxon's signed ranks), so few
    rows distinguish a small difference from noise. ``n_startup_trials`` counts the trials that have a value
    at the step.
    """

    def __init__(self, n_startup_trials: int, n_warmup_steps: int) -> None:
        self._startup, self._warmup = n_startup_trials, n_warmup_steps
        self._rule = WilcoxonPruner(p_threshold=P_THRESHOLD, n_startup_steps=LEAST_ROWS)

    def prune(self, study: Any, trial: FrozenTrial) -> bool:
        """Tell whether ``trial`` is significantly worse than the best other trial on the same rows."""
        step = trial.last_step
        best_rival = None if step is None or step < self._warmup else find_rival(study, trial, self._startup)
        if best_rival is None or step is None:
            return False
        result: bool = self._rule.prune(
            _Against(_convert_to_steps(best_rival, step)), _convert_to_steps(trial, step)
        )
        return result


class _Against:
    """The part of a study that Optuna's rule uses; lower losses are better."""

    direction = StudyDirection.MINIMIZE

    def __init__(self, best: FrozenTrial) -> None:
        self.best_trial = best


def _convert_to_steps(trial: FrozenTrial, step: int) -> FrozenTrial:
    rows = read_rows(trial, step)
    copied = create_trial(
        state=TrialState.COMPLETE, value=sum(rows) / len(rows), intermediate_values=dict(enumerate(rows))
    )
    copied.number = trial.number
    return copied


def explain(study: Any, trial: FrozenTrial, least: int) -> str:
    """Return the decision with its numbers: the other trial, the number of rows, and the p-value."""
    from scipy.stats import wilcoxon  # the import would take more than half of a search process's start

    step, best_rival = trial.last_step or 0, find_rival(study, trial, least)
    if best_rival is None:
        return f"worse than another at step {step}"
    pairs = list(zip(read_rows(trial, step), read_rows(best_rival, step), strict=True))
    worse, apart = (
        sum(value > best_value for value, best_value in pairs),
        [value - best_value for value, best_value in pairs],
    )
    chance = wilcoxon(apart, alternative="greater", zero_method="zsplit").pvalue
    mean = sum(apart) / len(apart)
    return (
        f"worse than trial {best_rival.number} on {worse} of {len(pairs)} validation rows at step {step}, by "
        f"{mean:.3g} nats/token on average (p = {chance:.2g})"
    )
