"""Corrects a rate for the errors of the detector that counted it, as measured on a planted set."""

from __future__ import annotations

import math

import msgspec

from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL, compute_normal_quantile
from core.evaluate.statistics.confidence_intervals import share_interval

SURE = 10**9  # texts that leave no uncertainty
LEAST = 0.15  # of sensitivity + specificity − 1: a detector below tells next to nothing


def correct_score(
    score: Score, sensitivity: float, specificity: float, positives: int, negatives: int
) -> Score:
    """Return the rate that a detector without errors would count (Rogan and Gladen 1978), within 0 to 1.

    ``sensitivity`` is the share of ``positives`` planted hits that the detector finds, ``specificity`` that
    of ``negatives`` others which it passes. The interval allows for the uncertainty of all three shares (Lang
    and Reiczigel 2014). No value for a detector that does no better than chance; the raw rate is noted.
    """
    if score.value is None:
        return score
    if positives < 1 or negatives < 1 or sensitivity + specificity - 1 < LEAST:
        message = f"the detector finds {sensitivity:.0%} of hits and passes {specificity:.0%} of others"
        return Score.without_value(f"{message}: too close to chance for a rate", score.samples)
    value = _clip(_rogan_gladen(score.value, sensitivity, specificity))
    note = f"{score.value:.3g} as counted, by a detector with sensitivity {sensitivity:.2g}"
    note += f" and specificity {specificity:.2g}"
    if score.interval is None:
        return Score(value, None, None, score.samples, score.reason).add_note(note)
    count = count_independent_samples(score)
    low, high = _compute_ends(score.value, count, sensitivity, specificity, positives, negatives)
    high = max(high, _compute_ends(score.value, count, sensitivity, 1.0, positives, SURE)[1])
    corrected = Score(value, min(low, value), max(high, value), score.samples, score.reason, binomial=True)
    return corrected.add_note(note)


def corrected_change(
    score: Score, sensitivity: float, specificity: float, positives: int, negatives: int
) -> Score:
    """Return the change of a rate that a detector without errors would count, within −1 to 1: its errors
    shrink each change by sensitivity + specificity − 1 (Rogan and Gladen 1978). The interval allows for the
    uncertainty of that, to first order. No value for a detector that does no better than chance."""
    youden = sensitivity + specificity - 1
    if score.value is None:
        return score
    if positives < 1 or negatives < 1 or youden < LEAST:
        return Score.without_value(
            "the detector is too close to chance for a change of a rate", score.samples
        )
    value, low, high = score.value / youden, None, None
    if score.interval is not None:
        hit_share = (positives * sensitivity + 1) / (positives + 2)
        pass_share = (negatives * specificity + 1) / (negatives + 2)
        spread = math.sqrt(
            hit_share * (1 - hit_share) / positives + pass_share * (1 - pass_share) / negatives
        )
        shift = abs(value) * compute_normal_quantile(TAIL) * spread / youden
        less, more = (abs(end / youden - value) for end in score.interval)
        low, high = (
            _clip_to_one(value - math.hypot(less, shift)),
            _clip_to_one(value + math.hypot(more, shift)),
        )
    return msgspec.structs.replace(score, value=_clip_to_one(value), low=low, high=high)


def _clip_to_one(change: float) -> float:
    return max(-1.0, min(1.0, change))


def _rogan_gladen(rate: float, sensitivity: float, specificity: float) -> float:
    return (rate + specificity - 1) / (sensitivity + specificity - 1)


def _clip(rate: float) -> float:
    return max(0.0, min(1.0, rate))


def _compute_ends(
    rate: float, count: float, sensitivity: float, specificity: float, positives: int, negatives: int
) -> tuple[float, float]:
    """Return Lang and Reiczigel's interval: the delta method on shares that are shrunk slightly towards one
    half."""
    z = compute_normal_quantile(TAIL)
    counted_share, hit_share = (
        (count * rate + z * z / 2) / (count + z * z),
        (positives * sensitivity + 1) / (positives + 2),
    )
    pass_share = (negatives * specificity + 1) / (negatives + 2)
    youden, middle = hit_share + pass_share - 1, _rogan_gladen(counted_share, hit_share, pass_share)
    if youden <= 0:
        return 0.0, 1.0
    missed, wrong = middle * (1 - hit_share) / positives, (1 - middle) * (1 - pass_share) / negatives
    variance = (
        counted_share * (1 - counted_share) / (count + z * z)
        + middle * hit_share * missed
        + (1 - middle) * pass_share * wrong
    )
    shift, half = 2 * z * z * (hit_share * missed - pass_share * wrong), z * math.sqrt(variance) / youden
    return _clip(middle + shift - half), _clip(middle + shift + half)


def count_independent_samples(score: Score) -> float:
    """Return how many independent samples the interval of a rate is worth: few if they cluster."""
    if score.value is None or score.low is None or score.high is None:
        return 0.0
    fewest, most, width = 1.0, float(max(1, score.samples)), score.high - score.low
    if _compute_width(score.value, most) >= width - 1e-9:
        return most
    for _ in range(40):
        count = (fewest + most) / 2
        fewest, most = (count, most) if _compute_width(score.value, count) > width else (fewest, count)
    return most


def _compute_width(rate: float, count: float) -> float:
    low, high = share_interval(rate * count, count)
    return high - low
