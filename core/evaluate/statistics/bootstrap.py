"""The bootstrap: a confidence interval for any statistic, from the samples alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from core.contract.significance_levels import CONFIDENCE
from core.evaluate.statistics.interval_formulas import FEWEST

RESAMPLES = 1000
BLOCK = 1 << 20  # indices drawn at once: 8 MiB

Statistic = Callable[[np.ndarray], np.ndarray]  # indices (b, n) -> values (b,)


def interval(samples: int, statistic: Statistic, seed: int = 0) -> tuple[float, float] | None:
    """Return the percentile interval (Efron 1979) of ``statistic`` over ``samples`` items; None with fewer
    than FEWEST, or if most resamples give no finite value.

    With few samples the plain percentile interval is too narrow, so the percentiles are moved outwards by the
    ratio of Student's t to the normal distribution (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap").
    """
    if samples < FEWEST:
        return None
    resampled = _resample(samples, statistic, seed)
    resampled = resampled[np.isfinite(resampled)]
    if 2 * len(resampled) < RESAMPLES:
        return None
    tail = compute_outer_tail(samples)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def _resample(samples: int, statistic: Statistic, seed: int) -> np.ndarray:
    random = np.random.default_rng([seed, samples])
    rows = max(1, min(RESAMPLES, BLOCK // samples))
    values = []
    for begin in range(0, RESAMPLES, rows):
        shape = (min(rows, RESAMPLES - begin), samples)
        values.append(statistic(random.integers(0, samples, shape, dtype=np.int32)))
    return np.concatenate(values)


def t_quantile(tail: float, freedom: int) -> float:
    """Return the value above which ``tail`` of Student's t distribution with ``freedom`` degrees lies."""
    from scipy.special import stdtrit  # takes a third of a second to import

    return -float(stdtrit(max(1, freedom), tail))


@cache
def compute_outer_tail(samples: int, confidence: float = CONFIDENCE) -> float:
    """Return the share of resamples beyond each end of the interval: 0.025 for many samples, less for few."""
    from scipy.special import ndtr

    quantile = t_quantile((1 - confidence) / 2, samples - 1)
    return float(ndtr(-math.sqrt(samples / (samples - 1)) * quantile))
