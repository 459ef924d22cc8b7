"""The learning rate is too low: the loss moves steadily and hardly at all."""

from __future__ import annotations

from itertools import pairwise

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 4  # evaluations
DONE = 0.3  # share of the steps before which little is to be expected
LITTLE = 0.08  # share of the loss that was gained
STEADY = 0.7  # share of the evaluations that were no worse than the one before
CLEAR = 0.02  # share from which it is told whether the gain slowed down
STILL = 0.003  # share of the loss by which a model that learns nothing changes


def find_rate_too_low(curves: Curves) -> Finding | None:
    """Return how little was gained, where evaluations get a little better each time, or not at all."""
    values = curves.evaluation.values
    if len(values) < FEWEST or curves.share_done < DONE:
        return None
    first, last = values[0], values[-1]
    gained = (first - last) / first if first > 0 else 0.0
    better = sum(1 for before, after in pairwise(values) if after <= before)
    still = max(values) - min(values) < STILL * first
    if not still and not (0 <= gained < LITTLE and better >= STEADY * (len(values) - 1)):
        return None
    if gained > CLEAR and _is_slowing_early(values):
        return None
    sentence = (
        f"learning rate {curves.peak_rate:.3g} too low: in {curves.step} steps the evaluation loss moved by "
        f"{abs(gained):.1%} only ({first:.4g} to {last:.4g})"
    )
    figures = {"gained": gained, "first_loss": first, "loss": last, "learning_rate": curves.peak_rate}
    return Finding("rate-too-low", curves.evaluation.steps[0], sentence, figures)


def _is_slowing_early(values: tuple[float, ...]) -> bool:
    """Tell whether nearly all was gained in the first third: what could be learned was."""
    third = max(1, len(values) // 3)
    return (values[third] - values[-1]) < 0.2 * (values[0] - values[-1])
