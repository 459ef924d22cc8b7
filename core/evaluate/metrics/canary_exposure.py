"""Measures how well a model remembers planted secrets: Carlini's exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, convert_to_arrays, mean

By = Literal["distribution", "sample"]
UNEXPOSED_BITS = 1 / math.log(2)  # 1.44: the mean exposure of a secret that was never seen
STEPS, REACH = 4000, 12.0  # of the tail's integral: points, and standard deviations below the canary
MOST_SKEW = 0.99  # the most that a skew-normal distribution can have


def compute_exposure_by_rank(rank: int, secrets: float) -> float:
    """log2 |R| − log2 rank: the bits by which the model shortens the search for the ``rank``-th likeliest of
    ``secrets`` (Carlini et al. 2019, definition 5)."""
    return math.log2(secrets) - math.log2(rank)


def compute_exposure_by_sample(canary: float, others: Numbers) -> float:
    """Return the exposure from a sample of other secrets: −log2 of the share at least as likely as the
    canary, which counts itself, so at most log2(n + 1) bits. Losses in nats."""
    losses = np.asarray(others, dtype=float)
    return -math.log2((1 + int((losses <= canary).sum())) / (1 + len(losses)))


def compute_exposure_by_distribution(canary: float, others: Numbers, secrets: float) -> float:
    """Return the exposure from a skew-normal distribution fitted to the others' losses: −log2 of the mass
    below the canary's loss (Carlini et al. 2019, section 4.3), at most log2 ``secrets``. Fitted by moments
    (Azzalini 1985)."""
    from scipy.special import log_ndtr

    place, width, slant = _fit_skew_normal(np.asarray(others, dtype=float))
    top = (canary - place) / width
    z = np.linspace(min(top, -1.0) - REACH, top, STEPS)
    log_density = math.log(2) - z**2 / 2 - math.log(2 * math.pi) / 2 + log_ndtr(slant * z)
    largest = log_density.max()
    mass = np.trapezoid(np.exp(log_density - largest), z)
    bits = -(math.log(mass) + largest) / math.log(2) if mass > 0 else math.inf
    return min(max(0.0, bits), math.log2(secrets))


def _fit_skew_normal(values: np.ndarray) -> tuple[float, float, float]:
    """Return location, width and slant of the skew-normal distribution with the first three moments of
    ``values``."""
    middle, spread = float(values.mean()), float(values.std(ddof=1))
    skew = float(((values - middle) ** 3).mean() / values.std() ** 3)
    skew = max(-MOST_SKEW, min(MOST_SKEW, skew))
    part = abs(skew) ** (2 / 3)
    delta = math.copysign(math.sqrt(math.pi / 2 * part / (part + ((4 - math.pi) / 2) ** (2 / 3))), skew)
    width = spread / math.sqrt(1 - 2 * delta**2 / math.pi)
    return middle - width * delta * math.sqrt(2 / math.pi), width, delta / math.sqrt(1 - delta**2)


def exposure(
    canaries: Numbers, others: Sequence[Numbers], secrets: Sequence[float], by: By = "distribution"
) -> Score:
    """Return the mean exposure of planted canaries. Bits, lower is better; about 1.4 for a secret never seen.

    ``canaries`` holds each canary's loss, summed over its secret's tokens in nats; ``others`` for each canary
    the losses of other secrets in the same format; ``secrets`` the number of secrets that the format allows.
    """
    fault = _find_fault(canaries, others, secrets)
    if fault:
        return Score.without_value(fault, len(canaries))
    if by == "sample":
        return mean(
            [
                compute_exposure_by_sample(canary, other_losses)
                for canary, other_losses in zip(canaries, others, strict=True)
            ]
        )
    rows = zip(canaries, others, secrets, strict=True)
    return mean(
        [
            compute_exposure_by_distribution(canary, other_losses, count)
            for canary, other_losses, count in rows
        ]
    )


def _find_fault(canaries: Numbers, others: Sequence[Numbers], secrets: Sequence[float]) -> str:
    if not len(canaries) == len(others) == len(secrets):
        return f"the lists differ in length: {len(canaries)}, {len(others)} and {len(secrets)}"
    if not len(canaries):
        return "there are no canaries; plant some, or leave this metric out"
    if min(secrets) < 2:
        return "a canary format must allow two secrets or more"
    for number, other_losses in enumerate(others, 1):
        columns, fault = convert_to_arrays(other_losses)
        if not fault and (len(other_losses) < 3 or np.ptp(columns[0]) == 0):
            fault = "there are fewer than 3 other secrets, or all have the same loss"
        if fault:
            return f"canary {number}: {fault}"
    return convert_to_arrays(canaries)[1]
