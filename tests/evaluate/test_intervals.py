"""A score says how sure it is, and when nothing can be said it says why."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contract.metric_score import Score
from core.evaluate.statistics.bootstrap import compute_outer_tail
from core.evaluate.statistics.confidence_intervals import (
    clustered_rate,
    mean,
    median,
    rate,
    ratio,
    share_interval,
    transform,
)

COUNTS = st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def test_shares_have_clopper_and_pearson_s_published_interval():
    # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 5
    assert share_interval(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert share_interval(15, 148) == pytest.approx((0.0578, 0.1617), abs=5e-5)
    assert share_interval(0, 20) == pytest.approx((0.0, 0.1684), abs=5e-5)
    assert share_interval(1, 29) == pytest.approx((0.0009, 0.1776), abs=5e-5)


@given(COUNTS)
def test_a_rate_lies_in_its_interval_and_both_in_zero_to_one(counts):
    hits, total = counts
    low, high = share_interval(hits, total)
    assert 0 <= low <= hits / total <= high <= 1 and low < high
    mirrored = share_interval(total - hits, total)
    assert mirrored == pytest.approx((1 - high, 1 - low))


@given(COUNTS)
def test_more_hits_move_both_ends_up_and_more_samples_narrow(counts):
    hits, total = counts
    low, high = share_interval(hits, total)
    if hits < total:
        assert share_interval(hits + 1, total)[0] >= low and share_interval(hits + 1, total)[1] >= high
    wide = share_interval(4 * hits, 4 * total)
    assert wide[1] - wide[0] < high - low


def test_percentiles_are_student_s_for_few_samples_and_plain_for_many():
    assert compute_outer_tail(100_000) == pytest.approx(0.025, abs=1e-4)
    assert compute_outer_tail(5) < compute_outer_tail(20) < 0.025


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=30))
@settings(max_examples=40, deadline=None)
def test_a_mean_lies_in_its_interval(values):
    score = mean(values)
    assert score.samples == len(values)
    assert score.low <= score.value <= score.high
    assert score == mean(values), "the same samples give the same interval"


def test_values_by_hand():
    assert mean([1.0, 2.0, 6.0]).value == 3
    assert median([5.0, 1.0, 2.0]).value == 2
    assert ratio([1.0, 9.0], [1.0, 4.0]).value == 2
    assert rate([True, False, 0.5, True]).value == 0.625
    assert transform(Score(1.0, 0.0, 2.0, 9), math.exp) == Score(math.e, 1.0, math.exp(2), 9)


def test_a_score_reads_as_a_sentence_would_have_it():
    assert str(rate([1.0] * 12 + [0.0] * 88)) == "0.12 (0.0636 to 0.2, 100 samples)"
    assert str(mean([2.5])) == "2.5 (1 sample)"
    assert str(mean([])) == "no value: there are no samples"
    assert (
        mean([2.5]).add_note("two were left out").reason
        == "1 sample has no interval: 6 are the fewest; two were left out"
    )


def test_few_samples_have_a_value_and_no_interval():
    assert mean([2.5]) == Score(2.5, None, None, 1, "1 sample has no interval: 6 are the fewest")
    assert mean([2.5] * 5).reason == "5 samples have no interval: 6 are the fewest"
    assert median([1.0, 2.0]).interval is None and mean([1.0, 2.0, 3.0] * 2).interval is not None
    assert rate([True]).interval == pytest.approx((0.025, 1.0)), "a rate has one even then"


def test_shares_that_are_all_alike_are_not_told_as_certain():
    assert mean([0.0] * 20, within_one=True).interval == share_interval(0, 20)
    assert mean([0.0] * 20).interval == (0.0, 0.0)


def test_answers_to_one_prompt_count_as_the_few_things_that_they_are():
    hits = [True] * 10 + [False] * 10
    alone, together = rate(hits), clustered_rate(hits, [number // 5 for number in range(20)])
    assert together.value == alone.value == 0.5 and together.samples == 20
    assert together.high - together.low > alone.high - alone.low
    assert clustered_rate([False] * 20, [number // 5 for number in range(20)]).interval == share_interval(
        0, 4
    )
    assert clustered_rate(hits, range(20)) == alone


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (mean([]), "there are no samples"),
        (rate([]), "there are no samples"),
        (median([math.nan, 1.0]), "1 of 2 values are not finite numbers"),
        (mean([None, 1.0, math.inf]), "2 of 3 values are not finite numbers"),
        (mean(["high"]), "the samples are not numbers"),
        (mean([[1.0, 2.0]]), "the samples are not numbers"),
        (rate([2.0]), "a hit must be a number from 0 to 1"),
        (ratio([1.0], [1.0, 2.0]), "the lists differ in length: 1 and 2"),
        (ratio([1.0, 2.0], [0.0, 0.0]), "the sum to divide by is 0"),
        (clustered_rate([True], []), "the lists differ in length: 1 and 0"),
        (transform(mean([1e4, 1e4]), math.exp), "the value is too large for a number"),
    ],
)
def test_what_cannot_be_said_has_a_reason(score, reason):
    assert score.value is None and score.interval is None and score.reason == reason
