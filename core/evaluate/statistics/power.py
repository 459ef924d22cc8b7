"""What a number of samples can show: which limits they can prove, and how small a change they can see. By the
intervals and the looks that are in use."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from core.contract.metric_score import Score
from core.contract.significance_levels import FALSE_WARNING, look_tail
from core.contract.spec.metric_limits import Limit
from core.evaluate.statistics.confidence_intervals import share_interval
from core.evaluate.statistics.interval_formulas import FEWEST, difference_ends

Correct = Callable[[Score], Score]
Best = Callable[[bool, int], Score]  # by the side of a limit and the number of samples
MOST = 1 << 20  # samples: more are never asked for


def best_score(upper: bool, samples: int) -> Score:
    """Return the score of a trial that does a share without fault: no hit of ``samples``, or nothing but
    hits."""
    low, high = share_interval(0 if upper else samples, samples)
    return Score(0.0 if upper else 1.0, low, high, samples, binomial=True)


def no_change(upper: bool, samples: int) -> Score:
    """Return the score of a trial in which no share of ``samples`` changes, on either side of a limit."""
    if samples < FEWEST:
        return Score(0.0, None, None, samples)
    low, high = (float(end[0]) for end in difference_ends(np.zeros(1), np.zeros(1), np.full(1, samples)))
    return Score(0.0, low, high, samples, binomial=True)


def even_area(upper: bool, samples: int) -> Score:
    """Return the score of a trial that no attack tells apart, on an area under a ROC curve; of one that every
    attack does, below a lower limit."""
    value = 0.5 if upper else 1.0
    low, high = share_interval(value * samples, samples)
    return Score(value, low, high, samples, binomial=True)


def count_samples_to_prove(
    limit: Limit, correct: Correct = lambda score: score, best: Best = best_score, most: int = MOST
) -> int | None:
    """Return the fewest samples with which a trial without fault is shown to keep ``limit``; None if ``most``
    are not enough, as for a share of at most 0. ``correct``: the correction for a detector's errors;
    ``best``: the score of such a trial."""

    def proven(samples: int) -> bool:
        return limit.judge(correct(best(limit.upper, samples))) == "ok"

    if not proven(most):
        return None
    too_few, enough = 0, most
    while enough - too_few > 1:
        half = (too_few + enough) // 2
        too_few, enough = (too_few, half) if proven(half) else (half, enough)
    return enough


def find_provable_bound(
    limit: Limit, samples: int, correct: Correct = lambda score: score, best: Best = best_score
) -> float:
    """Return the strictest bound that ``samples`` can prove, to a tenth of a percent on the safe side."""
    ends = correct(best(limit.upper, samples)).interval or (-1.0 if best is no_change else 0.0, 1.0)
    return math.ceil(1000 * ends[1]) / 1000 if limit.upper else math.floor(1000 * ends[0]) / 1000


@cache
def find_visible_change(samples: int, look: int = 1, metrics: int = 1, effect: float = 0.0) -> float | None:
    """Return the smallest fall of a share, as a fraction, of which a trial is warned at its ``look``-th
    scoring, if nothing rises on the same samples and the board has ``metrics``; None if they show none at
    all. It is the smallest rise of a share whose rise is warned of, too."""
    if samples < FEWEST:
        return None
    tail = look_tail(FALSE_WARNING / 2, look, metrics)
    fallen = np.arange(1, samples + 1)
    low, high = difference_ends(np.zeros(samples), fallen, np.full(samples, samples))
    for count, ends in zip(fallen, zip(low, high, strict=True), strict=True):
        change = Score(-count / samples, float(ends[0]), float(ends[1]), samples, binomial=True).widen(tail)
        if change.high is not None and change.high < 0 and count / samples >= effect:
            return float(count) / samples
    return None


def describe_power(
    samples: int, look: int = 1, metrics: int = 1, effect: float = 0.0, worse: str = "fall"
) -> str:
    """Return ``find_visible_change`` in words; ``worse`` is fall or rise."""
    change = find_visible_change(samples, look, metrics, effect)
    if change is None:
        return f"{samples} sample{'s' * (samples != 1)} can see no change"
    return f"can see a {worse} of {math.ceil(100 * change)} points"
