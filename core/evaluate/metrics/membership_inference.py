"""Membership inference: whether an outsider can tell which rows a model was trained on."""

from __future__ import annotations

import math

import numpy as np

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, numbers, rate, share_interval

FALSE_POSITIVES = 0.01  # of the rate at which true positives are counted (Carlini et al. 2022)


def gains(losses: Numbers, base_losses: Numbers) -> list[float]:
    """Return each row's attack score: by how much the fine-tune makes it likelier than the base does, in
    nats/token.

    The base is a reference model that costs nothing here: what is likely in general is likely to both (the
    log-ratio attack; Carlini et al. 2022, Mattern et al. 2023). Both hold each row's loss in nats/token.
    """
    return [before - now for now, before in zip(losses, base_losses, strict=True)]


def membership(members: Numbers, others: Numbers) -> Score:
    """Return the probability that a member scores higher than another row: the area under the ROC curve
    (Hanley and McNeil 1982), where a tie counts half. Fraction, lower is better; 0.5 reveals nothing. It
    varies no more than a share of as many hits as there are rows in the smaller list (Birnbaum and Klose
    1957)."""
    (inside, fault), (outside, other_fault) = numbers(members), numbers(others)
    if fault or other_fault:
        wrong = f"members: {fault}" if fault else f"others: {other_fault}"
        return Score.unsaid(wrong, len(members) + len(others))
    levels, places = np.unique(np.concatenate([inside[0], outside[0]]), return_inverse=True)
    above, below = places[: len(members)], places[len(members) :]
    value, pairs = float(area(above[None], below[None], len(levels))[0]), min(len(members), len(others))
    low, high = share_interval(value * pairs, pairs)
    return Score(value, low, high, len(members) + len(others), binomial=True)


def true_positives(members: Numbers, others: Numbers, allowed: float = FALSE_POSITIVES) -> Score:
    """Return the share of members that the attack finds while it takes at most a share ``allowed`` of other
    rows for members (Carlini et al. 2022). Fraction, lower is better; ``allowed`` reveals nothing.

    With fewer than 1/``allowed`` other rows, none of them may be taken for a member.
    """
    (inside, fault), (outside, other_fault) = numbers(members), numbers(others)
    if fault or other_fault:
        wrong = f"members: {fault}" if fault else f"others: {other_fault}"
        return Score.unsaid(wrong, len(members) + len(others))
    most_false = int(allowed * len(others))
    threshold = np.sort(outside[0])[::-1][most_false] if most_false < len(others) else -math.inf
    score = rate((inside[0] > threshold).tolist())
    if len(others) * allowed >= 1:
        return score
    return score.add_note(f"{len(others)} other rows show no false positive rate below {1 / len(others):.0%}")


def area(above: np.ndarray, below: np.ndarray, levels: int) -> np.ndarray:
    """Return the areas (b,) of b pairs of samples, given as indices (b, n) and (b, m) into the sorted
    ``levels``."""
    more, fewer = _counts(above, levels), _counts(below, levels)
    under = np.cumsum(fewer, axis=1) - fewer / 2
    result: np.ndarray = (more * under).sum(axis=1) / (above.shape[1] * below.shape[1])
    return result


def _counts(places: np.ndarray, levels: int) -> np.ndarray:
    rows = np.arange(len(places), dtype=np.int64)[:, None] * levels
    return np.bincount((rows + places).ravel(), minlength=len(places) * levels).reshape(-1, levels)
