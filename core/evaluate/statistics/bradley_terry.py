"""Strengths from paired comparisons on one scale (Bradley and Terry 1952)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL, compute_normal_quantile

SPREAD = 1.5  # of the normal prior of strengths, log odds: one win is not infinite strength
MOST_STEPS = 50
CLOSE = 1e-10
LONGEST_STEP = 2.0  # log odds: a longer Newton step overshoots

Comparison = tuple[int, int, float]  # two competitors, and the share of the win of the first: 1, 0 or ½


def fit_strengths(comparisons: Sequence[Comparison]) -> dict[int, Score]:
    """Return the strength of each competitor in log odds, 0 on average: e to the difference of two is the
    odds that the first wins. A tie counts as half a win of each.

    The maximum of the posterior under a normal prior of SPREAD, with the interval of its Laplace
    approximation.
    """
    names = sorted({name for first, second, _ in comparisons for name in (first, second)})
    if not names:
        return {}
    place = {name: at for at, name in enumerate(names)}
    first = np.array([place[name] for name, _, _ in comparisons])
    second = np.array([place[name] for _, name, _ in comparisons])
    won = np.array([share for *_, share in comparisons])
    theta, covariance = _fit(len(names), first, second, won)
    half = compute_normal_quantile(TAIL) * np.sqrt(np.diag(covariance).clip(min=0.0))
    counts = np.bincount(np.concatenate([first, second]), minlength=len(names))
    return {
        name: Score(float(value), float(value - width), float(value + width), int(count))
        for name, value, width, count in zip(names, theta, half, counts, strict=True)
    }


def _fit(count: int, first: np.ndarray, second: np.ndarray, won: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strengths (count,) around their mean, and their covariance (count, count), by Newton's
    method."""
    theta = np.zeros(count)
    for _ in range(MOST_STEPS):
        gradient, hessian = _differentiate(theta, first, second, won)
        step = np.linalg.solve(hessian, gradient)
        longest = float(np.abs(step).max())
        theta += step * min(1.0, LONGEST_STEP / max(CLOSE, longest))
        if longest < CLOSE:
            break
    _, hessian = _differentiate(theta, first, second, won)
    centre = np.eye(count) - 1.0 / count
    return theta - theta.mean(), centre @ np.linalg.inv(hessian) @ centre


def _differentiate(
    theta: np.ndarray, first: np.ndarray, second: np.ndarray, won: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient and the negative Hessian of the log posterior."""
    wins = 1.0 / (1.0 + np.exp(theta[second] - theta[first]))
    gradient, hessian = -theta / SPREAD**2, np.eye(len(theta)) / SPREAD**2
    np.add.at(gradient, first, won - wins)
    np.add.at(gradient, second, wins - won)
    weight = wins * (1.0 - wins)
    for row, column, sign in (
        (first, first, 1),
        (second, second, 1),
        (first, second, -1),
        (second, first, -1),
    ):
        np.add.at(hessian, (row, column), sign * weight)
    return gradient, hessian
