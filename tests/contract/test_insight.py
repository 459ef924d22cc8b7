"""What a study has shown, by values worked out by hand."""

import math

import pytest

from core.contract.events import event_types as e
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.views import study_insight as i
from core.contract.views.knob_axes import Axis, list_axes

ONE = [{"metric": "eval/loss", "direction": "minimize"}]
TWO = [*ONE, {"metric": "eval/accuracy", "direction": "maximize"}]
SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "lora_rank": [8, 16, 64],
    "lora_dropout": {"low": 0.0, "high": 0.5},
}


def trial(number, value, rate=1e-3, rank=16, end=s.COMPLETE, at=0.0, step=None, values=None):
    """Queued, run, and ended at ``at`` with ``value``: a result, or the last reading."""
    common = {"study": "s", "trial": number}
    params = {"learning_rate": rate, "lora_rank": rank}
    told = [
        e.TrialQueued(at=1.0, **common, params=params, knobs=params),
        e.TrialStarting(at=2.0, **common, worker="w", device="cpu"),
        e.TrialRunning(at=3.0, **common, step=0, total_steps=100),
    ]
    step = step if step is not None else 100 if end == s.COMPLETE else 40
    if value is not None:
        told.append(
            e.TrialEvaluated(at=4.0, **common, step=step, elapsed_s=1.0, metrics={"eval/loss": value})
        )
    at = at or 10.0 + number
    if end == s.COMPLETE:
        told.append(e.TrialCompleted(at=at, **common, step=step, values=values or (value,)))
    elif end == s.PRUNED:
        told.append(e.TrialPruned(at=at, **common, step=step, why=f"worse at {step}"))
    elif end == s.FAILED:
        told.append(e.TrialFailed(at=at, **common, error="nan", step=step))
    return told


def study(*trials, objectives=ONE, space=SPACE):
    spec = {"study": {"trials": 9, "objectives": objectives}, "space": space}
    state = apply(s.State(), e.StudyCreated(at=0.0, study="s", spec=spec, folder="/s"))
    for one in trials:
        for event in one:
            state = apply(state, event)
    return state.studies["s"]


def test_the_history_goes_by_the_ends_and_only_results_make_a_best():
    found = study(
        trial(0, 2.0, at=20.0), trial(1, 1.0, end=s.PRUNED, at=15.0), trial(2, 1.5, at=30.0),
        trial(3, 1.8, at=40.0), trial(4, 0.5, end="running"), trial(5, None, end=s.FAILED),
    )  # fmt: skip
    moments = i.list_history(found)
    assert [moment.point.trial for moment in moments] == [1, 0, 2, 3]
    assert [moment.best for moment in moments] == [None, 2.0, 1.5, 1.5]
    assert [moment.point.early for moment in moments] == [True, False, False, False]


def test_a_reading_that_is_no_number_does_not_count():
    assert [point.trial for point in i.list_points(study(trial(0, math.nan), trial(1, 1.0)))] == [1]


def test_an_axis_knows_logarithms_choices_and_what_is_not_on_it():
    rate, rank, dropout = list_axes(study())
    assert rate.place(1e-3) == pytest.approx(0.5) and rate.place(1e-5) == 0.0 and rate.place(0.1) == 1.0
    assert rank.place(16) == 0.5 and rank.place(64) == 1.0 and rank.place(32) is None
    assert dropout.place(0.125) == 0.25 and dropout.place(0.6) is None and dropout.place("x") is None
    assert [place for place, _ in rank.list_marks()] == [0.0, 0.5, 1.0]
    assert [value for _, value in rate.list_marks()] == [1e-5, 1e-3, 0.1]
    modules = Axis("target_modules", choices=("attention", ["q_proj", "v_proj"]))
    assert modules.place(("q_proj", "v_proj")) == 1.0


def test_what_a_space_of_another_version_says_is_left_out():
    broken = {"learning_rate": {"lo": 1}, "lora_rank": [], "lora_alpha": 3, "seed": [1, 2]}
    assert [axis.name for axis in list_axes(study(space=broken))] == ["seed"]


def test_a_slice_has_each_trial_at_its_value():
    found = study(trial(0, 2.0, rate=1e-5), trial(1, 1.0, rate=1e-3, end=s.PRUNED), trial(2, 3.0, rate=0.1))
    placed = i.make_slice(found, list_axes(found)[0])
    assert [(round(place, 6), point.trial, point.early) for place, point in placed] == [
        (0.0, 0, False), (0.5, 1, True), (1.0, 2, False)
    ]  # fmt: skip


def test_ranks_are_shares_of_the_others_and_equals_share_one():
    points = [i.Point(0, 3.0, False), i.Point(1, 1.0, False), i.Point(2, 1.0, False), i.Point(3, 2.0, True)]
    assert i.rank_points(points, "minimize") == {1: 0.0, 2: 0.0, 3: pytest.approx(2 / 3), 0: 1.0}
    assert i.rank_points(points, "maximize")[0] == 0.0
    assert i.rank_points(points[:1], "minimize") == {0: 0.0}


def test_a_grid_holds_the_mean_of_each_cell_and_between_them_the_nearer_counts_more():
    found = study(
        trial(0, 1.0, rate=1e-5, rank=8), trial(1, 3.0, rate=1e-5, rank=8), trial(2, 6.0, rate=0.1, rank=8)
    )
    rate, rank, _ = list_axes(found)
    known = i.make_grid(found, rate, rank, 4, 3)
    assert known == {(0, 0): 2.0, (3, 0): 6.0}
    field = i.interpolate(known, 4, 3, reach=1.0)
    assert field[0][0] == 2.0 and field[0][3] == 6.0
    assert field[0][1] == pytest.approx((2.0 / 1 + 6.0 / 4) / (1 + 1 / 4)), "one cell away against two"
    near = i.interpolate(known, 40, 30)
    assert near[29][20] is None and near[0][1] == pytest.approx(3.3333, abs=2), "far away nothing is known"


def test_stops_are_told_with_step_reading_and_reason_the_latest_first():
    found = study(trial(0, 1.0), trial(1, 2.0, end=s.PRUNED), trial(2, None, end=s.FAILED, step=7))
    assert [(stop.trial, stop.state, stop.step, stop.value, stop.why) for stop in i.list_stops(found)] == [
        (2, s.FAILED, 7, None, "nan"), (1, s.PRUNED, 40, 2.0, "worse at 40")
    ]  # fmt: skip
    assert i.count_endings(found) == {"complete": 1, "pruned": 1, "failed": 1, "infeasible": 0}
    assert i.count_saved_steps(found) == (60, 300)


def test_the_ranking_puts_results_before_readings_on_the_way():
    found = study(trial(0, 3.0), trial(1, 0.1, end=s.PRUNED), trial(2, 2.0))
    assert [order_point.trial for order_point in i.order_points(found)] == [2, 0, 1]


def test_the_front_is_what_nobody_beats_also_among_equals():
    ends = [(1.0, 0.5), (2.0, 0.9), (2.0, 0.8), (3.0, 0.9), (1.0, 0.5), (0.9, 0.1)]
    found = study(
        *(trial(number, values[0], values=values) for number, values in enumerate(ends)), objectives=TWO
    )
    assert [one.number for one in best_and_counts.find_front(found)] == [5, 0, 4, 1]


def test_nothing_ended_is_no_error():
    found = study()
    rate, rank, _ = list_axes(found)
    assert (
        i.list_history(found) == []
        and i.list_stops(found) == []
        and i.make_grid(found, rate, rank, 4, 4) == {}
    )
    assert i.interpolate({}, 2, 1) == [[None, None]] and i.rank_points([], "minimize") == {}
