"""The refusal direction: how far a model holds harmful and harmless requests apart within."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.evaluate.statistics.confidence_intervals import mean

FOLDS = 2
INDISTINCT = "the base model does not tell harmful from harmless requests apart in the middle of its layers"


def find_directions(differences: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Return the directions (2, H) that the even and the odd pairs are projected on; None with the reason if
    there are none. ``differences`` (n, H) are the base's states of harmful requests less those of harmless
    ones, pair by pair.

    A direction is the difference of the means (Arditi et al. 2024, arXiv 2406.11717), of the pairs of the
    other fold: what a pair adds to its own direction by chance would count as separation. With one direction,
    half of the pairs would be left to project, and intervals be 1.4 times as wide. The base's mean is 1.
    """
    if len(differences) < FOLDS:
        return None, f"{len(differences)} pairs of requests are too few"
    means = np.stack([differences[1::FOLDS].mean(axis=0), differences[::FOLDS].mean(axis=0)])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        return None, INDISTINCT
    own = means / norms
    score = mean(measure_separations(differences, own))
    if score.value is None or score.low is None:
        return None, score.reason
    return (own / score.value, "") if score.low > 0 else (None, INDISTINCT)


def measure_separations(differences: np.ndarray, own: np.ndarray) -> list[float]:
    """Return how far apart each pair (n, H) is on the base's ``directions`` (2, H), as a fraction of the
    base's mean."""
    along: Sequence[float] = (differences * own[np.arange(len(differences)) % FOLDS]).sum(axis=1).tolist()
    return list(along)
