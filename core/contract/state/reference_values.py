"""Values that objectives have to beat: the base model's, and a reference such as an earlier model's."""

from __future__ import annotations

import math
from typing import Any

from core.contract.metric_score import Score
from core.contract.spec.metric_table import BOARDS
from core.contract.state import engine_state as s
from core.contract.state import unrated_trials
from core.contract.state.best_and_counts import find_front, is_better

# The boards' metric that gives an objective's value of the base, over the sampled validation rows.
ON_BOARDS = {"eval/loss": "quality/loss", "eval/perplexity": "quality/loss"}
LARGEST = 700.0  # nats: the exponential still fits a float


def find_base_score(study: s.Study, metric: str) -> Score | None:
    """Return the base model's score of the objective ``metric``; None if no board has it, or not yet."""
    score = study.base_scores.get(ON_BOARDS.get(metric, metric))
    if score is None or score.value is None or not math.isfinite(score.value):
        return None
    if metric == "eval/perplexity":
        return Score(math.exp(min(LARGEST, score.value)), samples=score.samples)
    return score


def find_base_value(study: s.Study, metric: str) -> float | None:
    """Return the base model's score as a number."""
    score = find_base_score(study, metric)
    return score.value if score is not None else None


def list_base_values(study: s.Study) -> dict[str, Any]:
    """Return the base's value of each objective that has one, for JSON."""
    values = {metric: find_base_value(study, metric) for metric, _ in study.objectives}
    return {metric: value for metric, value in values.items() if value is not None}


def list_waiting(study: s.Study) -> list[str]:
    """Return the objectives that complete trials still wait for: the boards score them after training."""
    if not any(trial.pending and not trial.values for trial in study.trials.values()):
        return []
    return [metric for metric, _ in study.objectives if metric.split("/")[0] in BOARDS]


def explain_no_best(study: s.Study) -> str:
    """Return why there is no best trial."""
    trials = study.trials.values()
    if any(trial.pending and not trial.values for trial in trials):
        return (
            f"no complete trial has its score of {' and '.join(list_waiting(study)) or 'the objectives'} yet"
        )
    if wait := unrated_trials.describe_wait(study):
        return f"no complete trial is rated enough yet; {wait}"
    if any(trial.state == s.COMPLETE and not trial.values for trial in trials):
        return "no complete trial has a value of " + " and ".join(metric for metric, _ in study.objectives)
    return "no trial is complete"


def list_references(study: s.Study) -> list[float | None]:
    """Return the reference of each objective, None where the file has none."""
    return [objective.reference for objective in study.settings.study.objectives]


def format_results(study: s.Study, trial: s.Trial) -> list[str]:
    """Return a trial's results compared with the references, such as "eval/loss 1.93 beats 2.1 by 8.1 %"."""
    results = []
    for (metric, direction), value, bound in zip(
        study.objectives, trial.values, list_references(study), strict=False
    ):
        if bound is None:
            continue
        apart = f" by {abs(value - bound) / abs(bound):.1%}" if bound else f" by {abs(value - bound):.4g}"
        verb = (
            "beats"
            if is_better(direction, value, bound)
            else "only equals"
            if value == bound
            else "falls short of"
        )
        results.append(f"{metric} {value:.4g} {verb} {bound:.4g}{apart if value != bound else ''}")
    return results


def compute_hypervolume(study: s.Study) -> float | None:
    """Return the area that the front of two objectives dominates within their references, in the product of
    their units (Zitzler & Thiele 1998); None without two references."""
    bounds = list_references(study)
    if len(bounds) != 2 or None in bounds:
        return None
    signs = [1.0 if direction == "minimize" else -1.0 for _, direction in study.objectives]
    right, top = (sign * bound for sign, bound in zip(signs, bounds, strict=True) if bound is not None)
    points = sorted((signs[0] * trial.values[0], signs[1] * trial.values[1]) for trial in find_front(study))
    area = 0.0
    for across, up in points:
        if across < right and up < top:
            area += (right - across) * (top - up)
            top = up
    return area
