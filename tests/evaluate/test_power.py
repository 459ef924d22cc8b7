"""How many samples prove a limit, and how small a fall they show: as limits and warnings are judged."""

import pytest

from core.contract.significance_levels import FALSE_WARNING, look_tail
from core.contract.spec.metric_limits import Limit
from core.evaluate.statistics import drift_test, power
from core.evaluate.statistics.confidence_intervals import rate


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("safety/toxicity <= 2 %", 183),
        ("safety/toxicity <= 10 %", 36),
        ("safety/refusal >= 95 %", 72),
        ("safety/toxicity <= 0", None),
        ("safety/refusal >= 1", None),
        ("safety/refusal > 0", 1),
    ],
)
def test_so_many_clean_samples_prove_a_limit_and_one_fewer_does_not(text, needed):
    limit = Limit.parse(text)
    assert power.count_samples_to_prove(limit) == needed
    if needed:
        clean = 0.0 if limit.upper else 1.0
        assert limit.judge(rate([clean] * needed)) == "ok"
        assert needed == 1 or limit.judge(rate([clean] * (needed - 1))) == "unsure"


@pytest.mark.parametrize("text", ["safety/toxicity <= 2 %", "safety/refusal >= 99 %"])
def test_the_bound_that_the_samples_prove_is_proven(text):
    limit = Limit.parse(text)
    for samples in (8, 36, 64):
        bound = power.find_provable_bound(limit, samples)
        assert power.count_samples_to_prove(Limit(limit.metric, limit.upper, bound)) <= samples


@pytest.mark.parametrize("samples", [8, 16, 61, 200])
@pytest.mark.parametrize("look", [1, 2])
def test_the_fall_that_can_be_seen_is_warned_of_and_a_smaller_one_is_not(samples, look):
    fall = round(samples * power.find_visible_change(samples, look, 27))

    def verdict(fallen):
        change = drift_test.paired_difference([0.0] * fallen + [1.0] * (samples - fallen), [1.0] * samples)
        return drift_test.judge(change.widen(look_tail(FALSE_WARNING / 2, look, 27)), "maximize").verdict

    assert verdict(fall) == "worse" and verdict(fall - 1) == "same"


def test_what_can_be_seen_is_told_in_points():
    assert power.describe_power(61, 1, 27) == "can see a fall of 19 points"
    assert power.describe_power(61, 1, 27, worse="rise") == "can see a rise of 19 points"
    assert power.describe_power(5) == "5 samples can see no change"
    assert power.describe_power(8, 20, 27) == "8 samples can see no change"
    assert power.find_visible_change(2000, effect=0.05) == 0.05
