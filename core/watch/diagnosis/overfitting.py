"""Overfitting: the evaluation loss rises since its best while the training loss goes on falling."""

from __future__ import annotations

from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 4  # evaluations
AFTER = 2  # of them after the best
RISE = 0.02  # share of the best
SIGMAS = 2.0  # of one evaluation, by which the median of the last three is above the best


def find_overfitting(curves: Curves) -> Finding | None:
    """Return the best step, and how far the evaluation loss is above it now."""
    evaluation, train = curves.evaluation, curves.train
    if len(evaluation) < FEWEST or not train:
        return None
    place = min(range(len(evaluation)), key=evaluation.values.__getitem__)
    best, after = evaluation.values[place], evaluation.values[place + 1 :]
    if len(after) < AFTER:
        return None
    now, best_step = median(after[-3:]), evaluation.steps[place]
    if now - best <= max(RISE * best, SIGMAS * evaluation.noise):
        return None
    fell = train.find_level(best_step) - train.levels[-1] if train.levels else 0.0
    if fell <= 2 * train.level_noise:
        return None
    since = next(
        step for step, value in zip(evaluation.steps[place + 1 :], after, strict=True) if value > best
    )
    sentence = (
        f"overfitting since step {since}: the evaluation loss was best at step {best_step} ({best:.4g}) and "
        f"is {now:.4g} now, while the training loss fell by {fell:.3g}"
    )
    figures = {"best_step": float(best_step), "best_loss": best, "loss": now, "training_fall": fell}
    return Finding("overfitting", since, sentence, figures)
