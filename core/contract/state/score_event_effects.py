"""The effect of scores on a trial: those that arrive while it trains, and those after its training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.metric_table import STRENGTH
from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series, add

BASE = -1
OVER: dict[str, Any] = {
    "scoring": -1, "scoring_done": 0, "scoring_total": 0, "scoring_from": (0, 0.0), "scoring_at": 0.0,
}  # fmt: skip


def may_follow(trial: s.Trial, event: e.TrialEvent) -> bool:
    """Tell whether ``event`` may happen to a trial whose training is done."""
    if isinstance(event, e.TrialPruned):
        return event.limit and trial.state == s.COMPLETE
    return trial.pending and event.while_scoring


def keep_finite(scores: dict[str, Score]) -> dict[str, Score]:
    """Drop the numbers that JSON lacks, so that none reaches a state."""
    return {name: _keep_finite(score) for name, score in scores.items()}


def _keep_finite(score: Score) -> Score:
    numbers = (score.value, score.low, score.high)
    if all(number is None or math.isfinite(number) for number in numbers):
        return score
    return Score.without_value(score.reason or f"the value is {score.value}", score.samples)


def _fold_score(trial: s.Trial, event: e.TrialScored) -> s.Trial:
    """Add the values to the curves; a score without a value keeps its reason."""
    series = dict(trial.series)
    event_scores = keep_finite(event.scores)
    for name, score in event_scores.items():
        if score.value is not None:
            series[name] = add(series.get(name, Series()), event.step, score.value)
    latest = {name: value for name, value in trial.latest.items() if name not in event.scores}
    scores = {**trial.scores, **event_scores}
    earlier = {name: change for name, change in trial.changes.items() if name not in event_scores}
    scoring_over = event.last or (not trial.pending and event.step >= trial.scoring)
    trial = clear_scoring(trial) if scoring_over else trial
    return replace(
        trial, series=series, latest={**latest, **event.metrics}, scores=scores,
        changes=earlier | keep_finite(event.changes), scored_step=max(trial.scored_step, event.step),
        values=event.values or trial.values,
    )  # fmt: skip


def clear_scoring(trial: s.Trial) -> s.Trial:
    """Return the trial with no scoring under way."""
    return replace(trial, **OVER)


def _fold_scoring(trial: s.Trial, event: e.TrialScoring) -> s.Trial:
    """Return the trial with the progress of its scoring; a complete trial still waits for its last step."""
    step = trial.scoring if trial.pending else event.step
    goes_on = trial.scoring_at and (step, event.total) == (trial.scoring, trial.scoring_total)
    first = trial.scoring_from if goes_on else (event.done, event.at)
    return replace(
        trial, scoring=step, scoring_done=event.done, scoring_total=event.total, scoring_from=first,
        scoring_at=event.at,
    )  # fmt: skip


def _fold_scoring_end(trial: s.Trial, event: e.ScoringEnded) -> s.Trial:
    return replace(clear_scoring(trial), why=trial.why or event.why)


def _fold_assignment(trial: s.Trial, event: e.ScoringAssigned) -> s.Trial:
    return replace(trial, worker=event.worker, device=event.device, scoring_done=0)


STEPS: dict[type, Callable[[s.Trial, Any], s.Trial]] = {
    e.TrialScored: _fold_score,
    e.TrialScoring: _fold_scoring,
    e.ScoringAssigned: _fold_assignment,
    e.ScoringEnded: _fold_scoring_end,
}


def rate_trial(trial: s.Trial, score: Score) -> s.Trial:
    """Return the trial with its strength in blind comparisons."""
    score = _keep_finite(score)
    value = {} if score.value is None else {STRENGTH: score.value}
    return replace(trial, scores={**trial.scores, STRENGTH: score}, latest={**trial.latest, **value})


def add_rating(study: s.Study, event: e.RatingGiven) -> s.Study:
    """Return the study with one more rating, and with the base's strength where the base was compared."""
    rating = s.Rating(event.left, event.right, event.choice, event.drawn)
    base = {STRENGTH: event.strengths[BASE]} if BASE in event.strengths else {}
    return replace(
        study,
        base_scores={**study.base_scores, **keep_finite(base)},
        ratings=(*study.ratings[1 - s.RATINGS :], rating),
        left_share=_keep_finite(event.left_share) if event.left_share is not None else None,
    )
