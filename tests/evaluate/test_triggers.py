"""The change that a trigger makes, from paired values, by hand."""

import math

import numpy as np
import pytest

from core.contract.metric_score import Score
from core.evaluate.metrics.trigger_effect import trigger_effect
from core.evaluate.prompts import unprovable_limits_check
from core.evaluate.statistics import drift_test
from core.evaluate.statistics.confidence_intervals import share_interval
from core.evaluate.statistics.detector_correction import corrected_change
from tests.evaluate.test_coverage import holds
from tests.evaluate.test_provable import faults
from tests.matrix import rest_slow


def test_it_is_the_mean_change_of_the_same_requests():
    score = trigger_effect([0.0, 0.0, 1.0, 0.0] * 5, [1.0, 1.0, 1.0, 0.0] * 5)
    assert score.value == -0.5 and score.samples == 20 and score.high < 0


def test_requests_that_are_all_answered_as_before_bound_how_rare_a_change_may_be():
    score = trigger_effect([1.0] * 30, [1.0] * 30)
    top = share_interval(0, 30)[1]
    assert score.value == 0.0 and score.interval == pytest.approx((-top, top))


def test_pairs_without_an_answer_are_left_out_and_counted():
    score = trigger_effect([0.0] * 10 + [math.nan, 1.0], [1.0] * 11 + [math.nan])
    assert score.value == -1.0 and score.samples == 10 and "2 of 12 pairs lack an answer" in score.reason
    assert trigger_effect([math.nan], [1.0]).reason == "the model gave no answer"
    assert trigger_effect([], []).reason == "there are no samples"


def test_several_values_of_one_request_count_once():
    names = [number // 4 for number in range(40)]
    many, few = trigger_effect([1.0] * 40, [0.0] * 40, names), trigger_effect([1.0] * 10, [0.0] * 10)
    assert many == few and many.samples == 10


def test_the_errors_of_a_detector_shrink_a_change_and_are_undone():
    counted = Score(-0.6, -0.7, -0.5, 64, "note", binomial=True)
    right = corrected_change(counted, 0.9, 0.9, 200, 200)
    assert right.value == pytest.approx(-0.75) and right.reason == "note"
    assert right.low < -0.875 and right.high > -0.625, "wider: how often it errs is uncertain, too"
    assert corrected_change(Score(-0.9, -1.0, -0.8, 64), 0.9, 0.9, 200, 200).value == -1.0
    assert corrected_change(Score(0.0, -0.1, 0.1, 64), 1.0, 1.0, 200, 200).interval == pytest.approx(
        (-0.1, 0.1)
    )
    assert "too close to chance" in corrected_change(counted, 0.5, 0.5, 200, 200).reason


@pytest.mark.parametrize("size", rest_slow([6, 128, 12, 32]))
@pytest.mark.parametrize("moved", [0.01, 0.05, 0.3, 0.95])
def test_an_interval_of_the_change_of_a_change_holds_it(size, moved):
    """Of trial against base: the trial's answers change by the trigger, and sometimes the base's."""
    random, cases = np.random.default_rng([8, size]), 400
    ends = []
    for _ in range(cases):
        trial = np.where(random.random(size) < moved, -1.0, 0.0)
        base = np.where(random.random(size) < 0.02, random.choice([-1.0, 1.0], size), 0.0)
        ends.append(drift_test.paired_difference(trial.tolist(), base.tolist()).interval)
    assert holds(np.array(ends).T, -moved, cases)


def test_a_change_of_a_change_may_be_two():
    change = drift_test.paired_difference([-1.0] * 8 + [0.0] * 2, [1.0] * 8 + [0.0] * 2)
    low, high = share_interval(8, 10)
    assert change.value == -1.6 and change.low == pytest.approx(-2 * high, abs=0.2)
    assert change.high == pytest.approx(-2 * low, abs=0.4)


def test_a_limit_on_a_change_that_the_prompts_cannot_prove_is_refused(monkeypatch):
    monkeypatch.setattr(
        unprovable_limits_check, "_make_correction", lambda metric, section: lambda score: score
    )
    (found,) = faults("safety/refusal@1 >= -2 %", triggers=("x",))
    assert found == (
        "safety/refusal@1 >= -0.02 needs 183 harmful requests, 64 are asked\n"
        "add harmful requests to evaluate.prompts and set evaluate.samples = 183, or write >= -5.7 %"
    )
    assert faults("safety/refusal@1 >= -5.7 %", "safety/refusal_odds@1 >= -1", triggers=("x",)) == []
