"""Under-trained: the run is over and the evaluation loss was still falling."""

from __future__ import annotations

from statistics import mean, median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 4  # evaluations
DONE = 0.95  # share of the steps from which it is told
LAST = 0.34  # share of the run that is looked at
SIGMAS = 3.0
STILL = 0.13  # share of the whole fall that came in it
KEPT_RATE = 0.3  # share of the peak
SMALLEST = 0.01  # share of the loss that fell in it


def find_undertraining(curves: Curves) -> Finding | None:
    """Return how much the last third of the run still brought."""
    evaluation = curves.evaluation
    values = evaluation.values
    if len(values) < FEWEST or curves.share_done < DONE:
        return None
    place = min(len(values) - 2, round(len(values) * (1 - LAST)) - 1)
    before, now = median(values[place - 1 : place + 2]), mean(values[-2:])
    late, whole_fall = before - now, values[0] - values[-1]
    if whole_fall <= 0 or late < max(
        STILL * whole_fall, SMALLEST * values[-1], SIGMAS * evaluation.noise_on_bend
    ):
        return None
    if values[-1] > min(values) or not _is_rate_kept(curves):
        return None
    since, share = evaluation.steps[place], late / whole_fall
    sentence = (
        f"under-trained: the evaluation loss still fell from {values[place]:.4g} at step {since} to "
        f"{values[-1]:.4g} at step {evaluation.steps[-1]}, {share:.0%} of the whole fall"
    )
    return Finding("under-trained", since, sentence, {"late_fall": late, "share": share, "loss": values[-1]})


def _is_rate_kept(curves: Curves) -> bool:
    """Tell whether the rate is still near its peak: under one that fell to zero more steps bring nothing."""
    rates = curves.rate.values
    return not rates or rates[-1] >= KEPT_RATE * max(rates)
