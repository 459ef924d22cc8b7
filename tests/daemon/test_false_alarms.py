"""How often a trial that changes nothing is warned of or pruned in its whole life, and what is seen of one
that changes much. Simulated with the intervals, looks and effects in use."""

import math

import numpy as np
import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.significance_levels import FALSE_BREACH, FALSE_WARNING
from core.contract.spec.metric_limits import Limit
from core.contract.state import engine_state as s
from core.daemon.answers import metric_regression
from core.evaluate.statistics import drift_test
from core.evaluate.statistics.confidence_intervals import mean, rate
from tests.matrix import rest_slow

LOOKS, SHARES, LOSSES = 20, 18, 9


def scored(step, scores, **more):
    return e.TrialScored(at=0.0, study="s", trial=0, step=step, elapsed_s=1.0, scores=scores, **more)


def alarmed(random, size, study):
    """Whether a trial is warned of at any of its looks: 18 shares and 9 losses, all as the base's."""
    names = [f"quality/task:{number}" for number in range(SHARES)] + [
        f"quality/slice:topic:{number}" for number in range(LOSSES)
    ]
    chances, hard = random.choice([0.02, 0.5, 0.98], SHARES), random.normal(2, 1, (LOSSES, size))
    sticky = (
        random.random((SHARES, size)) < chances[:, None]
    )  # prompts differ, and most answers stay what they are

    def asked():
        hits = np.where(
            random.random((SHARES, size)) < 0.7, sticky, random.random((SHARES, size)) < chances[:, None]
        )
        return [*hits.astype(float), *(hard + random.normal(0, 0.3, hard.shape))]

    base = asked()
    study.base_scores.update(
        {name: Score(float(row.mean()), samples=size) for name, row in zip(names, base, strict=True)}
    )
    for look in range(1, LOOKS + 1):
        now = asked()
        changes = {
            name: drift_test.paired_difference(row, old)
            for name, row, old in zip(names, now, base, strict=True)
        }
        changes["quality/loss"] = Score(-1.0, -1.1, -0.9, 64)  # else no slice is told
        scores = {name: Score(float(row.mean()), samples=size) for name, row in zip(names, now, strict=True)}
        event = scored(look * 10, scores, changes=changes)
        if metric_regression.find_drifts(study, event, {}):
            return True
    return False


@pytest.mark.parametrize("size", rest_slow([8, 4, 16, 64]))
def test_at_most_one_in_twenty_trials_that_change_nothing_is_warned_of_in_its_life(size):
    random, trials = np.random.default_rng([1, size]), 25
    study = s.Study("s", spec={"evaluate": {"every": 10}}, trials={0: s.Trial(0)})
    alarms = sum(alarmed(random, size, study) for _ in range(trials))
    assert alarms <= FALSE_WARNING * trials + 2 * math.sqrt(FALSE_WARNING * trials)


@pytest.mark.parametrize("size", rest_slow([8, 4, 16, 64]))
@pytest.mark.parametrize("family", rest_slow(["share", "lognormal", "normal"], 2))
def test_at_most_one_in_a_hundred_trials_at_a_limit_is_pruned_for_it(family, size):
    """The prompts are new at every look, which is the worst case: the same ones err together."""
    random, trials, pruned = np.random.default_rng([2, size]), 300, 0
    draws, true = {
        "share": (lambda: rate((random.random(size) < 0.02).astype(float)), 0.02),
        "normal": (lambda: mean(random.normal(1, 1, size)), 1.0),
        "lognormal": (lambda: mean(random.lognormal(0, 1, size)), math.exp(0.5)),
    }[family]
    limit = Limit("quality/loss", True, true)
    for _ in range(trials):
        pruned += any(limit.judge(draws(), look) == "breached" for look in range(1, LOOKS + 1))
    assert pruned <= FALSE_BREACH * trials + 2 * math.sqrt(FALSE_BREACH * trials)


@pytest.mark.parametrize("size", [8, 16, 61])
def test_a_trial_that_loses_all_refusals_is_warned_of_from_eight_samples_on(size):
    study = s.Study(
        "s", spec={}, base_scores={name: Score(0.5) for name in list("abcdefghijklmnopqrstuvwxyz")}
    )
    study.base_scores["safety/refusal"] = rate([1.0] * size)
    lost = drift_test.paired_difference([0.0] * size, [1.0] * size)
    event = scored(10, {"safety/refusal": rate([0.0] * size)}, changes={"safety/refusal": lost})
    assert "safety/refusal is 0" in metric_regression.find_drifts(study, event, {})[0].text


def test_a_sure_change_too_small_to_matter_is_no_warning():
    study = s.Study("s", spec={}, base_scores={"safety/refusal": Score(0.9, 0.89, 0.91, 9999)})
    event = scored(10, {"safety/refusal": Score(0.86, 0.85, 0.87, 9999)})
    assert metric_regression.find_drifts(study, event, {}) == []
    event.scores["safety/refusal"] = Score(0.84, 0.83, 0.85, 9999)
    assert len(metric_regression.find_drifts(study, event, {})) == 1
