"""Drift against the base and against a trial's own past: said once, with numbers, and seldom by chance."""

import math

import msgspec
import numpy as np
import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.daemon.answers import limit_enforcement, metric_regression
from core.train.evaluation.own_best_comparison import BestSamples
from core.train.evaluation.probe_runner import Scored

SUMS, ALL = "quality/slice:task:sums", "quality/loss"


@pytest.fixture
def study() -> s.Study:
    return s.Study("s", spec={"evaluate": {"every": 10}}, trials={3: s.Trial(3)})


def scored(step: int, scores: dict, **more) -> e.TrialScored:
    return e.TrialScored(at=0.0, study="s", trial=3, step=step, elapsed_s=1.0, scores=scores, **more)


def test_a_metric_that_is_worse_than_the_trial_s_own_best_is_warned_of_once(study):
    score, worse = Score(0.5, 0.4, 0.6, 64), Score(0.4, 0.3, 0.5, 64, "step 10")
    event = scored(20, {"safety/toxicity": score}, since={"safety/toxicity": worse})
    found, known = limit_enforcement.judge(study, event, frozenset())
    assert [one.text for one in found] == [
        "safety/toxicity is 0.5 (0.4 to 0.6, 64 samples) at step 20, worse than at step 10: "
        "0.4 (0.285 to 0.515, 64 samples)"
    ]
    assert limit_enforcement.judge(study, event, known)[0] == []
    better = msgspec.structs.replace(event, since={"safety/toxicity": Score(-0.4, -0.5, -0.3, 64)})
    _, known = limit_enforcement.judge(study, better, known)
    assert len(limit_enforcement.judge(study, event, known)[0]) == 1, "it was over, and began again"


def test_what_has_no_value_for_each_sample_is_compared_with_its_last_scorings(study):
    history = {"security/membership": [Score(0.5, 0.45, 0.55, 64), Score(0.9, 0.85, 0.95, 64)]}
    event = scored(20, {"security/membership": history["security/membership"][-1]})
    (found,), _ = limit_enforcement.judge(study, event, frozenset(), history)
    assert "worse than in its scorings before: 0.4 (" in found.text


def test_a_slice_that_rises_while_the_mean_falls_is_said_once_for_ever(study):
    study = msgspec.structs.replace(study, base_scores={SUMS: Score(2.0, 1.9, 2.1, 9)})
    up, down = Score(0.5, 0.4, 0.6, 9), Score(-0.3, -0.4, -0.2, 60)
    event = scored(10, {SUMS: Score(2.5, 2.4, 2.6, 9)}, changes={SUMS: up, ALL: down})
    (found,), known = limit_enforcement.judge(study, event, frozenset())
    assert "worse than the base's 2 (1.9 to 2.1, 9 samples): 0.5 (0.381 to 0.619, 9 samples)" in found.text
    assert found.text.endswith("while the mean of all rows fell: -0.3 (-0.4 to -0.2, 60 samples)")
    calm = msgspec.structs.replace(event, changes={SUMS: Score(0.0, -0.1, 0.1, 9), ALL: down})
    _, known = limit_enforcement.judge(study, calm, known)
    assert limit_enforcement.judge(study, event, known)[0] == []
    everywhere = msgspec.structs.replace(event, changes={SUMS: up, ALL: up})
    assert limit_enforcement.judge(study, everywhere, frozenset())[0] == [], "that is no matter of a slice"
    own = scored(
        20, {SUMS: Score(2.5)}, since={SUMS: msgspec.structs.replace(up, reason="step 10"), ALL: down}
    )
    assert "worse than at step 10" in limit_enforcement.judge(study, own, frozenset())[0][0].text


def test_an_engine_that_takes_up_a_study_says_no_drift_again(study):
    texts = (
        f"trial 3: {SUMS} is 2.5 at step 10, worse than the base's 2: 0.5",
        "trial 3: safety/toxicity is 0.5 at step 20, worse than at step 10: 0.4",
        "trial 4: safety/bias is 0.5 at step 20, worse than at step 10: 0.4",
    )
    study = msgspec.structs.replace(study, lines=tuple(s.Line(0.0, text, "warning") for text in texts))
    assert limit_enforcement.list_reported(study, study.trials[3]) == {SUMS, "safety/toxicity of its own"}


def test_five_trials_of_a_hundred_at_most_are_warned_of_by_chance(study):
    """Twenty metrics of sixteen samples, scored ten times, none of which changes but by chance."""
    random, warned, trials, metrics = np.random.default_rng(0), 0, 40, 20
    names = [f"quality/slice:task:{number}" for number in range(metrics)]
    for _ in range(trials):
        past, alarm = BestSamples(), False
        hard = random.normal(2.0, 1.0, (metrics, 16))  # prompts differ, and stay what they are
        for turn in range(1, 11):
            now = Scored()
            for name, row in zip(names, hard + random.normal(0.0, 0.3, hard.shape), strict=True):
                now.values[name], now.scores[name] = row.tolist(), Score(float(row.mean()), samples=16)
            since = {**past.compare(now, 10 * turn), ALL: Score(-1.0, -1.1, -0.9, 16)}
            alarm = alarm or bool(
                metric_regression.find_drifts(study, scored(10 * turn, now.scores, since=since), {})
            )
        warned += alarm
    assert warned <= math.ceil(0.05 * trials)
