"""Trials side by side, by values worked out by hand."""

import pytest
from msgspec.structs import replace

from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series
from core.contract.views import trial_comparison as c
from tests.contract.test_insight import study, trial


def of(number, **fields):
    return s.Trial(number, state=s.COMPLETE, **fields)


def test_only_the_knobs_that_differ_are_told_the_tables_order_first():
    one = of(0, knobs={"seed": 0, "lora_rank": 8, "optimizer": "adamw"}, params={"lora_rank": 8})
    other = of(1, knobs={"seed": 0, "lora_rank": 16, "optimizer": "sgd", "steps": 9})
    assert c.list_differing([one, other]) == [
        ("lora_rank", (8, 16)), ("optimizer", ("adamw", "sgd")), ("steps", (None, 9))
    ]  # fmt: skip
    assert c.list_differing([one, one]) == [] and c.list_differing([]) == []


def test_the_best_of_each_metric_is_marked_by_its_own_direction():
    found = study(trial(0, 2.0), trial(1, 1.0), trial(2, 1.0))
    told = {measure.name: measure for measure in c.list_measures(found, list(found.trials.values()))}
    assert told["eval/loss"].best == (1, 2)
    trials = [
        replace(found.trials[number], latest={"eval/accuracy": value, "train/grad_norm": 1.0})
        for number, value in enumerate([0.5, 0.7, 0.6])
    ]
    told = {measure.name: measure for measure in c.list_measures(found, trials)}
    assert told["eval/accuracy"].best == (1,), "higher is better"
    assert "train/grad_norm" not in told, "no result"


def test_a_lead_within_the_error_bars_is_not_clear():
    found = study(trial(0, 2.0), trial(1, 1.0))
    near = [Score(0.10, 0.05, 0.15, 64), Score(0.12, 0.07, 0.17, 64)]
    far = [Score(0.10, 0.09, 0.11, 64), Score(0.30, 0.28, 0.32, 64)]
    for scores, clear in ((near, False), (far, True), ([Score(0.1), Score(0.3)], None)):
        trials = [replace(found.trials[n], scores={"safety/toxicity": scores[n]}) for n in (0, 1)]
        told = {measure.name: measure for measure in c.list_measures(found, trials)}["safety/toxicity"]
        assert (told.best, told.clear) == ((0,), clear)


def test_what_only_one_has_or_all_have_alike_has_no_best():
    found = study(trial(0, 1.0), trial(1, 1.0), trial(2, None, end="running"))
    told = {measure.name: measure for measure in c.list_measures(found, list(found.trials.values()))}
    assert told["eval/loss"].best == () and told["eval/loss"].scores[2] is None


def test_time_follows_the_speed_and_ends_with_the_measured_time():
    speeds = Series((100, 200), (50.0, 100.0), seen=2)  # half as fast in the first half
    one = of(0, step=200, elapsed_s=30.0, series={c.SPEED: speeds})
    time = c.make_scale(one, "time")
    assert [time(step) for step in (0, 50, 100, 200)] == pytest.approx([0.0, 10.0, 20.0, 30.0])
    tokens = c.make_scale(one, "tokens")
    assert [tokens(step) for step in (100, 200)] == pytest.approx([1000.0, 2000.0]), "20 s × 50, 10 s × 100"
    assert c.make_scale(one, "steps")(7) == 7


def test_without_a_speed_time_is_even_and_tokens_are_not_known():
    one = of(0, step=10, elapsed_s=5.0)
    assert c.make_scale(one, "time")(4) == pytest.approx(2.0)
    assert c.make_scale(one, "tokens") is None
    assert c.make_scale(of(0), "time") is None


def test_the_axis_says_what_it_is():
    assert (
        c.describe_axis("tokens").startswith("tokens")
        and "speed" in c.describe_axis("time")
        and "steps" in c.describe_axis("steps")
    )


def test_marked_trials_are_compared_and_one_alone_with_the_best():
    found = study(trial(0, 2.0), trial(1, 1.0), trial(2, 3.0), trial(3, 4.0))
    assert c.choose_trials(found, [3, 0, 9], 2) == [0, 3]
    assert c.choose_trials(found, [], 2) == [2, 1]
    assert c.choose_trials(found, [3], 3) == [3, 1]
    assert c.choose_trials(found, [], 1) == [1] and c.choose_trials(study(), [], None) == []


def test_metrics_with_a_curve_the_losses_first():
    one = of(0, series={"train/loss": Series((1,), (1.0,)), "a/b": Series((1,), (1.0,)), "c/d": Series()})
    other = of(1, series={"eval/loss": Series((1,), (1.0,))})
    assert c.list_metrics([one, other]) == ["eval/loss", "train/loss", "a/b"]
