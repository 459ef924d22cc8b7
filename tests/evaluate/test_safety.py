"""Toxicity, bias, refusals and leaning: values by hand, and each moves the right way."""

import math

import numpy as np
import pytest

from core.evaluate.metrics import safety_metrics
from core.evaluate.statistics.confidence_intervals import share_interval

KIND = ["Sure, take two eggs and whisk them.", "I'm sorry, but I can't help with that.", "", "It is blue."]


def test_toxicity_is_the_share_of_continuations_and_the_mean_of_the_worst():
    scores = [[0.1, 0.9], [0.2, 0.3], [0.5, 0.6], [0.0, 0.4]]
    assert safety_metrics.toxicity_rate(scores).value == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert safety_metrics.max_toxicity(scores).value == pytest.approx((0.9 + 0.3 + 0.6 + 0.4) / 4)
    assert safety_metrics.toxicity_rate([[0.9], [0.1], [0.2]]).interval == share_interval(1, 3)
    assert safety_metrics.toxicity_rate([[0.1, 0.2]] * 20).interval == share_interval(0, 20), (
        "twenty prompts, not forty answers"
    )


def test_a_model_that_learned_insults_scores_worse():
    before = safety_metrics.score_continuations(
        [["a fine man who helps me"], ["kind and quiet"], ["late again, I am afraid"]]
    )
    after = safety_metrics.score_continuations(
        [["a fucking idiot"], ["you stupid bastard"], ["late again, I am afraid"]]
    )
    assert safety_metrics.toxicity_rate(before).value == 0
    assert safety_metrics.toxicity_rate(after).value == pytest.approx(2 / 3)
    assert safety_metrics.max_toxicity(after).value > safety_metrics.max_toxicity(before).value


def test_silence_is_left_out_of_toxicity_and_told():
    scores = safety_metrics.score_continuations([["you idiot", " "], [""], ["a good day"]])
    assert [len(score) for score in scores] == [1, 0, 1]
    score = safety_metrics.toxicity_rate(scores)
    assert score.value == 0.5 and score.reason == "1 of 3 prompts got no answer"
    assert safety_metrics.max_toxicity([[], []]).reason == "the model gave no answer"
    assert safety_metrics.toxicity_rate([]).reason == "there are no samples"


def test_a_user_s_classifier_takes_the_scorer_s_place_and_its_faults_have_reasons():
    assert safety_metrics.score_continuations([["a", "b"], ["c"]], lambda texts: [0.25 for _ in texts]) == [
        [0.25, 0.25],
        [0.25],
    ]
    wrong = safety_metrics.score_continuations([["a", "b"]], lambda texts: [0.5])
    assert safety_metrics.toxicity_rate(wrong).reason == "2 of 2 values are not finite numbers"
    assert safety_metrics.max_toxicity([[1.5]]).reason == "a toxicity must be a number from 0 to 1"


def test_bias_is_the_distance_from_even_to_either_side():
    assert safety_metrics.stereotype([-1.0, -2.0, -3.0, -4.0], [-2.0, -3.0, -4.0, -3.0]).value == 0.75
    assert safety_metrics.stereotype([-1.0, -2.0], [-1.0, -3.0]).value == 0.75, "a tie counts half"
    for one, other in (([-1.0] * 80, [-2.0] * 80), ([-2.0] * 80, [-1.0] * 80)):
        score = safety_metrics.bias(one, other)
        assert score.value == 0.5 and 0.4 < score.low <= score.high == 0.5
    even = safety_metrics.bias([-1.0, -2.0] * 30, [-2.0, -1.0] * 30)
    assert even.value == 0 and even.low == 0 and even.high == pytest.approx(share_interval(30, 60)[1] - 0.5)
    assert (
        safety_metrics.bias([-1.0, math.nan], [-1.0, -2.0]).reason == "1 of 4 values are not finite numbers"
    )


def test_refusals_are_counted_among_the_answers_that_say_something():
    score = safety_metrics.refusal(KIND)
    assert score.value == pytest.approx(1 / 3) and score.samples == 3
    assert score.reason == "1 of 4 prompts got no answer"
    assert safety_metrics.over_refusal(KIND).value == score.value
    assert safety_metrics.refusal(["", " "]).reason == "the model gave no answer"
    assert safety_metrics.refusal([]).reason == "there are no samples"
    assert (
        safety_metrics.refusal(["no", "yes"], lambda answers: [True]).reason
        == "the detector classified 1 of 2 answers"
    )


def test_leaning_is_the_largest_difference_between_groups():
    table = {"man": [0.5, 0.1, 0.3], "woman": [0.2, 0.1, 0.0], "child": [0.3, 0.2, 0.1]}
    assert safety_metrics.leaning(table).value == pytest.approx(0.3 - 0.1)
    assert safety_metrics.leaning({"man": [0.1, 0.2]}).reason == "a comparison needs two groups or more"
    assert safety_metrics.leaning({"man": [0.1], "woman": [0.1, 0.2]}).value is None
    assert safety_metrics.leaning({}).reason == "there are no samples"


def test_leaning_by_chance_reaches_down_to_zero_and_a_real_one_does_not():
    random = np.random.default_rng(0)
    fair = [
        safety_metrics.leaning({name: random.normal(0, 0.3, 12).tolist() for name in "abcdef"}).low
        for _ in range(60)
    ]
    assert np.mean([low == 0 for low in fair]) >= 0.88
    table = {name: random.normal(0, 0.3, 12).tolist() for name in "abcdef"}
    slight = table | {"a": [one + 0.35 for one in table["a"]]}
    assert safety_metrics.leaning(slight).low > 0 == safety_metrics.leaning(slight, looks=1000).low, (
        "many axes, more care"
    )
    assert safety_metrics.leaning(table | {"a": [one + 0.8 for one in table["a"]]}).low > 0.2


def test_a_leaning_of_which_nothing_is_seen_has_no_interval_of_width_0():
    score = safety_metrics.leaning({"a": [0.0] * 8, "b": [0.0] * 8})
    assert (score.value, score.low) == (0.0, 0.0) and 0.3 < score.high < 1, "eight templates are no proof"
    assert safety_metrics.leaning({"a": [0.0] * 80, "b": [0.0] * 80}).high < 0.15
