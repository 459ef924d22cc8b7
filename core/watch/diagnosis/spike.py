"""Loss spike: the training or the evaluation loss leapt up and came back."""

from __future__ import annotations

from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curve, Curves

FEWEST = 20  # points of training
AROUND = 8  # of them before a spike that it is compared with
SIGMAS = 5.0
HEIGHT = 0.2  # share of the loss before
WIDTH = 2  # of four points that are up: a single hard batch is no spike
BACK = 1 / 3  # share of the height that may be left
EVALUATIONS = 5  # fewest, of which
BEFORE = 3  # stand before a spike
EVALUATION_SIGMAS = 5.0
NOISY = 0.03  # share of the loss from which evaluations jump by themselves
EVALUATION_HEIGHT = 0.075  # share of the evaluation loss, which has no batch noise

Spike = tuple[float, int, float]  # height, place, loss before


def find_spike(curves: Curves) -> Finding | None:
    """Return the highest spike that the loss came back from, of training or else of the evaluations."""
    for curve_name, curve, spikes in (
        ("", curves.train, _find_training_spikes(curves.train)),
        ("evaluation ", curves.evaluation, _find_evaluation_spikes(curves.evaluation)),
    ):
        if spikes:
            height, at, before = max(spikes)
            step, peak = curve.steps[at], curve.values[at]
            rise = f"went from {before:.3g} to {peak:.3g} and back"
            sentence = f"loss spike at step {step}: the {curve_name}loss {rise}"
            return Finding(
                "spike", step, sentence, {"loss_before": before, "peak_loss": peak, "height": height}
            )
    return None


def _find_training_spikes(train: Curve) -> list[Spike]:
    if len(train) < FEWEST:
        return []
    return [spike for at in range(AROUND, len(train) - AROUND) if (spike := _find_training_spike(train, at))]


def _find_training_spike(train: Curve, at: int) -> Spike | None:
    values = train.values
    before = median(values[at - AROUND : at])
    noise = max(train.noise, Curve(values=values[max(0, at - 2 * AROUND) : at]).noise)
    limit = before + max(SIGMAS * noise, HEIGHT * before)
    if values[at] <= limit or values[at] < max(values[at - 1 : at + 2]):
        return None
    half = before + (limit - before) / 2
    if sum(1 for value in values[at - 1 : at + 3] if value > half) < WIDTH:
        return None
    later = range(at + 1, len(values) - AROUND + 1)
    back = min(median(values[place : place + AROUND]) for place in later)
    return None if back > before + BACK * (values[at] - before) else (values[at] - before, at, before)


def _find_evaluation_spikes(evaluation: Curve) -> list[Spike]:
    if len(evaluation) < EVALUATIONS or evaluation.noise > NOISY * min(evaluation.values):
        return []
    places = range(2, len(evaluation) - 1)
    return [spike for at in places if (spike := _find_evaluation_spike(evaluation, at))]


def _find_evaluation_spike(evaluation: Curve, at: int) -> Spike | None:
    values = evaluation.values
    before = median(values[max(0, at - BEFORE) : at])
    height = values[at] - before
    if height <= max(EVALUATION_SIGMAS * evaluation.noise, EVALUATION_HEIGHT * before):
        return None
    return None if min(values[at + 1 :]) > before + BACK * height else (height, at, before)
