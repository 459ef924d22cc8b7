"""Divergence: the training loss had fallen, rose again, and stays up."""

from __future__ import annotations

from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 20  # points
SIGMAS = 3.0  # standard errors that a rise must exceed where the evaluation agrees
SIGMAS_ALONE = 5.0  # without an evaluation: the lowest of many levels is low by chance
LEARNED_SIGMAS = 2.0
SMALLEST = 0.07  # share of the best loss
AGREES = 0.03  # share of the best evaluation loss
CLEAR = 3.0  # times the noise of the evaluation


def find_divergence(curves: Curves) -> Finding | None:
    """Return since when the loss is above its best, where that is more than noise and stays."""
    train = curves.train
    if len(train) < FEWEST:
        return None
    levels = train.levels
    place = min(range(len(levels)), key=levels.__getitem__)
    best, now, noise, best_step = levels[place], levels[-1], train.level_noise, train.find_level_step(place)
    agrees = _has_evaluation_risen(curves, best_step)
    margin = noise * (SIGMAS if agrees else SIGMAS_ALONE)
    learned = train.start - best > LEARNED_SIGMAS * noise
    if not learned or agrees is False or now - best <= max(margin, SMALLEST * best):
        return None
    turn = next(at for at in range(place, len(levels)) if levels[at] > (best + now) / 2)
    since = train.find_level_step(turn)
    sentence = (
        f"training diverged at about step {since}: the loss is {now:.3g}, it had been {best:.3g} "
        f"at step {best_step}"
    )
    return Finding(
        "divergence", since, sentence, {"loss": now, "best_loss": best, "best_step": float(best_step)}
    )


def _has_evaluation_risen(curves: Curves, step: int) -> bool | None:
    """Tell whether the evaluation agrees: its loss is above its best of before ``step``. None: it cannot."""
    points = zip(curves.evaluation.steps, curves.evaluation.values, strict=True)
    before = [value for at, value in points if at <= step]
    if not before or curves.evaluation.steps[-1] <= step:
        return None
    least, noise = min(before), curves.evaluation.noise
    if median(curves.evaluation.values[-3:]) > least + max(AGREES * least, CLEAR * noise):
        return True
    return None if noise > AGREES * least else curves.evaluation.values[-1] > least * (1 + AGREES)
