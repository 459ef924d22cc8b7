"""Has a metric moved, against the base model or its own past, or is it noise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from msgspec.structs import replace

from core.contract.board_score import CONFIDENCE, Score
from core.contract.spec.metric_table import Direction
from core.contract.views.metric_verdict import margins
from core.evaluate.statistics.confidence_intervals import Numbers, mean, numbers, rate, ratio
from core.evaluate.statistics.student_t import quantile

Verdict = Literal["better", "worse", "same", "unsure"]
WINDOW = 5  # readings of its past that a metric is compared with


@dataclass(frozen=True)
class Drift:
    """A change with its interval, and what it means. ``same``: the interval holds 0, so nothing is shown;
    ``unsure``: there is no interval."""

    change: Score
    verdict: Verdict


def difference(now: Score, before: Score, looks: int = 1) -> Score:
    """``now`` − ``before`` for independent samples, by the method of variance estimates recovery: for two
    Wilson intervals it is Newcombe's hybrid score interval for two proportions (1998), and it holds for any
    other two intervals (Zou and Donner 2008).

    Who looks at many metrics, or often, meets one of twenty by chance: ``looks`` widens the interval as
    Bonferroni asks. Base and trial on the same prompts are compared by ``paired``, which sees smaller
    changes.
    """
    if now.value is None or before.value is None:
        return Score.unsaid(
            now.reason or before.reason or "there is no value", min(now.samples, before.samples)
        )
    change, samples = now.value - before.value, min(now.samples, before.samples)
    margin = margins(now, before)
    if margin is None:
        return Score(change, None, None, samples, "one of the two has no interval")
    low, high = (_wider(looks) * one for one in margin)
    return Score(change, change - low, change + high, samples)


def _wider(looks: int) -> float:
    normal = NormalDist()
    quantiles = [normal.inv_cdf(1 - (1 - CONFIDENCE) / 2 / count) for count in (max(1, looks), 1)]
    return quantiles[0] / quantiles[1]


def widened(change: Score, looks: int) -> Score:
    """A paired change as one that is looked at ``looks`` times (Bonferroni). Far out, few samples have longer
    tails than the normal distribution: Student's t says how much longer."""
    if change.value is None or change.interval is None or looks <= 1:
        return change
    tail = (1 - CONFIDENCE) / 2
    factor = quantile(tail / looks, change.samples - 1) / quantile(tail, change.samples - 1)
    low, high = (change.value + factor * (end - change.value) for end in change.interval)
    return replace(change, low=low, high=high)


def paired(now: Numbers, before: Numbers, seed: int = 0, weights: Numbers = ()) -> Score:
    """The mean of ``now`` − ``before`` over the same prompts, by the paired bootstrap (Koehn 2004;
    Berg-Kirkpatrick et al. 2012). When all differ by the same, as when nothing changed, Wilson's interval on
    the number of pairs says how rare a change may still be. ``weights``: what each prompt counts."""
    columns, fault = numbers(now, before)
    if fault:
        return Score.unsaid(fault, min(len(now), len(before)))
    changes = columns[0] - columns[1]
    if len(weights):
        return ratio((changes * np.asarray(weights, dtype=float)).tolist(), weights, seed)
    score = mean(changes.tolist(), seed)
    if score.value is None or score.low is None:
        return score
    if score.low == score.high and set(np.unique(columns)) <= {0.0, 1.0}:
        unseen = rate([0.0] * len(changes)).high or 0.0
        return Score(
            score.value, max(-1.0, score.value - unseen), min(1.0, score.value + unseen), score.samples
        )
    return score


def judged(change: Score, direction: Direction) -> Drift:
    """What a change means for a metric whose better direction is known."""
    ends = change.interval
    if change.value is None or ends is None:
        return Drift(change, "unsure")
    if ends[0] <= 0 <= ends[1]:
        return Drift(change, "same")
    return Drift(change, "better" if (change.value > 0) == (direction == "maximize") else "worse")


def against(now: Score, base: Score, direction: Direction, looks: int = 1) -> Drift:
    """Is the trial better or worse than the base model?"""
    return judged(difference(now, base, looks), direction)


def against_history(history: Sequence[Score], direction: Direction, looks: int = 1) -> Drift:
    """Is the last reading better or worse than the few before it, taken together?"""
    if len(history) < 2:
        return Drift(Score.unsaid("there is no history yet", len(history)), "unsure")
    return judged(difference(history[-1], pooled(history[-1 - WINDOW : -1]), looks), direction)


def pooled(scores: Sequence[Score]) -> Score:
    """Several readings of one metric as one: the mean, weighted by samples. The readings share their prompts,
    so more of them make it no surer: its interval is as wide as theirs are on average."""
    known = [one for one in scores if one.value is not None and one.interval is not None and one.samples]
    if not known:
        reason = next((one.reason for one in scores if one.reason), "no reading has a value and an interval")
        return Score.unsaid(reason, 0)
    total = sum(one.samples for one in known)

    def weighted(name: str) -> float:
        return sum(getattr(one, name) * one.samples for one in known) / total

    return Score(weighted("value"), weighted("low"), weighted("high"), total // len(known))
