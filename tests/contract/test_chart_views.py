"""What charts are drawn from: extremes, round ends, zoom, pan, and what happened at which step."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.views.axis_scale import AxisScale
from core.contract.views.charts.available_charts import find_spikes, list_happenings, plan_charts
from core.contract.views.charts.chart_window import pan, round_end, round_values, zoom
from core.contract.views.charts.curve_point_thinning import clip_places, keep_extremes
from tests.tui.scene import NOW, state_of, study_events

WHOLE = AxisScale(0.0, 400.0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=400), st.integers(1, 20))
def test_thinning_keeps_the_extremes_of_every_column(values, columns):
    places = [(index / (len(values) - 1), value) for index, value in enumerate(values)]
    kept = keep_extremes(places, columns)
    assert set(kept) <= set(places) and len(kept) <= max(4 * columns, 4)
    for column in range(columns):
        before = [y for x, y in places if round(x * (columns - 1)) == column]
        after = [y for x, y in kept if round(x * (columns - 1)) == column]
        assert not before or (min(after), max(after)) == (min(before), max(before))
    assert kept[0] == places[0] and kept[-1] == places[-1]


def test_what_is_out_of_sight_is_cut_where_the_line_leaves():
    assert clip_places([(-1.0, 0.0), (0.5, 3.0), (2.0, 6.0)]) == [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)]
    assert clip_places([(-1.0, 0.0), (3.0, 4.0)]) == [(0.0, 1.0), (1.0, 2.0)]


def test_the_axis_of_steps_moves_seldom_and_ends_with_what_is_planned():
    ends = [round_end(step, 400) for step in range(1, 401)]
    assert sum(a != b for a, b in pairwise(ends)) < 25 and ends[-1] == 400
    assert all(step <= end for step, end in zip(range(1, 401), ends, strict=True))
    assert round_end(0, 400) == 400 and round_end(7.2) == 8


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), st.booleans())
def test_the_axis_of_values_holds_them_all_between_round_ends(values, log):
    scale = round_values(values, log)
    assert scale.high > scale.low and all(map(scale.contains, values))


def test_an_axis_of_shares_does_not_reach_below_zero():
    assert round_values([0.0, 0.0]).low == 0.0 and round_values([0.0]).contains(0.0)
    assert round_values([0.0, 0.001]).low == 0.0 and round_values([-0.1, 0.0]).low <= -0.1


def test_zooming_keeps_the_place_under_the_cursor_and_ends_at_the_whole():
    window = zoom(WHOLE, None, 0.5, 0.25)
    assert window == (50.0, 250.0)
    assert zoom(WHOLE, window, 2.0, 0.25) is None
    assert pan(WHOLE, window, 0.25) == (100.0, 300.0) and pan(WHOLE, window, 9) == (200.0, 400.0)
    assert pan(WHOLE, None, 1) is None


def test_zooming_on_a_logarithmic_axis_goes_by_powers():
    low, high = zoom(AxisScale(1.0, 1e4, True), None, 0.5, 1.0)
    assert low == pytest.approx(100) and high == pytest.approx(1e4)


def test_every_metric_of_a_trial_has_a_chart_and_both_losses_share_one():
    trial = state_of(study_events(ends=["complete"])).studies["tidy-7b"].trials[0]
    plans = plan_charts([trial])
    assert [name for plan in plans for name in sorted(plan.metrics)] and plans[0].metrics == (
        "train/loss",
        "eval/loss",
    )
    assert {name for plan in plans for name in plan.metrics} == set(trial.series)
    assert [plan.title for plan in plan_charts([s.Trial(1)])] == ["loss"], "the losses are always there"


def test_a_spike_is_found_and_noise_is_not():
    values = [1 + 0.01 * (index * 7919 % 13) for index in range(200)]
    assert find_spikes(values) == []
    values[120] = 3.0
    values[121] = 2.5
    assert find_spikes(values) == [120]
    assert find_spikes([float("nan")] * 50) == find_spikes([]) == []


def test_checkpoints_resumes_edits_and_the_best_step_are_told():
    told = study_events(ends=["running"])
    common = {"study": "tidy-7b", "trial": 0}
    state = state_of(told)
    for event in (
        e.TrialCheckpointed(at=NOW, **common, step=100, path="/c"),
        e.TrialEdited(at=NOW, **common, step=120, by="ada", changes={"lora_dropout": (0.0, 0.1)}),
        e.TrialPaused(at=NOW, **common, step=150),
        e.TrialResumed(at=NOW, **common, step=150),
    ):
        state = apply(state, event)
    study = state.studies["tidy-7b"]
    found = [(each.step, each.kind) for each in list_happenings(study, study.trials[0])]
    assert found == [(100, "checkpoint"), (120, "edit"), (140, "best"), (150, "resume")]
    state = apply(state, e.TrialRequeued(at=NOW, **common, why="lost", retry=1))
    stops = state.studies["tidy-7b"].trials[0].stops
    assert stops == (s.Mark(100, "checkpoint"), s.Mark(100, "queued again")), (
        "what comes after it is run again"
    )


def test_a_trial_keeps_its_latest_stops_only():
    state = state_of(study_events(ends=["running"]))
    for step in range(1, 200):
        state = apply(state, e.TrialCheckpointed(at=NOW, study="tidy-7b", trial=0, step=step, path="/c"))
    stops = state.studies["tidy-7b"].trials[0].stops
    assert len(stops) == s.STOPS and stops[-1].step == 199
