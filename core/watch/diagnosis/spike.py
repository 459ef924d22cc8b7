"""Loss spike: the training loss leapt up and came back."""

from __future__ import annotations

from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curve, Curves

FEWEST = 20  # points
AROUND = 8  # points before a spike that it is compared with
SIGMAS = 5.0
HEIGHT = 0.2  # share of the loss before
WIDTH = 2  # of three points in a row that are up: a single hard batch is no spike


def find_spike(curves: Curves) -> Finding | None:
    """Return the highest spike after the warm-up that the loss came back from."""
    train = curves.train
    if len(train) < FEWEST:
        return None
    found = [spike for at in range(AROUND, len(train) - AROUND) if (spike := _spike(train, at))]
    if not found:
        return None
    height, at, before = max(found)
    step, peak = train.steps[at], train.values[at]
    others = sum(1 for _, place, _ in found if abs(place - at) > AROUND)
    sentence = f"loss spike at step {step}: from {before:.3g} to {peak:.3g}, and back"
    if others:
        sentence += ", not only there"
    return Finding("spike", step, sentence, {"loss_before": before, "peak_loss": peak, "height": height})


def _spike(train: Curve, at: int) -> tuple[float, int, float] | None:
    """(height, place, loss before) of a spike at ``at``; None where there is none."""
    values = train.values
    before = median(values[at - AROUND : at])
    limit = before + max(SIGMAS * train.noise, HEIGHT * before)
    if values[at] <= limit or values[at] < max(values[at - 1 : at + 2]):
        return None
    near = values[at - 1 : at + 3]
    if sum(1 for value in near if value > before + (limit - before) / 2) < WIDTH:
        return None
    back = min(median(values[place : place + AROUND]) for place in range(at + 1, len(values) - AROUND + 1))
    if back > before + (values[at] - before) / 3:
        return None
    return values[at] - before, at, before
