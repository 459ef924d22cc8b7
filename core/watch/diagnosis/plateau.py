"""Plateau: for more than half of the run the evaluation loss has not improved, nor does it rise."""

from __future__ import annotations

from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 8  # evaluations
FLAT = 0.55  # share of the evaluations since the last improvement
GAIN = 0.02  # share of what was gained in all that counts as an improvement
LEARNED = 0.04  # share of the loss that was gained before


def find_plateau(curves: Curves) -> Finding | None:
    """Return since when the evaluation loss stands still."""
    evaluation = curves.evaluation
    values = evaluation.values
    if len(values) < FEWEST:
        return None
    best = min(values)
    gained = max(values[0], curves.train.start if curves.train else 0.0) - best
    if gained < LEARNED * best:
        return None
    room = max(GAIN * gained, evaluation.noise)
    place = next(at for at, value in enumerate(values) if value <= best + room)
    if median(values[-3:]) > best + 3 * room:
        place = _find_level_since(values, room)
    if len(values) - 1 - place < FLAT * len(values):
        return None
    step = evaluation.steps[place]
    sentence = (
        f"no improvement since step {step}: the evaluation loss stays near {values[-1]:.4g} (best {best:.4g})"
    )
    figures = {"step": float(step), "loss": values[-1], "best_loss": best, "gained": gained}
    return Finding("plateau", step, sentence, figures)


def _find_level_since(values: tuple[float, ...], room: float) -> int:
    """Return the first place from which no two values differ by more than ``room``."""
    place = len(values) - 1
    low = high = values[place]
    while place and max(high, values[place - 1]) - min(low, values[place - 1]) <= room:
        place -= 1
        low, high = min(low, values[place]), max(high, values[place])
    return place
