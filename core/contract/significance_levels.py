"""Significance levels: the chance of a false alarm in a trial's life, shared among its scorings, and the
quantiles.

It works without scipy, whose import would delay the console.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

CONFIDENCE = 0.95  # of every interval
TAIL = (1 - CONFIDENCE) / 2  # beyond either end
FALSE_WARNING = 0.05  # the chance of a false warning of drift in a trial's life, over all its metrics
FALSE_BREACH = (
    0.01  # the chance in a trial's life that a limit which the true value just keeps counts as broken
)
_MANY = 200  # degrees of freedom from which on an expansion about the normal quantile is right to 1e-4


def look_tail(level: float, look: int, shared: int = 1) -> float:
    """Return the share of ``level`` that the ``look``-th look, from 1, may spend if ``shared`` numbers are
    tested.

    1/(k (k + 1)) sums to 1 over all looks: however long the trial, it spends the level once (Bonferroni).
    """
    look = max(1, look)
    return min(TAIL, level / (look * (look + 1) * max(1, shared)))


@lru_cache(maxsize=4096)
def compute_normal_quantile(tail: float) -> float:
    """Return the value that the normal distribution exceeds with the probability ``tail``."""
    return NormalDist().inv_cdf(1 - tail)


@lru_cache(maxsize=4096)
def compute_t_quantile(tail: float, freedom: int) -> float:
    """Return the value that Student's t distribution with ``freedom`` degrees exceeds with the probability
    ``tail``."""
    freedom = max(1, freedom)
    if freedom >= _MANY:
        z = compute_normal_quantile(tail)
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _integrate_upper_tail(angle, freedom) > tail else (low, angle)
    return math.sqrt(freedom) * math.tan(angle)


def _integrate_upper_tail(angle: float, freedom: int) -> float:
    """Return the share of Student's t above √``freedom`` · tan ``angle`` (Abramowitz and Stegun 26.7.3)."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total, square = (term if freedom > 1 else 0.0), math.cos(angle) ** 2
    for place in range(2 + odd, freedom - 1, 2):
        term *= square * (place - 1) / place
        total += term
    inside = math.sin(angle) * total
    return (1 - (2 / math.pi * (angle + inside) if odd else inside)) / 2
