"""A change is told from noise, and a limit from a guess."""

import math
from statistics import NormalDist

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.metric_score import Score
from core.contract.significance_levels import FALSE_WARNING, look_tail
from core.contract.spec.metric_limits import Limit
from core.errors import SpecError
from core.evaluate.statistics import drift_test
from core.evaluate.statistics.confidence_intervals import mean, rate, share_interval


def hits(count, total):
    return rate([1.0] * count + [0.0] * (total - count))


def by_wilson(count, total):
    z, rate_ = NormalDist().inv_cdf(0.975), count / total
    middle, half = (
        rate_ + z * z / total / 2,
        z * math.sqrt(rate_ * (1 - rate_) / total + (z / total / 2) ** 2),
    )
    return Score(rate_, *((middle + sign * half) / (1 + z * z / total) for sign in (-1, 1)), total)


def test_the_difference_of_two_rates_is_newcombe_s():
    # Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10
    for (a, m), (b, n), (low, high) in (
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ):
        change = drift_test.difference(by_wilson(a, m), by_wilson(b, n))
        assert change.value == pytest.approx(a / m - b / n)
        assert change.interval == pytest.approx((low, high), abs=5e-5)


def test_the_same_model_seldom_looks_different():
    random = np.random.default_rng(0)
    alarms = [
        drift_test.compare_with_base(hits(int(a), 80), hits(int(b), 80), "minimize").verdict != "same"
        for a, b in random.binomial(80, 0.2, (600, 2))
    ]
    assert np.mean(alarms) < 0.07


def test_better_and_worse_follow_the_metric_s_direction():
    low, high = hits(5, 100), hits(40, 100)
    assert drift_test.compare_with_base(high, low, "minimize").verdict == "worse"
    assert drift_test.compare_with_base(high, low, "maximize").verdict == "better"
    assert drift_test.compare_with_base(low, high, "minimize").verdict == "better"
    assert drift_test.compare_with_base(hits(6, 100), low, "minimize").verdict == "same"


def test_who_looks_often_needs_a_larger_change():
    now, base = hits(22, 100), hits(10, 100)
    assert drift_test.compare_with_base(now, base, "minimize").verdict == "worse"
    assert (
        drift_test.compare_with_base(now, base, "minimize", tail=look_tail(FALSE_WARNING, 7)).verdict
        == "same"
    )


def test_what_has_no_value_or_interval_is_unsure():
    for now in (Score.without_value("the model gave no answer"), mean([0.5])):
        assert drift_test.compare_with_base(now, hits(5, 100), "minimize").verdict == "unsure"
    change = drift_test.compare_with_base(
        Score.without_value("the model gave no answer"), hits(5, 100), "minimize"
    ).change
    assert change.reason == "the model gave no answer"


def test_the_same_prompts_show_a_change_that_separate_ones_hide():
    random = np.random.default_rng(1)
    base = random.normal(3, 2, 60)
    now = base + random.normal(0.3, 0.2, 60)
    assert drift_test.compare_with_base(mean(now.tolist()), mean(base.tolist()), "minimize").verdict == "same"
    change = drift_test.paired_difference(now.tolist(), base.tolist())
    assert drift_test.judge(change, "minimize").verdict == "worse" and change.low <= 0.3 <= change.high


def test_answers_that_are_all_as_before_are_no_proof_that_nothing_changed():
    change = drift_test.paired_difference([0.0, 1.0] * 10, [0.0, 1.0] * 10)
    assert change.value == 0 and change.interval == pytest.approx(
        (-share_interval(0, 20)[1], share_interval(0, 20)[1])
    )
    assert drift_test.paired_difference([1.0], [0.0, 1.0]).reason == "the lists differ in length: 1 and 2"
    assert drift_test.judge(drift_test.paired_difference([1.0], [0.0]), "minimize").verdict == "unsure"


def test_a_metric_is_compared_with_its_own_past():
    steady = [hits(10, 200), hits(12, 200), hits(9, 200)]
    assert drift_test.compare_with_history([*steady, hits(11, 200)], "minimize").verdict == "same"
    assert drift_test.compare_with_history([*steady, hits(60, 200)], "minimize").verdict == "worse"
    assert drift_test.compare_with_history(steady[:1], "minimize").change.reason == "there is no history yet"
    gap = [steady[0], Score.without_value("the model gave no answer"), hits(60, 200)]
    assert drift_test.compare_with_history(gap, "minimize").verdict == "worse", "a gap is passed over"
    assert drift_test.pool([]).value is None and drift_test.pool(steady).value == pytest.approx(31 / 600)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("safety/toxicity <= 0.02", Limit("safety/toxicity", True, 0.02)),
        ("safety/refusal>=90%", Limit("safety/refusal", False, 0.9)),
        (" quality/bleu > 20 ", Limit("quality/bleu", False, 20, strict=True)),
        ("security/exposure < 1e1", Limit("security/exposure", True, 10, strict=True)),
    ],
)
def test_limits_are_read(text, limit):
    assert Limit.parse(text) == limit and Limit.parse(str(limit)) == limit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("safety/toxicity", "'safety/toxicity' is not a limit"),
        ("safety/toxicity == 0.1", "is not a limit"),
        ("safety/toxicty <= 0.1", "did you mean 'safety/toxicity'?"),
        ("safety/toxicity <= low", "'low' is not a number"),
        ("safety/toxicity <= nan", "'nan' is not a number"),
        ("", "'' is not a limit"),
    ],
)
def test_what_is_no_limit_is_told_with_a_remedy(text, told):
    with pytest.raises(SpecError) as error:
        Limit.parse(text, "[evaluate] limits")
    assert told in str(error.value) and "[evaluate] limits" in str(error.value) and "→" in str(error.value)


def test_a_limit_is_breached_only_when_the_whole_interval_is_beyond_it():
    limit = Limit.parse("safety/toxicity <= 0.1")
    assert limit.judge(hits(0, 100)) == "ok"
    assert limit.judge(hits(50, 100)) == "breached"
    assert limit.judge(hits(12, 100)) == "unsure", "0.12 with 0.07 to 0.20"
    assert limit.judge(Score.without_value("the model gave no answer")) == "unsure"
    assert limit.judge(mean([0.9])) == "unsure", "one sample proves nothing"
    assert limit.judge(Score(0.1, 0.1, 0.1, 9)) == "ok"
    assert Limit.parse("safety/toxicity < 0.1").judge(Score(0.1, 0.1, 0.1, 9)) == "breached"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1))
def test_a_lower_limit_mirrors_an_upper_one(low, width, bound):
    score, mirror = Score(low, low, low + width, 9), Score(-low, -(low + width), -low, 9)
    upper, lower = Limit("safety/toxicity", True, bound), Limit("safety/toxicity", False, -bound)
    assert upper.judge(score) == lower.judge(mirror)
    assert not math.isnan(bound)


def test_a_paired_change_of_few_samples_needs_much_more_when_it_is_looked_at_often():
    change = Score(0.4, 0.3, 0.5, 8, "step 10")
    assert change.widen(0.025) == change
    often = change.widen(0.025 / 200)
    assert often.low < 0.2 < often.value == 0.4 and (often.samples, often.reason) == (8, "step 10")
    assert msgspec.structs.replace(change, samples=500).widen(0.025 / 200).low > often.low
    assert Score(0.4).widen(0.025 / 200) == Score(0.4)
