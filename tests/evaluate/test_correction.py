"""A rate is corrected for its detector's errors, and its interval for how well those are known."""

import math

import numpy as np
import pytest

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import clustered_rate, rate
from core.evaluate.statistics.detector_correction import correct_score, count_independent_samples
from tests.matrix import rest_slow

CASES = 250


@pytest.mark.parametrize("samples", rest_slow([16, 200, 36, 64]))
@pytest.mark.parametrize("planted", rest_slow([30, 100]))
@pytest.mark.parametrize("true", [0.0, 0.02, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("errors", [(0.95, 0.98), (0.8, 0.9), (0.6, 0.95), (0.98, 0.7)])
def test_the_corrected_interval_holds_the_true_rate(samples, planted, true, errors):
    sensitivity, specificity = errors
    random, held = np.random.default_rng([samples, planted, int(100 * true)]), 0
    seen = true * sensitivity + (1 - true) * (1 - specificity)
    for _ in range(CASES):
        found, passed = random.binomial(planted, sensitivity), random.binomial(planted, specificity)
        hits = random.binomial(samples, seen)
        raw = rate([1.0] * hits + [0.0] * (samples - hits))
        score = correct_score(raw, found / planted, passed / planted, planted, planted)
        held += score.low is None or score.low - 1e-12 <= true <= score.high + 1e-12
    assert held / CASES >= 0.93 - 3 * math.sqrt(0.93 * 0.07 / CASES)


def test_false_hits_are_taken_off_and_missed_ones_added():
    raw = rate([1.0] * 10 + [0.0] * 90)
    assert correct_score(raw, 1.0, 0.95, 1000, 1000).value == pytest.approx(0.05 / 0.95)
    assert correct_score(raw, 0.5, 1.0, 1000, 1000).value == pytest.approx(0.2)
    assert correct_score(raw, 1.0, 0.8, 1000, 1000).value == 0.0, "no rate is below 0"
    told = correct_score(raw, 0.9, 0.95, 100, 100)
    assert told.reason == "0.1 as counted, by a detector with sensitivity 0.9 and specificity 0.95"
    assert told.samples == 100 and told.low <= told.value <= told.high


def test_a_detector_that_is_better_known_gives_a_narrower_interval():
    raw = rate([1.0] * 20 + [0.0] * 180)
    well, badly = (correct_score(raw, 0.9, 0.9, planted, planted) for planted in (2000, 20))
    assert well.high - well.low < badly.high - badly.low


def test_answers_in_clusters_stay_worth_as_few_as_they_are():
    hits, names = [True] * 20 + [False] * 60, [number // 4 for number in range(80)]
    apart, together = rate(hits), clustered_rate(hits, names)
    assert (
        count_independent_samples(apart) == pytest.approx(80, abs=0.1)
        and count_independent_samples(together) < 25
    )
    wide, narrow = correct_score(together, 0.9, 0.9, 200, 200), correct_score(apart, 0.9, 0.9, 200, 200)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_what_cannot_be_corrected_has_a_reason():
    raw = rate([1.0] * 10 + [0.0] * 90)
    assert "too close to chance" in correct_score(raw, 0.5, 0.5, 100, 100).reason
    assert correct_score(raw, 0.9, 0.9, 0, 100).value is None
    unsaid = Score.without_value("the model gave no answer", 3)
    assert correct_score(unsaid, 0.9, 0.9, 100, 100) == unsaid
