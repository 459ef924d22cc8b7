"""A study ends when its budget is used up or nothing better comes, and says which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.spec.study_spec import StopOptions
from core.contract.state import engine_state as s
from core.contract.state import stop_conditions
from core.contract.state.stop_conditions import Stop, count_gpu_hours, find_due, find_latest_best

ONE = [{"metric": "eval/loss", "direction": "minimize"}]
TWO = [*ONE, {"metric": "train/tokens_per_s", "direction": "maximize"}]


def study(trials, objectives=ONE):
    numbered = {trial.number: trial for trial in trials}
    return s.Study("a", spec={"study": {"objectives": objectives}}, trials=numbered, created_at=1000.0)


def ends(*results, state=s.COMPLETE):
    """Trials that ended one after another; None for one that was pruned."""
    return [
        s.Trial(
            number,
            s.PRUNED if result is None else state,
            values=() if result is None else result,
            ended_at=number,
        )
        for number, result in enumerate(results)
    ]


def test_nothing_is_due_without_a_limit():
    assert find_due(study(ends((1.0,), (2.0,))), StopOptions(), now=1e9) is None


def test_a_search_that_finds_nothing_better_ends_and_pruned_trials_count():
    after = StopOptions(no_improvement=3)
    waiting = ends((2.0,), (1.5,), (1.5,), None)
    assert find_due(study(waiting), after, now=1000.0) is None
    told = find_due(study([*waiting, s.Trial(9, s.COMPLETE, values=(1.6,), ended_at=9.0)]), after, now=1000.0)
    why = "3 trials in a row were not better than eval/loss 1.5 of trial 1 (stop_after.no_improvement = 3)"
    assert told == Stop(why, at_once=False)


def test_trials_that_say_nothing_are_not_counted():
    trials = [*ends((1.0,)), *(s.Trial(n, state, ended_at=n) for n, state in enumerate(s.ENDED, 5))]
    nan = s.Trial(20, s.COMPLETE, values=(float("nan"),), ended_at=0.5)
    assert find_latest_best(study([*trials, nan]))[1] == 3, "complete without a value, pruned, not a number"
    assert find_due(study(ends(None, None)), StopOptions(no_improvement=1), now=1000.0) is None, (
        "there is no best yet"
    )


def test_the_order_is_that_of_the_ends():
    late = s.Trial(0, s.COMPLETE, values=(1.0,), ended_at=50.0)
    best, waited = find_latest_best(study([late, *ends((9.0,), (1.2,), (1.1,))[1:]]))
    assert (best.number, waited) == (0, 0)


def test_with_several_objectives_whoever_joins_the_front_is_better():
    trials = ends((2.0, 10.0), (3.0, 20.0), (3.0, 20.0), (2.5, 9.0))
    told = find_due(study(trials, TWO), StopOptions(no_improvement=2), now=1000.0)
    assert told.why.startswith("2 trials in a row brought nothing to the Pareto front since trial 1")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_the_front_that_is_kept_is_as_good_as_all_earlier_trials(values):
    """The pairwise definition, without the shortcut."""
    expected = None
    for number, (low, high) in enumerate(values):
        if all(low < other or high > more for other, more in values[:number]):
            expected = number
    best, _ = find_latest_best(study(ends(*((float(a), float(b)) for a, b in values)), TWO))
    assert (best.number if best else None) == expected


def test_a_budget_of_trials_lets_those_that_run_finish():
    trials = [*ends((1.0,), None), s.Trial(2, s.FAILED), s.Trial(3, s.RUNNING)]
    assert find_due(study(trials), StopOptions(trials=4), now=1000.0) is None
    told = find_due(study(trials), StopOptions(trials=3), now=1000.0)
    assert told == Stop("3 trials have ended (stop_after.trials = 3)", at_once=False)


def test_hours_end_everything():
    after = StopOptions(hours=1.5)
    assert find_due(study([]), after, now=1000.0 + 5399) is None
    assert find_due(study([]), after, now=1000.0 + 5400) == Stop(
        "1.5 hours have passed (stop_after.hours = 1.5)", at_once=True
    )


def on(device, begun, ended, trained, number):
    return s.Trial(number, s.RUNNING, device=device, started_at=begun, ended_at=ended, elapsed_s=trained)


@pytest.mark.parametrize(
    ("trials", "hours"),
    [
        ([("gpu0", 0, 3600, 3500), ("gpu0", 0, 3600, 3500)], 1.0),  # a pack
        ([("gpu0", 0, 3600, 3600), ("gpu1", 0, None, 9999)], 3.0),  # the second still runs
        ([("gpu0", 0, 7200, 1800)], 0.5),  # paused over lunch
        ([("cpu", 0, 7200, 7200), ("", 0, 7200, 7200)], 0.0),
    ],
)
def test_a_gpu_that_trials_share_counts_once(trials, hours):
    state = study([on(*trial, number) for number, trial in enumerate(trials)])
    assert count_gpu_hours(state, now=7200.0) == pytest.approx(hours)
    told = find_due(state, StopOptions(gpu_hours=0.5), now=7200.0)
    assert (told is not None and told.at_once and "GPU-hours are used" in told.why) == (hours >= 0.5)


def test_spans_are_not_counted_twice():
    assert stop_conditions._measure_union([(5, 6), (0, 3), (1, 2), (2, 4)]) == 5
