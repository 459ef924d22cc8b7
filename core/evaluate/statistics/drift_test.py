"""Tests whether a metric moved against the base model or its own past, or only by noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL
from core.contract.spec.metric_table import Direction
from core.contract.views.metric_verdict import find_margins
from core.evaluate.statistics.confidence_intervals import (
    Numbers,
    convert_to_arrays,
    explain_too_few,
    mean,
    ratio,
)
from core.evaluate.statistics.interval_formulas import FEWEST, difference_ends

Verdict = Literal["better", "worse", "same", "unsure"]
WINDOW = 5  # earlier scores that a metric is compared with
MOVED = 12  # changes of shares, among others that stayed, from which on their spread can be estimated


@dataclass(frozen=True)
class Drift:
    """A change with its interval and verdict. ``same``: the interval contains 0, so no change is
    shown, or the change is below the smallest that matters;
    ``unsure``: there is no interval."""

    change: Score
    verdict: Verdict


def difference(now: Score, before: Score, tail: float = TAIL) -> Score:
    """Return ``now`` − ``before`` for independent samples, by the method of variance estimates recovery.

    For two Wilson intervals it is Newcombe's hybrid score interval for two proportions (1998); it holds for
    any other two intervals too (Zou and Donner 2008). ``tail`` lies beyond either end. Use ``paired`` for
    base and trial on the same prompts: it detects smaller changes.
    """
    if now.value is None or before.value is None:
        return Score.without_value(
            now.reason or before.reason or "there is no value", min(now.samples, before.samples)
        )
    change, samples = now.value - before.value, min(now.samples, before.samples)
    margin = find_margins(now.widen(tail), before.widen(tail))
    if margin is None:
        return Score(change, None, None, samples, "one of the two scores has no interval")
    return Score(change, change - margin[0], change + margin[1], samples, binomial=now.binomial)


def paired_difference(now: Numbers, before: Numbers, weights: Numbers = ()) -> Score:
    """Return the mean of ``now`` − ``before`` over the same prompts, with ``weights`` per prompt.

    Where both lie from 0 to 1, or are changes of such values, and few of them changed, the interval is that
    of a difference of two shares: it bounds how rare a change may be that the sample does not show.
    """
    columns, fault = convert_to_arrays(now, before)
    if fault:
        return Score.without_value(fault, min(len(now), len(before)))
    changes = columns[0] - columns[1]
    if len(weights):
        return ratio((changes * np.asarray(weights, dtype=float)).tolist(), weights)
    span = max(1.0, float(np.abs(changes).max()))  # up to 2 of a change of changes
    return _score_shares(changes, span) if _few_moved(columns, changes, span) else mean(changes.tolist())


def _few_moved(columns: Sequence[np.ndarray], changes: np.ndarray, span: float) -> bool:
    """Tell whether the values are hits, or too few of the pairs changed to show how the changes spread.

    Hits include changes of hits by at most one. Otherwise the values must be shares or changes of shares.
    """
    if any(column.min() < -1 or column.max() > 1 for column in columns):
        return False
    hits = span == 1 and all(set(np.unique(column)) <= {-1.0, 0.0, 1.0} for column in columns)
    changed = int(np.count_nonzero(changes))
    return hits or changed < min(len(changes), MOVED)


def _score_shares(changes: np.ndarray, span: float) -> Score:
    """Return the score of ``changes`` within ±``span``."""
    value, count = float(changes.mean()), len(changes)
    if count < FEWEST:
        return Score(value, None, None, count, explain_too_few(count))
    more, fewer = np.maximum(changes, 0.0).sum() / span, np.maximum(-changes, 0.0).sum() / span
    low, high = (span * float(end) for end in difference_ends(more, fewer, np.asarray(count)))
    return Score(value, low, high, count, binomial=True)


def judge(change: Score, direction: Direction, effect: float = 0.0) -> Drift:
    """Return the verdict on a change of a metric whose better direction is known.

    A change of less than ``effect`` does not matter, however certain it is.
    """
    ends = change.interval
    if change.value is None or ends is None:
        return Drift(change, "unsure")
    if ends[0] <= 0 <= ends[1] or abs(change.value) < effect:
        return Drift(change, "same")
    return Drift(change, "better" if (change.value > 0) == (direction == "maximize") else "worse")


def compare_with_base(
    now: Score, base: Score, direction: Direction, tail: float = TAIL, effect: float = 0.0
) -> Drift:
    """Compare the trial with the base model."""
    return judge(difference(now, base, tail), direction, effect)


def compare_with_history(
    history: Sequence[Score], direction: Direction, tail: float = TAIL, effect: float = 0.0
) -> Drift:
    """Compare the last score with the pooled few before it."""
    if len(history) < 2:
        return Drift(Score.without_value("there is no history yet", len(history)), "unsure")
    return judge(difference(history[-1], pool(history[-1 - WINDOW : -1]), tail), direction, effect)


def pool(scores: Sequence[Score]) -> Score:
    """Pool several scores of one metric: the mean weighted by samples. They share their prompts, so more of
    them add no certainty: the interval is as wide as theirs on average."""
    usable = [
        score for score in scores if score.value is not None and score.interval is not None and score.samples
    ]
    if not usable:
        reason = next(
            (score.reason for score in scores if score.reason), "no score has a value and an interval"
        )
        return Score.without_value(reason, 0)
    total = sum(score.samples for score in usable)

    def weigh(name: str) -> float:
        result: float = sum(getattr(score, name) * score.samples for score in usable) / total
        return result

    kind = usable[-1].binomial
    return Score(weigh("value"), weigh("low"), weigh("high"), total // len(usable), binomial=kind)
