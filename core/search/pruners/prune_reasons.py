"""Explains why a pruner stopped a trial, with the numbers it compared."""

from __future__ import annotations

import statistics
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from core.contract.spec.study_spec import StudySpec
from core.search.pruners.median_pruner import list_peers
from core.search.pruners.pruner_choice import HALVING_FACTOR, HYPERBAND_FACTOR, PERCENTILE, find_patience
from core.search.pruners.wilcoxon_pruner import explain


def explain_prune(spec: StudySpec, study: Any, trial: FrozenTrial) -> str:
    """Return the reason in one line, such as "median pruner: eval/loss 2.31 is worse than the median 2.05 of
    6 trials at step 100, 4 of them running". ``trial`` includes the value that led to the decision."""
    match spec.study.pruner:
        case "median":
            return f"median pruner: {_explain_below(spec, study, trial, 50.0)}"
        case "percentile":
            return f"percentile pruner: {_explain_below(spec, study, trial, PERCENTILE)}"
        case "halving":
            return f"halving pruner: {_explain_rung(spec, study, trial, HALVING_FACTOR)}"
        case "hyperband":
            return f"hyperband pruner: {_explain_rung(spec, study, trial, HYPERBAND_FACTOR)}"
        case "wilcoxon":
            return f"wilcoxon pruner: {explain(study, trial, spec.study.startup_trials)}"
        case "patient":
            prefix = f"no improvement for {find_patience(spec) + 1} evaluations, and "
            return f"patient pruner: {prefix}{_explain_below(spec, study, trial, 50.0)}"
        case "threshold":
            return f"threshold pruner: {_explain_outside(spec, trial)}"
    return f"{spec.study.pruner} pruner"


def _explain_outside(spec: StudySpec, trial: FrozenTrial) -> str:
    step, bounds = trial.last_step or 0, spec.study.threshold
    value = trial.intermediate_values[step]
    text = f"{spec.study.objectives[0].metric} {value:.4g} at step {step}"
    if value != value:
        return f"{text} is not a number"
    if bounds.upper is not None and value > bounds.upper:
        return f"{text} is above the threshold {bounds.upper:g}"
    return f"{text} is below the threshold {bounds.lower:g}"


def _find_reading(spec: StudySpec, trial: FrozenTrial) -> tuple[str, int, float]:
    """Return (text, step, value) of the value that Optuna compares with the percentile: the best so far."""
    objective, step = spec.study.objectives[0], trial.last_step or 0
    numbers = [value for value in trial.intermediate_values.values() if value == value]
    best = (min if objective.direction == "minimize" else max)(numbers, default=float("nan"))
    earlier = numbers and best != trial.intermediate_values[step]
    return f"{objective.metric} {best:.4g}{' (best so far)' if earlier else ''}", step, best


def _explain_below(spec: StudySpec, study: Any, trial: FrozenTrial, percentile: float) -> str:
    text, step, best = _find_reading(spec, trial)
    if best != best:
        return f"{text} at step {step} is not a number"
    peer_values = [(peer.intermediate_values[step], peer.state) for peer in list_peers(study, trial)]
    peer_values = [(value, state) for value, state in peer_values if value == value]
    border = _find_percentile(
        [value for value, _ in peer_values], percentile, spec.study.objectives[0].direction
    )
    noun = "median" if percentile == 50.0 else f"best {percentile:.0f}% (border"
    closing = "" if percentile == 50.0 else ")"
    running = sum(state == TrialState.RUNNING for _, state in peer_values)
    message = (
        f"{text} is worse than the {noun} {border:.4g}{closing} of {len(peer_values)} trials at step {step}"
    )
    return message + (f", {running} of them running" if running else "")


def _find_percentile(values: list[float], percentile: float, direction: str) -> float:
    if percentile == 50.0 or len(values) == 1:
        return statistics.median(values)
    cuts = statistics.quantiles(values, n=100, method="inclusive")  # cuts[i] is the (i+1)-th percentile
    return cuts[round(percentile if direction == "minimize" else 100.0 - percentile) - 1]


def _explain_rung(spec: StudySpec, study: Any, trial: FrozenTrial, factor: int) -> str:
    """Return the reason of a rung-based pruner; Optuna stores rung values in a trial's system attributes."""
    step = trial.last_step or 0
    metric = spec.study.objectives[0].metric
    rung = max(
        (_read_number(key) for key in trial.system_attrs if key.startswith("completed_rung_")), default=0
    )
    key = f"completed_rung_{rung}"
    on_rung = sum(1 for past_trial in study.get_trials(deepcopy=False) if key in past_trial.system_attrs)
    value = trial.intermediate_values[step]
    return (
        f"{metric} {value:.4g} at step {step} is not in the best 1/{factor} of rung {rung} ({on_rung} trials)"
    )


def _read_number(key: str) -> int:
    return int(key.removeprefix("completed_rung_"))
