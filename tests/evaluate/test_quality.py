"""Performance, by hand."""

import math

import pytest

from core.evaluate.metrics import answer_overlap_metrics, quality_metrics
from core.evaluate.metrics.generation_speed import latency, speed


def test_loss_is_weighted_by_tokens():
    assert quality_metrics.loss([9.0, 3.0], [9, 1]).value == pytest.approx(1.2)


def test_a_choice_is_right_when_it_is_likelier_than_every_other():
    likelihoods = [[-1.0, -2.0, -3.0], [-2.0, -1.0], [-1.0, -1.0], [-4.0, -1.0]]
    assert quality_metrics.choice(likelihoods, [0, 0, 0, 1]).value == 0.5, "a tie knows nothing"
    assert quality_metrics.choice([[-4.0, -3.0]], [0], [[8, 4]]).value == 1.0, "by length, -0.5 against -0.75"
    assert quality_metrics.choice([[-1.0, math.nan]], [0]).reason.startswith("question 1: 1 of 2 values")
    assert quality_metrics.choice([[-1.0, -2.0]], [2]).reason == "question 1: no such choice or length"
    assert quality_metrics.choice([[-1.0, -2.0]], [0], [[0, 1]]).value is None
    assert quality_metrics.choice([], []).reason == "there are no samples"


def test_forgetting_is_the_rise_of_perplexity_on_the_same_passages():
    base, tokens = [20.0, 60.0, 33.0] * 2, [10, 20, 10] * 2
    worse = quality_metrics.forgetting(
        [loss + 0.1 * count for loss, count in zip(base, tokens, strict=True)], base, tokens
    )
    assert worse.value == pytest.approx(math.exp(0.1) - 1)
    assert worse.interval == pytest.approx((worse.value, worse.value)), "paired: hard passages do not blur it"
    assert quality_metrics.forgetting(base, base, tokens).value == 0
    assert (
        quality_metrics.forgetting(base, base[:2], tokens).reason
        == "the lists differ in length: 6 and 2 and 6"
    )


def test_bleu_and_chrf_are_sacrebleu_s():
    right = ["the cat sat on the mat", "there is a dog in the garden", "it rains"]
    assert answer_overlap_metrics.bleu(right, right).value == pytest.approx(100)
    assert answer_overlap_metrics.chrf(right, right).value == pytest.approx(100)
    # by hand: all of 7 one-grams but one, 3 of 6 2-grams … of "the cat sat on a mat today"
    score = answer_overlap_metrics.bleu(["the cat sat on a mat today"], ["the cat sat on the mat today"])
    precisions = (6 / 7) * (4 / 6) * (2 / 5) * (1 / 4)
    assert score.value == pytest.approx(100 * precisions**0.25) and score.interval is None
    few, more = ["the cat sat", "a dog", "sun"], right * 2
    worse = answer_overlap_metrics.chrf(few * 2, more)
    assert 0 <= worse.low <= worse.value <= worse.high < 100 and worse.samples == 6
    assert (
        answer_overlap_metrics.chrf(few * 2, more) == worse
        and answer_overlap_metrics.chrf(few, right).interval is None
    )


def test_exact_match_and_f1_forgive_articles_case_and_signs():
    assert (
        answer_overlap_metrics.exact(["The Eiffel Tower!", "Rome"], ["eiffel tower", ["Milan", "rome"]]).value
        == 1
    )
    assert answer_overlap_metrics.exact(["Paris, France"], ["Paris"]).value == 0
    assert answer_overlap_metrics.f1(["Paris, France"], ["Paris"]).value == pytest.approx(2 / 3)
    assert answer_overlap_metrics.compute_overlap("a b b c", "b b d") == pytest.approx(2 * 2 / (3 + 3)), (
        "articles do not count"
    )
    assert (
        answer_overlap_metrics.compute_overlap("", "the") == 1
        and answer_overlap_metrics.compute_overlap("", "x") == 0
    )


def test_a_number_may_come_after_its_calculation():
    assert answer_overlap_metrics.exact(["3 + 4 = 7, so the answer is $1,007."], ["1007"]).value == 1
    assert answer_overlap_metrics.exact(["We get 12, then 15."], ["Half of 30 is 15.\n#### 15"]).value == 1
    assert answer_overlap_metrics.exact(["The answer is 8."], ["7"]).value == 0
    assert answer_overlap_metrics.exact(["7 apples and 8 pears"], ["7"]).value == 0, "its last number counts"


def test_robustness_is_what_typos_leave_of_the_accuracy():
    assert quality_metrics.robustness([0.4, 0.2], [0.5, 0.5]).value == pytest.approx(0.6)
    reason = "the model is never right after the clean questions"
    assert quality_metrics.robustness([0.0, 0.0], [0.0, 0.0]).reason == reason
    assert quality_metrics.loss_rise([2.0, 3.5], [1.5, 3.0]).value == pytest.approx(0.5)
    assert quality_metrics.loss_rise([2.0], []).value is None


@pytest.mark.parametrize(
    "metric",
    [
        answer_overlap_metrics.bleu,
        answer_overlap_metrics.chrf,
        answer_overlap_metrics.exact,
        answer_overlap_metrics.f1,
    ],
)
def test_a_model_that_says_nothing_has_no_score_rather_than_zero(metric):
    assert metric([], []).reason == "there are no samples"
    assert metric(["", " \n"], ["a", "b"]).reason == "the model gave no answer"
    assert metric(["a"], ["a", "b"]).reason == "the lists differ in length: 1 and 2"


def test_speed_and_latency():
    assert speed([100, 50], [2.0, 1.0]).value == 50
    assert speed([0, 0], [1.0, 1.0]).reason == "the model generated no token"
    assert speed([10], [0.0]).value is None
    assert latency([0.1, 0.9, 0.2]).value == 0.2


def test_answers_of_which_nearly_all_are_wrong_have_a_score():
    wanted = ["a b c d e f"] * 10
    answers = [wanted[0], *["who knows"] * 9]  # most resamples match in something, some in nothing
    for score in (answer_overlap_metrics.bleu(answers, wanted), answer_overlap_metrics.chrf(answers, wanted)):
        assert score.value > 0 and score.low < score.value < score.high
