"""Membership inference: whether an outsider can tell which rows a model was trained on."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, numbers, share_interval

SHARE = 0.2  # of the least likely tokens, as in the papers


def by_loss(logprobs: Sequence[Numbers]) -> list[float]:
    """Each row's mean log-probability, which is higher for members (Yeom et al. 2018). nats/token.

    Here and below, a row that cannot be scored, because it is empty or its columns differ in length, is NaN,
    and the metric says so.
    """
    return [float(np.mean(row)) if len(row) else math.nan for row in logprobs]


def by_zlib(logprobs: Sequence[Numbers], texts: Sequence[str]) -> list[float]:
    """The same divided by the compressed bytes of the text, so that simple text does not look known (Carlini
    et al. 2021)."""
    if len(logprobs) != len(texts):
        return [math.nan] * len(logprobs)
    sizes = [len(zlib.compress(text.encode(errors="replace"))) for text in texts]
    return [score / size for score, size in zip(by_loss(logprobs), sizes, strict=True)]


def by_min_k(
    logprobs: Sequence[Numbers],
    means: Sequence[Numbers] = (),
    deviations: Sequence[Numbers] = (),
    share: float = SHARE,
) -> list[float]:
    """The mean over a row's least likely tokens: Min-K% (Shi et al. 2024).

    With ``means`` and ``deviations``, the mean and standard deviation of the next token's log-probability
    under the model's own distribution at each position, it is Min-K%++ (Zhang et al. 2025): each token counts
    by its distance from the mean in standard deviations.
    """
    if not means:
        return [_lowest(np.asarray(row, dtype=float), share) for row in logprobs]
    if not len(logprobs) == len(means) == len(deviations):
        return [math.nan] * len(logprobs)
    rows = zip(logprobs, means, deviations, strict=True)
    return [_lowest(_standard(row, middle, spread), share) for row, middle, spread in rows]


def _standard(row: Numbers, middle: Numbers, spread: Numbers) -> np.ndarray:
    """Standardized values. Where the model is certain of one token, the deviation and the distance are 0."""
    if not len(row) == len(middle) == len(spread):
        return np.full(len(row), math.nan)
    distance, width = np.subtract(row, middle, dtype=float), np.asarray(spread, dtype=float)
    result: np.ndarray = np.divide(distance, width, out=np.zeros_like(distance), where=width != 0)
    return result


def _lowest(values: np.ndarray, share: float) -> float:
    if not len(values):
        return math.nan
    count = max(1, int(len(values) * share))
    return float(np.partition(values, count - 1)[:count].mean())


def membership(members: Numbers, others: Numbers) -> Score:
    """The probability that a member scores higher than another row: the area under the ROC curve (Hanley and
    McNeil 1982), where a tie counts half. Fraction, lower is better; 0.5 reveals nothing. It varies no more
    than a share of as many hits as there are rows in the smaller list (Birnbaum and Klose 1957)."""
    (inside, fault), (outside, other_fault) = numbers(members), numbers(others)
    if fault or other_fault:
        wrong = f"members: {fault}" if fault else f"others: {other_fault}"
        return Score.unsaid(wrong, len(members) + len(others))
    levels, places = np.unique(np.concatenate([inside[0], outside[0]]), return_inverse=True)
    above, below = places[: len(members)], places[len(members) :]
    value, pairs = float(area(above[None], below[None], len(levels))[0]), min(len(members), len(others))
    low, high = share_interval(value * pairs, pairs)
    return Score(value, low, high, len(members) + len(others), binomial=True)


def area(above: np.ndarray, below: np.ndarray, levels: int) -> np.ndarray:
    """The areas (b,) of b pairs of samples, given as indices (b, n) and (b, m) into the sorted ``levels``."""
    more, fewer = _counts(above, levels), _counts(below, levels)
    under = np.cumsum(fewer, axis=1) - fewer / 2
    result: np.ndarray = (more * under).sum(axis=1) / (above.shape[1] * below.shape[1])
    return result


def _counts(places: np.ndarray, levels: int) -> np.ndarray:
    rows = np.arange(len(places), dtype=np.int64)[:, None] * levels
    return np.bincount((rows + places).ravel(), minlength=len(places) * levels).reshape(-1, levels)
