"""Scores with confidence intervals from samples: shares, means, medians, ratios, and by bootstrap any other
statistic. ``interval_methods`` has the methods and what they hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import msgspec
import numpy as np

from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL
from core.evaluate.statistics import interval_formulas
from core.evaluate.statistics.bootstrap import Statistic, interval, t_quantile
from core.evaluate.statistics.interval_formulas import FEWEST, VARIED, Ends

Numbers = Sequence[float]


def explain_too_few(samples: int) -> str:
    """Return why so few samples have no interval."""
    samples_text = "1 sample has" if samples == 1 else f"{samples} samples have"
    return f"{samples_text} no interval: {FEWEST} are the fewest"


def share_interval(hits: float, total: float, tail: float = TAIL) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share: within 0 to 1, never empty, and conservative at every
    size."""
    low, high = interval_formulas.share_ends(np.asarray(hits), np.asarray(total), tail)
    return float(low), float(high)


def convert_to_arrays(*columns: Numbers) -> tuple[list[np.ndarray], str]:
    """Return the columns as float64, and why they are unusable ("" if they are usable)."""
    try:
        arrays = [np.asarray(list(column), dtype=float) for column in columns]
    except (TypeError, ValueError):
        return [], "the samples are not numbers"
    lengths = [len(column) for column in arrays]
    if len(set(lengths)) > 1:
        return [], f"the lists differ in length: {' and '.join(str(length) for length in lengths)}"
    if not lengths or not lengths[0]:
        return [], "there are no samples"
    if any(column.ndim != 1 for column in arrays):
        return [], "the samples are not numbers"
    wrong = sum(int((~np.isfinite(column)).sum()) for column in arrays)
    return arrays, f"{wrong} of {sum(lengths)} values are not finite numbers" if wrong else ""


def rate(hits: Sequence[bool] | Numbers) -> Score:
    """Return the share of hits. A hit is true or false, or half a hit, 0.5."""
    columns, fault = convert_to_arrays(hits)
    if fault:
        return Score.without_value(fault, len(hits))
    (hit_array,) = columns
    if hit_array.min() < 0 or hit_array.max() > 1:
        return Score.without_value("a hit must be a number from 0 to 1", len(hits))
    low, high = share_interval(float(hit_array.sum()), len(hit_array))
    return Score(float(hit_array.mean()), low, high, len(hit_array), binomial=True)


def clustered_rate(hits: Sequence[bool] | Numbers, clusters: Sequence[Hashable]) -> Score:
    """Return the share of hits if those of one cluster depend on each other, such as several answers to one
    prompt.

    The interval is that of as many independent answers as vary as much (Korn and Graubard 1998): no more than
    there are answers, and where all clusters are alike as many as there are clusters.
    """
    columns, fault = convert_to_arrays(hits, [0.0] * len(clusters))
    if fault:
        return Score.without_value(fault, len(hits))
    unclustered = rate(hits)
    names = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    if unclustered.value is None or len(names) == len(hits):
        return unclustered
    places = np.array([names[name] for name in clusters])
    count = count_independent(np.bincount(places, weights=columns[0]), np.bincount(places))
    low, high = share_interval(unclustered.value * count, count)
    return msgspec.structs.replace(unclustered, low=low, high=high)


def count_independent(hits: np.ndarray, counts: np.ndarray) -> float:
    """Return how many independent answers would vary as much as the ``hits`` in clusters of ``counts``
    answers."""
    clusters, share = len(counts), float(hits.sum() / counts.sum())
    if clusters < 2 or not 0 < share < 1:
        return float(clusters)
    squares = float(((hits - share * counts) ** 2).sum()) * clusters / (clusters - 1) / counts.sum() ** 2
    if squares == 0:
        return float(clusters)
    wider = t_quantile(TAIL, len(counts) - 1) / t_quantile(TAIL, int(counts.sum()) - 1)
    return float(min(counts.sum(), max(1.0, share * (1 - share) / squares / wider**2)))


def mean(values: Numbers, within_one: bool = False) -> Score:
    """Return the mean.

    ``within_one``: the values lie from 0 to 1. As long as few of them differ from 0 or 1, the interval is
    that of a share of hits, which vary more than any such values.
    """
    columns, fault = convert_to_arrays(values)
    if fault:
        return Score.without_value(fault, len(values))
    (array,) = columns
    total, count = float(array.sum()), len(array)
    if within_one and (count < FEWEST or min(total, count - total) < VARIED):
        low, high = share_interval(total, count)
        return Score(total / count, low, high, count, binomial=True)
    return _add_interval(float(array.mean()), array, interval_formulas.mean_ends)


def _add_interval(value: float, array: np.ndarray, method: Callable[[np.ndarray], Ends]) -> Score:
    """Return ``value`` with the interval that ``method`` computes from the samples, extended to contain
    it."""
    if not math.isfinite(value):
        return Score.without_value("the value is not a finite number", len(array))
    if len(array) < FEWEST:
        return Score(value, None, None, len(array), explain_too_few(len(array)))
    low, high = (float(end) for end in method(array))
    return Score(value, min(low, value), max(high, value), len(array))


def median(values: Numbers) -> Score:
    """Return the median."""
    columns, fault = convert_to_arrays(values)
    if fault:
        return Score.without_value(fault, len(values))
    (array,) = columns
    return _add_interval(float(np.median(array)), array, interval_formulas.median_ends)


def ratio(tops: Numbers, bottoms: Numbers) -> Score:
    """Return the sum of ``tops`` divided by the sum of ``bottoms``, with one of each per sample: a weighted
    mean. Its error is that of the mean of what each sample adds to it, to first order."""
    columns, fault = convert_to_arrays(tops, bottoms)
    if fault:
        return Score.without_value(fault, min(len(tops), len(bottoms)))
    top, bottom = columns
    if bottom.sum() == 0:
        return Score.without_value("the sum to divide by is 0", len(top))
    value = float(top.sum() / bottom.sum())
    return _add_interval(value, value + (top - value * bottom) / bottom.mean(), interval_formulas.mean_ends)


def bootstrap_score(value: float, samples: int, statistic: Statistic, seed: int = 0) -> Score:
    """Return ``value`` with the bootstrap's interval, extended to contain it."""
    if not math.isfinite(value):
        return Score.without_value("the value is not a finite number", samples)
    ends = interval(samples, statistic, seed)
    if ends is None:
        reason = explain_too_few(samples) if samples < FEWEST else "too few samples vary"
        return Score(value, None, None, samples, reason)
    return Score(value, min(ends[0], value), max(ends[1], value), samples)


def find_largest(scores: Mapping[str, Score]) -> tuple[str, Score]:
    """Return the name and score of the largest value: the worst slice, the widest gap.

    The interval is that of the largest true value, whichever it is: it reaches up to the highest end of all,
    and its low end allows for the selection among all (Bonferroni).
    """
    with_value = {name: score for name, score in scores.items() if score.value is not None}
    if not with_value:
        reasons = "; ".join(dict.fromkeys(score.reason for score in scores.values()))
        return "", Score.without_value(
            reasons or "there are no samples", sum(score.samples for score in scores.values())
        )
    name = max(with_value, key=lambda name: with_value[name].value or 0.0)
    lows = [score.widen(TAIL / len(with_value)).low for score in with_value.values()]
    highs = [score.high for score in with_value.values()]
    low = max((end for end in lows if end is not None), default=None)
    high = max((end for end in highs if end is not None), default=None)
    if with_value[name].interval is None or low is None or high is None:
        return name, with_value[name]
    return name, msgspec.structs.replace(with_value[name], low=low, high=high)


def transform(score: Score, rising: Callable[[float], float]) -> Score:
    """Return ``score`` transformed by a function that rises everywhere, including the interval."""
    try:
        ends = [None if end is None else rising(end) for end in (score.value, score.low, score.high)]
    except OverflowError:
        return Score.without_value("the value is too large for a number", score.samples)
    return msgspec.structs.replace(score, value=ends[0], low=ends[1], high=ends[2])
