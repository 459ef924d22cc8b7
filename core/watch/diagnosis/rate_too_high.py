"""The learning rate is too high: from the start the loss rises, instead of falling."""

from __future__ import annotations

import math
from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 12  # points
SIGMAS = 3.0
SIGMAS_AGREED = 2.0  # where an evaluation is as high
BURST = 4  # points
AT_ONCE = 0.2  # share of the steps
BURST_SIGMAS = 3.5
FALLEN = 0.2  # the same of the training loss at the end
BEATEN = 0.1  # share of the first loss by which an evaluation must be below it to count as learned
PEAK = 0.12  # share of the first loss by which it rises
EARLY = 0.5  # share of the steps in which a peak counts as the rate's
RISEN = 0.05  # share of the first evaluation loss
EVALUATIONS = 6  # fewest for a verdict by them alone


def find_rate_too_high(curves: Curves) -> Finding | None:
    """Return how far the loss rose before anything was learned, by training or else by the evaluations."""
    if len(curves.train) < FEWEST:
        return None
    rise = _find_training_rise(curves) or _find_training_burst(curves) or _find_evaluation_rise(curves)
    if rise is None:
        return None
    curve_name, start, peak, now, step = rise
    sentence = (
        f"learning rate {curves.peak_rate:.3g} too high: the {curve_name} rose from {start:.3g} to {peak:.3g}"
    )
    sentence += f" by step {step}" + (f" and is {now:.3g} now" if now > start else "")
    figures = {"first_loss": start, "peak_loss": peak, "loss": now, "learning_rate": curves.peak_rate}
    return Finding("rate-too-high", step, sentence, figures)


Rise = tuple[
    str, float, float, float, int
]  # which loss, at first, at its peak, now, and the step of the peak


def _find_training_rise(curves: Curves) -> Rise | None:
    """A peak in the first half with nothing learned before it."""
    train = curves.train
    start, levels = train.start, train.levels
    margin = train.start_noise * (SIGMAS_AGREED if _is_evaluation_agreeing(curves) else SIGMAS)
    early = levels[: max(1, round(len(levels) * EARLY))]
    place = max(range(len(early)), key=early.__getitem__)
    peak, step = early[place], train.find_level_step(place)
    if peak <= start + max(margin, PEAK * start) or min(levels[: place + 1]) <= start - margin:
        return None
    return None if _had_learned(curves, step) else ("loss", start, peak, levels[-1], step)


def _find_training_burst(curves: Curves) -> Rise | None:
    """A few steps in the first fifth far above the start, which no evaluation is clearly below."""
    train = curves.train
    early = range(max(1, round(len(train) * AT_ONCE)))
    first = min(train.start, train.values[0])  # without warm-up the second step is spoilt
    bursts = [median(train.values[at : at + BURST]) for at in early]
    peak = max(bursts)
    high = peak > first + max(PEAK * first, BURST_SIGMAS * train.noise)
    learned = min(curves.evaluation.values, default=math.inf) < first * (1 - BEATEN)
    if not high or learned or train.levels[-1] < first * (1 - FALLEN):
        return None
    return "loss", first, peak, train.levels[-1], train.steps[bursts.index(peak) + BURST // 2]


def _find_evaluation_rise(curves: Curves) -> Rise | None:
    """All late evaluations are above the first, none was better, and training did not fall either."""
    values, steps, train = curves.evaluation.values, curves.evaluation.steps, curves.train
    if len(values) < EVALUATIONS or train.start - train.levels[-1] > train.start_noise:
        return None
    first, late = values[0], values[len(values) // 2 :]
    learned = min(values) < first * (1 - RISEN) - 2 * curves.evaluation.noise
    if learned or min(late) <= first or median(late) <= first * (1 + RISEN):
        return None
    peak = max(values)
    return "evaluation loss", first, peak, values[-1], steps[values.index(peak)]


def _is_evaluation_agreeing(curves: Curves) -> bool:
    """Tell whether an early evaluation, too, is above the first training loss, or none got below it."""
    values, start = curves.evaluation.values, curves.train.start
    early = values[: max(1, round(len(values) * EARLY))]
    return bool(values) and (max(early) > start * (1 + PEAK) or min(values) > start)


def _had_learned(curves: Curves, step: int) -> bool:
    """Tell whether the evaluation had improved before ``step``: then it is not the start that failed."""
    points = zip(curves.evaluation.steps, curves.evaluation.values, strict=True)
    before = [value for at, value in points if at < step]
    return len(before) > 1 and min(before) < before[0] * (1 - RISEN)
