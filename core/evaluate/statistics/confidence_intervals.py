"""Scores with confidence intervals from samples: Wilson's for rates; the bootstrap's for means, medians and
ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from core.contract.metric_score import CONFIDENCE, Score
from core.evaluate.statistics.bootstrap import Statistic, interval

Numbers = Sequence[float]
ONE_SAMPLE = "one sample has no interval"


def wilson(hits: float, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of a rate (Wilson 1927): always within 0 to 1, and never empty at either end."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, square = hits / total, z * z / total
    middle = (rate + square / 2) / (1 + square)
    half = z * math.sqrt(rate * (1 - rate) / total + square / (4 * total)) / (1 + square)
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    return low, 1.0 if hits == total else min(1.0, middle + half)


def numbers(*columns: Numbers) -> tuple[list[np.ndarray], str]:
    """The columns as float64, and why they are unusable ("" if they are usable)."""
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
    """The share of hits. A hit is true or false, or half a hit, 0.5."""
    columns, fault = numbers(hits)
    if fault:
        return Score.unsaid(fault, len(hits))
    (hit_array,) = columns
    if hit_array.min() < 0 or hit_array.max() > 1:
        return Score.unsaid("a hit must be a number from 0 to 1", len(hits))
    low, high = wilson(float(hit_array.sum()), len(hit_array))
    return Score(float(hit_array.mean()), low, high, len(hit_array))


def clustered_rate(hits: Sequence[bool] | Numbers, clusters: Sequence[Hashable]) -> Score:
    """The share of hits if those of one cluster depend on each other, such as several answers to one prompt.

    Clusters are resampled; if all are equal, Wilson's interval for their number is used.
    """
    columns, fault = numbers(hits, [0.0] * len(clusters))
    if fault:
        return Score.unsaid(fault, len(hits))
    whole = rate(hits)
    names = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    if whole.value is None or len(names) == len(hits):
        return whole
    places = np.array([names[name] for name in clusters])
    hit_counts, counts = np.bincount(places, weights=columns[0]), np.bincount(places)
    score = ratio(hit_counts.tolist(), counts.tolist())
    if score.low is None or score.low == score.high:
        score = msgspec.structs.replace(
            score, **_ends(wilson(whole.value * len(names), len(names))), reason=""
        )
    return msgspec.structs.replace(score, samples=len(hits))


def _ends(ends: tuple[float, float]) -> dict[str, float]:
    return {"low": ends[0], "high": ends[1]}


def mean(values: Numbers, seed: int = 0, within_one: bool = False) -> Score:
    """The mean. ``within_one``: the values lie from 0 to 1; if all are equal, the bootstrap sees no spread
    and Wilson's interval is used, since such values vary no more than hits do."""
    columns, fault = numbers(values)
    if fault:
        return Score.unsaid(fault, len(values))
    (array,) = columns
    score = bootstrap_score(float(array.mean()), len(array), lambda draw: array[draw].mean(axis=1), seed)
    if within_one and (score.low is None or score.low == score.high):
        low, high = wilson(float(array.sum()), len(array))
        return Score(score.value, low, high, len(array))
    return score


def median(values: Numbers, seed: int = 0) -> Score:
    """The median."""
    columns, fault = numbers(values)
    if fault:
        return Score.unsaid(fault, len(values))
    (array,) = columns
    return bootstrap_score(
        float(np.median(array)), len(array), lambda draw: np.median(array[draw], axis=1), seed
    )


def ratio(tops: Numbers, bottoms: Numbers, seed: int = 0) -> Score:
    """The sum of ``tops`` divided by the sum of ``bottoms``, with one of each per sample: a weighted mean."""
    columns, fault = numbers(tops, bottoms)
    if fault:
        return Score.unsaid(fault, min(len(tops), len(bottoms)))
    top, bottom = columns
    if bottom.sum() == 0:
        return Score.unsaid("the sum to divide by is 0", len(top))

    def statistic(draw: np.ndarray) -> np.ndarray:
        below = bottom[draw].sum(axis=1)
        result: np.ndarray = np.divide(
            top[draw].sum(axis=1), below, out=np.full(len(draw), np.nan), where=below != 0
        )
        return result

    return bootstrap_score(float(top.sum() / bottom.sum()), len(top), statistic, seed)


def bootstrap_score(value: float, samples: int, statistic: Statistic, seed: int = 0) -> Score:
    """``value`` with the bootstrap's interval, extended to contain it."""
    if not math.isfinite(value):
        return Score.unsaid("the value is not a finite number", samples)
    ends = interval(samples, statistic, seed)
    if ends is None:
        return Score(value, None, None, samples, ONE_SAMPLE if samples == 1 else "too few samples vary")
    return Score(value, min(ends[0], value), max(ends[1], value), samples)


def largest(scores: Mapping[str, Score]) -> tuple[str, Score]:
    """The name and score of the largest value: the strongest attack, the worst slice, the widest gap. The
    interval ignores that the largest was selected."""
    known = {name: score for name, score in scores.items() if score.value is not None}
    if not known:
        reasons = "; ".join(dict.fromkeys(score.reason for score in scores.values()))
        return "", Score.unsaid(
            reasons or "there are no samples", sum(score.samples for score in scores.values())
        )
    name = max(known, key=lambda name: known[name].value or 0.0)
    return name, known[name]


def transform(score: Score, rising: Callable[[float], float]) -> Score:
    """``score`` transformed by a function that rises everywhere, including the interval."""
    try:
        ends = [None if end is None else rising(end) for end in (score.value, score.low, score.high)]
    except OverflowError:
        return Score.unsaid("the value is too large for a number", score.samples)
    return msgspec.structs.replace(score, value=ends[0], low=ends[1], high=ends[2])
