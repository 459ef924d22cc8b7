"""What is remembered of the training set: planted secrets, and who was a member."""

import math

import numpy as np
import pytest

from core.errors import SpecError
from core.evaluate.metrics import membership_inference as m
from core.evaluate.metrics.canary_exposure import (
    UNEXPOSED_BITS,
    compute_exposure_by_distribution,
    compute_exposure_by_rank,
    compute_exposure_by_sample,
    exposure,
)
from core.evaluate.prompts.canary_rows import (
    fill,
    load_formats,
    make_canaries,
    make_other_secrets,
    plan_repeats,
)
from core.evaluate.statistics.confidence_intervals import find_largest

FORM = "the code is ####"


def test_exposure_by_rank_is_the_definition():
    assert compute_exposure_by_rank(1, 10_000) == pytest.approx(math.log2(10_000))
    assert compute_exposure_by_rank(5000, 10_000) == pytest.approx(1)
    assert compute_exposure_by_rank(10_000, 10_000) == 0


def test_exposure_by_sample_is_the_share_that_is_at_least_as_likely():
    losses = [10.0, 11.0, 12.0]
    assert compute_exposure_by_sample(9.0, losses) == 2, "the likeliest of four"
    assert compute_exposure_by_sample(10.5, losses) == 1
    assert compute_exposure_by_sample(10.0, losses) == 1, "a tie counts against the canary"
    assert compute_exposure_by_sample(99.0, losses) == 0


def test_exposure_by_distribution_sees_further_than_the_sample():
    losses = np.random.default_rng(0).normal(20, 2, 4000)
    # the mass of a normal distribution below 3 and 5 deviations is 1.35e-3 and 2.87e-7
    assert compute_exposure_by_distribution(14.0, losses, 1e9) == pytest.approx(-math.log2(1.35e-3), rel=0.05)
    assert compute_exposure_by_distribution(10.0, losses, 1e9) == pytest.approx(-math.log2(2.87e-7), rel=0.05)
    assert compute_exposure_by_distribution(-500.0, losses, 1e9) == pytest.approx(math.log2(1e9)), (
        "no more than there is to know"
    )
    assert compute_exposure_by_distribution(500.0, losses, 1e9) == pytest.approx(0, abs=1e-6)


def test_exposure_by_distribution_fits_losses_that_lean():
    skewed = -np.random.default_rng(1).gamma(4, 2, 20_000) + 40
    for share in (0.2, 0.02, 0.002):
        found = compute_exposure_by_distribution(float(np.quantile(skewed, share)), skewed, 1e9)
        assert found == pytest.approx(-math.log2(share), rel=0.15)


@pytest.mark.parametrize("by", ["sample", "distribution"])
def test_planted_canaries_are_exposed_and_others_are_not(by):
    random = np.random.default_rng(2)
    rest = random.normal(25, 3, (20, 400))
    never = exposure(random.normal(25, 3, 20).tolist(), rest.tolist(), [1e9] * 20, by)
    assert never.low <= UNEXPOSED_BITS <= never.high
    planted = exposure(random.normal(5, 1, 20).tolist(), rest.tolist(), [1e9] * 20, by)
    assert planted.low > 8 > never.high


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (([], [], []), "there are no canaries; plant some, or leave this metric out"),
        (
            ([1.0], [[1.0, 2.0]], [10]),
            "canary 1: there are fewer than 3 other secrets, or all have the same loss",
        ),
        (
            ([1.0], [[2.0] * 5], [10]),
            "canary 1: there are fewer than 3 other secrets, or all have the same loss",
        ),
        (([1.0], [[2.0, math.nan, 3.0]], [10]), "canary 1: 1 of 3 values are not finite numbers"),
        (([math.nan], [[1.0, 2.0, 3.0]], [10]), "1 of 1 values are not finite numbers"),
        (([1.0], [], [10]), "the lists differ in length: 1, 0 and 1"),
        (([1.0], [[1.0, 2.0, 3.0]], [1]), "a canary format must allow two secrets or more"),
    ],
)
def test_exposure_that_cannot_be_said_has_a_reason(arguments, reason):
    assert exposure(*arguments).value is None and exposure(*arguments).reason == reason


def test_canaries_are_different_and_the_same_for_the_same_seed():
    made = make_canaries(40, seed=3)
    assert made == make_canaries(40, seed=3) != make_canaries(40, seed=4)
    assert len({one.text for one in made}) == 40 and {one.format for one in made} == set(load_formats())
    for one in made:
        assert one.text == fill(one.format, one.secret) and one.text.startswith(one.prefix)
        assert "#" not in one.text and one.secrets == 10 ** len(one.secret)


def test_other_secrets_are_of_the_same_format_and_never_the_canary():
    (canary,) = make_canaries(1, forms=(FORM,))
    rest = make_other_secrets(canary, 200)
    assert (
        len(rest) == len(set(rest)) == 200 and canary not in rest and rest == make_other_secrets(canary, 200)
    )
    assert {one.format for one in rest} == {FORM}
    assert len(make_other_secrets(canary, 10**9)) == 9999, "all there are"
    with pytest.raises(SpecError, match="'#' has fewer than 4 #"):
        make_canaries(1, forms=("#",))


def test_a_row_s_gain_is_what_the_fine_tune_makes_likelier():
    assert m.compute_gains([1.0, 2.0], [3.0, 1.5]) == [2.0, -0.5]


def test_members_are_found_while_no_other_row_is_taken_for_one():
    members, others = [5.0, 4.0, 3.0, 1.0], [2.0, 0.0, -1.0]
    score = m.true_positives(members, others)
    assert score.value == 0.75
    assert score.reason == "0 of 3 other rows are above the threshold, so up to 76.8% of all may be"
    many = [float(value) for value in range(200)]
    assert m.true_positives([197.5, 150.0], many).value == 0.5, "two of 200 may be taken"
    assert m.true_positives([197.5, 150.0], many).reason.endswith("so up to 4.0% of all may be")
    assert m.true_positives([1.0], [math.nan]).reason == "others: 1 of 1 values are not finite numbers"


def test_rows_that_cannot_be_scored_make_the_metric_say_so():
    assert m.membership([math.nan], [1.0]).reason == "members: 1 of 1 values are not finite numbers"
    assert m.membership([1.0], []).reason == "others: there are no samples"


def test_canaries_are_planted_once_and_often_but_not_beyond_a_share_of_the_rows():
    assert plan_repeats(4, 10_000) == [1, 4, 16, 1]
    assert plan_repeats(6, 400) == [1, 4, 4, 1, 4, 4]
    assert plan_repeats(6, 10) == [1] * 6
    assert plan_repeats(0, 10) == []


def test_the_area_counts_pairs():
    score = m.membership([3.0, 2.0], [1.0, 2.0, 0.0])
    assert score.value == pytest.approx((3 + 2.5) / 6) and score.samples == 5
    assert m.membership([1.0] * 9, [1.0] * 9).value == 0.5
    assert m.membership([2.0], [1.0]).interval == pytest.approx((0.025, 1.0)), "one pair says next to nothing"


def test_members_that_were_learned_are_told_apart_and_others_are_not():
    random = np.random.default_rng(4)
    plain = m.membership(random.normal(0, 1, 200).tolist(), random.normal(0, 1, 200).tolist())
    learned = m.membership(random.normal(1, 1, 200).tolist(), random.normal(0, 1, 200).tolist())
    assert plain.low < 0.5 < plain.high
    assert learned.low < 0.760 < learned.high, "Φ(1/√2) for normal scores one deviation apart"
    name, strongest = find_largest({"loss": plain, "zlib": learned})
    assert (name, strongest.value, strongest.high) == ("zlib", learned.value, learned.high)
    assert plain.low < strongest.low < learned.low, "it was chosen among two"
    unsaid = {"loss": m.Score.without_value("there are no samples"), "zlib": plain}
    assert find_largest(unsaid) == ("zlib", plain) and find_largest({})[1].reason == "there are no samples"


def test_the_area_s_interval_holds_the_truth_in_at_least_95_of_100():
    random = np.random.default_rng(5)
    held = []
    for _ in range(150):
        score = m.membership(random.normal(1, 1, 40).tolist(), random.normal(0, 1, 60).tolist())
        held.append(score.low <= 0.76025 <= score.high)
    assert np.mean(held) >= 0.95


def test_a_clear_membership_of_few_rows_is_not_told_as_certain():
    score = m.membership([2.0, 3.0, 4.0], [0.0, 1.0, 0.5])
    assert (score.value, score.high) == (1.0, 1.0) and score.low < 0.6
    even = m.membership([1.0] * 20, [1.0] * 20)
    assert even.value == 0.5 and even.low < 0.4 and even.high > 0.6


def test_many_canaries_are_made_at_once_and_too_many_are_refused():
    assert len({canary.text for canary in make_canaries(40_000)}) == 40_000
    with pytest.raises(SpecError, match="only 10000 different canaries, not 10001"):
        make_canaries(10_001, forms=("code ####",))
