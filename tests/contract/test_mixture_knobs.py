"""The weights of a mixture are knobs: of forms, edits, clones, filters, columns and screens."""

from __future__ import annotations

import pytest

from core.cli.steer import change_study
from core.contract.edits import input_values, knob_edit_checks
from core.contract.edits.spec_changes import merge_changes
from core.contract.spec import spec_file
from core.contract.state.engine_state import Study, Trial
from core.contract.views import knob_axes
from core.contract.views.charts.available_charts import plan_charts
from core.contract.views.trial_comparison import list_differing, list_measures
from core.contract.views.trials.filter_completion import complete_filter
from core.contract.views.trials.trial_fields import find_field, list_fields
from core.contract.views.trials.trial_filter import Context, FilterFault, parse_filter
from core.errors import RefusedError
from tui.steering import dimension_text, study_form, trial_forms
from tui.trial.trial_screen import describe_balance

RAW = {
    "study": {"name": "mixed"},
    "model": {"base": "m"},
    "data": {
        "mixture": [
            {"name": "code", "source": "code.jsonl"},
            {"name": "web", "source": "web.jsonl", "weight": 2.0},
            {"name": "old", "source": "old.jsonl", "replay": True},
        ]
    },
    "space": {"weight.code": {"low": 0.1, "high": 10.0, "log": True}, "replay": {"low": 0.0, "high": 0.3}},
}
SPEC = spec_file.parse(RAW)


def make_trial(number: int, **knobs) -> Trial:
    latest = {"eval/loss": 2.0, "train/row_share/code": 0.25, "train/token_share/code": 0.3}
    latest |= {"train/row_share/web": 0.75, "train/token_share/web": 0.7}
    params = {name: value for name, value in knobs.items() if name in SPEC.space}
    return Trial(number, state="running", knobs={**SPEC.train, **knobs}, params=params, latest=latest)


TRIALS = {
    0: make_trial(0, **{"weight.code": 0.5, "replay": 0.1}),
    1: make_trial(1, **{"weight.code": 4.0, "replay": 0.1}),
}
STUDY = Study("mixed", spec=spec_file.convert_to_raw(SPEC), trials=TRIALS)


def test_a_running_trial_keeps_its_mixture_and_a_clone_may_have_another():
    with pytest.raises(RefusedError, match="clone it with another value"):
        knob_edit_checks.check_edit(TRIALS[0], {"weight.code": 1.0})
    knobs = knob_edit_checks.check_clone(TRIALS[0], {"weight.code": "x2", "replay": 0.2}, 0)
    assert (knobs["weight.code"], knobs["replay"]) == (1.0, 0.2)
    with pytest.raises(RefusedError, match="unknown knob"):
        knob_edit_checks.check_clone(TRIALS[0], {"weight.cdoe": 1.0}, 0)
    with pytest.raises(RefusedError, match="at least 0"):
        knob_edit_checks.check_clone(TRIALS[0], {"weight.code": -1.0}, 0)


def test_a_trial_by_hand_may_have_any_weights_of_the_mixture():
    knobs, learnable = knob_edit_checks.check_by_hand(SPEC, {}, {"weight.code": 3.0, "replay": 0.0})
    assert learnable and knobs["weight.code"] == 3.0
    _, learnable = knob_edit_checks.check_by_hand(
        SPEC, {}, {"weight.code": 3.0, "replay": 0.0, "weight.web": 9.0}
    )
    assert not learnable, "the other trials have another weight"
    with pytest.raises(RefusedError, match="unknown knob"):
        knob_edit_checks.check_by_hand(SPEC, {}, {"weight.cdoe": 1.0})


def test_what_is_typed_for_a_weight_is_read():
    assert input_values.parse_edit(TRIALS[0], "weight.code", "2").value == 2.0
    assert input_values.parse_edit(TRIALS[0], "weight.code", "x0.5").value == "x0.5"
    assert input_values.parse_edit(TRIALS[0], "weight.web", "").value is None, "its share of the rows"
    assert dimension_text.read("weight.web", "0.1 … 10 log").value == {"low": 0.1, "high": 10.0, "log": True}


def test_forms_have_a_row_for_each_weight():
    weights = {"weight.code", "weight.web", "weight.old", "replay"}
    labels = {row.label for row in study_form.make_rows(STUDY)}
    assert weights <= labels
    for rows in (trial_forms.make_new_rows(STUDY, None), trial_forms.make_clone_rows(STUDY, TRIALS[0])):
        assert weights <= {row.name for row in rows}
    assert not weights & {row.name for row in trial_forms.make_edit_rows(STUDY, TRIALS[0])}, (
        "it trains already"
    )


def test_a_weight_that_is_fixed_may_be_searched_from_now_on():
    changed = merge_changes(
        spec_file.convert_to_raw(SPEC), {"space": {"weight.web": {"low": 0.5, "high": 4.0}}}
    )
    assert spec_file.parse(changed).space["weight.web"].high == 4.0


def test_a_weight_is_changed_on_the_command_line_by_its_name():
    for key in ("space.weight.web", 'space."weight.web"'):
        changed = change_study._parse_changes(
            STUDY, [f"{key}={{low = 0.5, high = 4.0}}", "space.replay=none"]
        )
        assert changed == {"space": {"weight.web": {"low": 0.5, "high": 4.0}, "replay": None}}


def test_filters_columns_and_axes_know_weights_by_their_names():
    found = parse_filter(STUDY, "weight.code>1 replay=0.1").matches
    assert [number for number, trial in TRIALS.items() if found(Context(STUDY), trial)] == [1]
    with pytest.raises(FilterFault, match=r"did you mean 'weight.code'"):
        parse_filter(STUDY, "weight.cod>1")
    assert complete_filter(STUDY, "weight.w") == "weight.web"
    assert {"weight.code", "weight.old", "replay"} <= {field.name for field in list_fields(STUDY)}
    assert find_field(STUDY, "weight.code").label == "weight.code"
    assert find_field(Study("plain"), "weight.code") is None
    assert [axis.short for axis in knob_axes.list_axes(STUDY)] == ["weight.code", "replay"]


def test_compared_trials_differ_in_their_weights_and_not_in_the_shares_that_follow():
    assert list_differing(list(TRIALS.values())) == [("weight.code", (0.5, 4.0))]
    assert [measure.name for measure in list_measures(STUDY, list(TRIALS.values()))] == ["eval/loss"]
    assert [plan.title for plan in plan_charts(list(TRIALS.values()))] == ["loss"]


def test_the_balance_of_a_trial_is_one_line():
    assert describe_balance(TRIALS[0]) == "code 25% (30%), web 75% (70%)"
    assert describe_balance(Trial(0)) == ""
