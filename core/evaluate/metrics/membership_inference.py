"""Membership inference: whether an outsider can tell which rows a model was trained on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL
from core.evaluate.statistics.confidence_intervals import Numbers, convert_to_arrays, share_interval

FALSE_POSITIVES = 0.01  # of the rate at which true positives are counted (Carlini et al. 2022)


def compute_gains(losses: Numbers, base_losses: Numbers) -> list[float]:
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
    (inside, fault), (outside, other_fault) = convert_to_arrays(members), convert_to_arrays(others)
    if fault or other_fault:
        wrong = f"members: {fault}" if fault else f"others: {other_fault}"
        return Score.without_value(wrong, len(members) + len(others))
    levels, places = np.unique(np.concatenate([inside[0], outside[0]]), return_inverse=True)
    above, below = places[: len(members)], places[len(members) :]
    value, pairs = (
        float(compute_areas(above[None], below[None], len(levels))[0]),
        min(len(members), len(others)),
    )
    low, high = share_interval(value * pairs, pairs)
    return Score(value, low, high, len(members) + len(others), binomial=True)


def true_positives(members: Numbers, others: Numbers, allowed: float = FALSE_POSITIVES) -> Score:
    """Return the share of members that the attack finds while it takes at most a share ``allowed`` of other
    rows for members (Carlini et al. 2022). Fraction, lower is better; ``allowed`` reveals nothing.

    With fewer than 1/``allowed`` other rows, none of them may be taken for a member.
    """
    (inside, fault), (outside, other_fault) = convert_to_arrays(members), convert_to_arrays(others)
    if fault or other_fault:
        wrong = f"members: {fault}" if fault else f"others: {other_fault}"
        return Score.without_value(wrong, len(members) + len(others))
    thresholds = np.sort(outside[0])[::-1]
    return _score_found(
        lambda rank: int((inside[0] > thresholds[rank - 1]).sum()), len(members), len(others), allowed
    )


def even_true_positives(upper: bool, samples: int) -> Score:
    """Return ``true_positives`` of a trial that reveals nothing, whose members lie evenly among as many other
    rows; of one that reveals all, below a lower limit."""
    return _score_found(lambda rank: rank - 1 if upper else samples, samples, samples, FALSE_POSITIVES)


def _score_found(above: Callable[[int], int], members: int, others: int, allowed: float) -> Score:
    """Return the share of ``members`` above the threshold, by how many are ``above`` the other row of a rank,
    from 1 for the highest.

    The threshold is a sample's, so the interval allows for its error, too. High end: a row that is at or
    below the true threshold in all but a few cases, whatever the distribution. Low end: more than ``allowed``
    of all other rows may lie above the threshold, and a higher one finds fewer members: as many as if both
    scores were normal, and those of members spread no less, since some rows are learnt better than others.
    """
    from scipy.special import bdtrc, ndtr, ndtri  # takes a third of a second to import

    taken = int(allowed * others)
    hits, tail = above(taken + 1), TAIL / 2  # one half of it for the threshold, one for the members
    most_taken = share_interval(taken, others, tail)[1]
    higher = min(0.0, float(ndtri(allowed) - ndtri(most_taken)))  # standard deviations
    low = float(ndtr(ndtri(share_interval(hits, members, tail)[0]) + higher))
    rank = next(
        (rank for rank in range(taken + 1, others + 1) if bdtrc(rank - 1, others, allowed) <= tail), 0
    )
    high = share_interval(above(rank), members, tail)[1] if rank else 1.0
    note = f"{taken} of {others} other rows are above the threshold, so up to {most_taken:.1%} of all may be"
    return Score(hits / members, low, max(high, hits / members), members, note, binomial=True)


def compute_areas(above: np.ndarray, below: np.ndarray, levels: int) -> np.ndarray:
    """Return the areas (b,) of b pairs of samples, given as indices (b, n) and (b, m) into the sorted
    ``levels``."""
    more, fewer = _count_places(above, levels), _count_places(below, levels)
    under = np.cumsum(fewer, axis=1) - fewer / 2
    result: np.ndarray = (more * under).sum(axis=1) / (above.shape[1] * below.shape[1])
    return result


def _count_places(places: np.ndarray, levels: int) -> np.ndarray:
    rows = np.arange(len(places), dtype=np.int64)[:, None] * levels
    return np.bincount((rows + places).ravel(), minlength=len(places) * levels).reshape(-1, levels)
