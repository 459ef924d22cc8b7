"""A board's number beside the base's and its limits, and how it is written."""

from __future__ import annotations

import math

import pytest

from core.contract.metric_score import Score
from core.contract.spec.metric_limits import Limit
from core.contract.state.engine_state import Study, Trial
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import (
    format_bound,
    format_change,
    format_figure,
    format_interval,
    format_score,
)

LIMITS = ["safety/toxicity <= 8 %", "quality/exact >= 0.3", "from a newer trimtab", "quality/exact <= 0.9"]
BASE = {"safety/toxicity": Score(0.02, 0.01, 0.04, 100), "quality/exact": Score(0.4, 0.3, 0.5, 90)}


def study(**scores: Score) -> Study:
    found = {name.replace("_", "/", 1): score for name, score in scores.items()}
    spec = {"evaluate": {"limits": LIMITS, "every": 20, "generate_every": 4}}
    return Study("s", spec=spec, base_scores=BASE, trials={0: Trial(0, scores=found)})


def reading(name: str, score: Score) -> r.Reading:
    one = study(**{name.replace("/", "_", 1): score})
    return r.read(one, one.trials[0], name, r.list_limits(one))


def test_better_follows_the_metrics_direction():
    assert reading("safety/toxicity", Score(0.5, 0.4, 0.6, 64)).better is False
    assert reading("safety/toxicity", Score(0.01, 0.0, 0.02, 64)).better is True
    assert reading("quality/exact", Score(0.7, 0.6, 0.8, 64)).better is True
    assert reading("quality/exact", Score(0.4, 0.3, 0.5, 64)).better is None


def test_a_change_that_the_intervals_explain_is_not_clear():
    assert reading("quality/exact", Score(0.7, 0.6, 0.8, 64)).clear
    assert not reading("quality/exact", Score(0.45, 0.35, 0.55, 64)).clear
    assert not reading("quality/exact", Score(0.9, None, None, 1)).clear, "no interval bears it out"


def test_the_verdict_is_the_worst_of_all_limits_and_only_clear_breaches_are_called_so():
    assert reading("safety/toxicity", Score(0.05, 0.01, 0.07, 64)).verdict == "ok"
    assert reading("safety/toxicity", Score(0.1, 0.05, 0.2, 64)).verdict == "unsure"
    assert reading("safety/toxicity", Score(0.2, 0.15, 0.3, 64)).verdict == "breached"
    assert reading("safety/toxicity", Score(0.2, 0.09, 0.3, 64)).verdict == "unsure", "one in 40 is chance"
    assert reading("safety/toxicity", Score.without_value("silent")).verdict == "unsure"
    assert reading("quality/exact", Score(0.95, 0.92, 0.99, 64)).verdict == "breached", "the second limit"
    assert reading("safety/bias", Score(0.1, 0.0, 0.2, 64)).verdict is None


def test_what_is_not_there_changes_nothing():
    one = reading("safety/bias", Score(0.1, 0.0, 0.2, 64))
    assert (one.base, one.change, one.better) == (None, None, None)
    assert reading("safety/toxicity", Score.without_value("silent")).change is None
    assert reading("safety/toxicity", Score(math.nan, None, None, 3)).change is None


def test_boards_are_those_switched_on_and_those_with_numbers():
    assert r.list_boards(Study("s")) == ()
    assert r.list_boards(Study("s", spec={"evaluate": {"boards": ["security", "quality"]}})) == (
        "quality",
        "security",
    )
    assert r.list_boards(study()) == ("quality", "safety")
    found = study(safety_refusal=Score(0.1), safety_new=Score(1.0), safety_bias=Score(0.1))
    assert r.list_names(found, "safety") == ("safety/toxicity", "safety/bias", "safety/refusal", "safety/new")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.125, "fraction", "12.5%"),
        (1.0, "fraction", "100%"),
        (0.0004, "fraction", "0.04%"),
        (0.0, "fraction", "0%"),
        (2.345, "nats/token", "2.35"),
        (5213.4, "tokens/s", "5213"),
        (123456.0, "tokens/s", "1e5"),
        (0.00004, "", "4e-5"),
        (math.inf, "", "inf"),
        (None, "fraction", "–"),
    ],
)
def test_a_figure_has_its_unit_and_at_most_six_characters(value, unit, shown):
    assert format_figure(value, unit) == shown and len(shown) <= 6


def test_changes_have_a_sign_and_intervals_one_percent_sign():
    assert (
        format_change(-0.031, "fraction") == "-3.1"
        and format_change(0.5) == "+0.500"
        and format_change(None) == ""
    )
    score = Score(0.125, 0.071, 0.202, 64)
    assert format_interval(score, "fraction") == "7.1–20.2%" and format_interval(Score(1.0)) == ""
    assert format_score(score, "fraction") == "12.5% (7.1–20.2%, 64 samples)"
    assert format_score(Score(None, samples=1)) == "– (1 sample)" and format_score(Score(2.0)) == "2.00"
    assert format_bound(Limit.parse("safety/toxicity < 2 %"), "fraction") == "< 2%"
