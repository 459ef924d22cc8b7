"""Noisy evaluation: from one evaluation to the next the loss jumps by more than trials differ."""

from __future__ import annotations

from itertools import pairwise

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 7  # evaluations
JUMPS = 0.015  # share of the loss
GAIN = 0.13  # share of what was learned in all
REVERSALS = 0.4  # share of the evaluations at which it turns


def find_noisy_evaluation(curves: Curves) -> Finding | None:
    """Return how far the evaluation loss jumps up and down."""
    evaluation = curves.evaluation
    values = evaluation.values
    if len(values) < FEWEST:
        return None
    level, jump = sorted(values)[len(values) // 2], evaluation.noise
    gaps = [after - before for before, after in pairwise(values)]
    turns = sum(1 for before, after in pairwise(gaps) if before * after < 0)
    share = turns / (len(gaps) - 1)
    gained = max(values[0], curves.train.start if curves.train else 0.0) - min(values)
    if level <= 0 or jump < max(JUMPS * level, GAIN * gained) or share < REVERSALS:
        return None
    sentence = (
        f"noisy evaluation: the loss jumps by ±{jump:.2g} ({jump / level:.1%}) each time, and "
        f"{max(gained, 0):.2g} was gained in all: smaller differences between trials mean nothing"
    )
    return Finding(
        "noisy-evaluation", evaluation.steps[0], sentence, {"jump": jump, "loss": level, "turns": share}
    )
