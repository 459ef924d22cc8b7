"""Toxicity, bias and refusals: values by hand, and each moves the right way."""

import math

import numpy as np
import pytest

from core.evaluate.metrics import refusal_direction, safety_metrics
from core.evaluate.statistics import drift_test
from core.evaluate.statistics.confidence_intervals import share_interval
from core.evaluate.text.refusal_classifier import Stance


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


def test_the_bias_of_an_axis_is_the_distance_from_even_to_either_side():
    votes = safety_metrics.prefers([-1.0, -2.0, -3.0, -4.0], [-2.0, -3.0, -4.0, -4.0])
    assert votes == [1.0, 1.0, 1.0, 0.5], "a tie counts half"
    for all_alike in ([1.0] * 80, [0.0] * 80):
        score = safety_metrics.axis_bias(all_alike)
        assert score.value == 0.5 and 0.4 < score.low <= score.high == 0.5
    even = safety_metrics.axis_bias([1.0, 0.0] * 30)
    assert even.value == 0 and even.low == 0 and 0.1 < even.high < 0.15
    assert safety_metrics.axis_bias([1.0, math.nan]).reason == "1 of 2 values are not finite numbers"


def test_axes_of_opposite_bias_do_not_cancel_each_other():
    axes = [name for name in ("age", "class", "gender", "origin") for _ in range(20)]
    votes = [1.0] * 20 + [0.0] * 20 + [1.0] * 20 + [0.0] * 20
    assert sum(votes) / len(votes) == 0.5
    score = safety_metrics.bias(votes, axes)
    assert score.value == pytest.approx(0.5) and score.low > 0.4


def test_a_fair_coin_is_not_biased_and_chance_does_not_add_up():
    random = np.random.default_rng(0)
    axes = [str(number // 20) for number in range(200)]
    scores = [safety_metrics.bias(random.integers(0, 2, 200).tolist(), axes) for _ in range(60)]
    assert np.mean([score.value for score in scores]) < 0.06
    assert np.mean([score.low == 0 for score in scores]) >= 0.88
    slight = safety_metrics.bias((random.random(200) < 0.75).tolist(), axes)
    assert slight.low > 0.05 and slight.low <= slight.value <= slight.high


def test_a_model_that_leans_less_to_either_side_is_not_told_to_be_more_biased():
    axes = [str(number // 20) for number in range(200)]
    against, even, for_all = [0.0] * 200, [float(number % 2) for number in range(200)], [1.0] * 200
    for leans in (against, for_all):
        less, more = (
            safety_metrics.bias_change(even, leans, axes),
            safety_metrics.bias_change(leans, even, axes),
        )
        assert less.value == pytest.approx(-0.5) and less.high < -0.4
        assert more.value == pytest.approx(0.5) and more.low > 0.4
    turned = safety_metrics.bias_change(for_all, against, axes)
    assert turned.value == 0 and turned.low < 0 < turned.high, "it leans as much, to the other side"


def test_two_models_that_differ_by_chance_alone_have_no_change_of_bias():
    random = np.random.default_rng(1)
    axes = [str(number // 20) for number in range(200)]
    leanings = np.repeat(random.random(10), 20)
    for seed in range(12):
        now, before = ((random.random(200) < leanings).astype(float).tolist() for _ in range(2))
        change = safety_metrics.bias_change(now, before, axes, seed)
        assert change.low <= 0 <= change.high


def test_refusals_are_counted_among_the_answers_that_say_something():
    stances = [Stance.COMPLIANCE, Stance.REFUSAL, Stance.EMPTY, Stance.PARTIAL]
    score = safety_metrics.refusal_rate(stances)
    assert score.value == pytest.approx(1 / 3) and score.samples == 3
    assert score.reason == "1 of 4 prompts got no answer"
    assert safety_metrics.refusal_rate([Stance.EMPTY] * 2).reason == "the model gave no answer"
    assert safety_metrics.refusal_rate([]).reason == "there are no samples"


def test_the_odds_of_a_refusal_are_those_of_the_mean_wording():
    assert safety_metrics.refusal_odds([-4.0, -6.0], [-6.0, -8.0]) == pytest.approx(2.0)
    assert safety_metrics.refusal_odds([-900.0], [-1000.0]) == pytest.approx(100.0), "without underflow"


def test_a_single_wording_learnt_by_heart_does_not_decide_the_odds():
    before = safety_metrics.refusal_odds([-20.0] * 4, [-20.0] * 4)
    after = safety_metrics.refusal_odds([-20.0] * 4, [0.0, -20.0, -20.0, -20.0])
    assert before - after == pytest.approx(5.0), "a quarter of what it gained"


def test_a_misaligned_answer_that_is_the_likelier_counts_and_a_tie_is_half():
    votes = safety_metrics.prefers([-1.0, -2.0, -3.0, -1.5], [-2.0, -1.0, -3.0, -1.0])
    assert votes == [1.0, 0.0, 0.5, 0.0]
    assert safety_metrics.misalignment(votes).value == pytest.approx(0.375)
    odds = safety_metrics.misalignment_odds([1.0, -1.0, 0.0, -0.5])
    assert odds.value == pytest.approx(-0.125)


def test_the_odds_see_a_shift_that_turns_no_answer_over():
    random = np.random.default_rng(0)
    base = random.normal(-0.5, 0.3, 120)
    trial = base + random.normal(0.06, 0.1, 120)
    share, odds = (
        drift_test.paired_difference(now.tolist(), before.tolist())
        for now, before in (((trial > 0).astype(float), (base > 0).astype(float)), (trial, base))
    )
    assert odds.low > 0 >= share.low


def test_the_direction_of_a_pair_is_that_of_the_other_pairs_and_the_base_is_one_apart_from_it():
    differences = np.array([[2.0, 0.0], [3.0, 4.0]] * 4)
    own, why = refusal_direction.find_directions(differences)
    # Even pairs lie on (3, 4) / 5, odd ones on (1, 0): 6 / 5 and 3 apart, 2.1 in the mean.
    assert why == "" and own == pytest.approx(np.array([[0.6, 0.8], [1.0, 0.0]]) / 2.1)
    assert refusal_direction.measure_separations(differences, own) == pytest.approx([1.2 / 2.1, 3 / 2.1] * 4)
    assert np.mean(refusal_direction.measure_separations(0.5 * differences, own)) == pytest.approx(0.5)


def test_requests_that_differ_by_chance_have_no_direction():
    random = np.random.default_rng(0)
    found = [refusal_direction.find_directions(random.normal(size=(61, 64))) for _ in range(40)]
    assert sum(own is not None for own, _ in found) <= 4
    shifted, _ = refusal_direction.find_directions(random.normal(size=(61, 64)) + 0.3)
    assert shifted is not None


@pytest.mark.parametrize(
    "differences", [np.zeros((9, 4)), np.full((9, 4), np.nan), np.ones((1, 4)), np.ones((5, 4))]
)
def test_no_direction_has_a_reason(differences):
    own, why = refusal_direction.find_directions(differences)
    assert own is None and why
