"""Who of a population gives place, and to whom: decided from the state alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.contract.spec.population_checks import BY
from core.contract.state import engine_state as s
from core.contract.state.best_and_counts import list_searched_values
from core.contract.state.thinned_series import Series, add_all
from core.daemon.population import population_rules
from core.daemon.population.population_rules import decide, make_plan
from tests.daemon.conftest import raw_study

SPACE = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
LOSSES = (5.0, 1.0, 2.0, 3.0, 4.0, 2.5, 6.0, 3.5)  # of eight trials: worst 6 and 0, best 1 and 2


def trial(number: int, losses=(), every: int = 5, **more) -> s.Trial:
    """A running trial with a reading every 5 steps."""
    curve = add_all(Series(), [(every * (index + 1), loss) for index, loss in enumerate(losses)])
    fields = {
        "state": s.RUNNING, "step": every * len(losses), "total_steps": 100, "started_at": 1.0,
        "knobs": {"learning_rate": 1e-3, "lora_rank": 2 + number}, "series": {"eval/loss": curve},
    }  # fmt: skip
    return s.Trial(number, **{**fields, **more})


def study(*trials: s.Trial, **asked) -> s.Study:
    section = {"trials": 8, "population": {"every": 2, **asked}}
    raw = raw_study(study=section, space=SPACE, train={"steps": 100}, resources={"pack": 8})
    return s.Study("s", spec=raw, total_trials=8, trials={one.number: one for one in trials})


def eight(steps: int = 2, **changed: s.Trial) -> list[s.Trial]:
    """All at the same step; ``changed`` by "t<number>" instead."""
    made = [trial(number, [9.0] * (steps - 1) + [loss]) for number, loss in enumerate(LOSSES)]
    return [changed.get(f"t{one.number}", one) for one in made]


def pairs(now: s.Study, judged=frozenset(), leaving=()) -> list[tuple[int, int]]:
    return [(decision.loser, decision.winner) for decision in decide(now, make_plan(now), judged, leaving)]


def losers(now: s.Study, **more) -> list[int]:
    return [loser for loser, _ in pairs(now, **more)]


def test_the_worst_quarter_gives_place_to_clones_of_the_best_quarter():
    found = decide(now := study(*eight()), make_plan(now), frozenset())
    assert [one.loser for one in found] == [6, 0] and {one.winner for one in found} <= {1, 2}
    before, after = found[0].changes["learning_rate"]
    assert before == 1e-3 and after != 1e-3 and 1e-5 <= after <= 1e-2
    assert "lora_rank" not in found[0].changes, "the weights would not fit"
    head = "population: eval/loss 6 is among the worst 2 of 8 at step 10; "
    clone = f"replaced by trial 11, a clone of trial {found[0].winner} ("
    text = found[0].words(11)
    assert text.startswith(f"{head}{clone}") and ") with learning_rate 0.001 → " in text
    assert decide(now, make_plan(now), frozenset()) == found, "the same again after a restart"


def test_what_is_to_be_large_is_compared_that_way():
    now = study(*eight())
    objectives = [{"metric": "eval/loss", "direction": "maximize"}]
    now = replace(now, spec={**now.spec, "study": {**now.spec["study"], "objectives": objectives}})
    assert losers(now) == [1, 2]


@pytest.mark.parametrize("steps", [1, 3])
def test_nothing_is_decided_between_the_steps_of_decision(steps):
    judged = {(number, 10) for number in range(8)}
    assert not losers(study(*eight(steps)), judged=judged)


def test_all_are_waited_for_but_not_longer_than_until_the_next_step_of_decision():
    late = trial(6, [9.0])
    assert not losers(study(*eight(t6=late)))
    assert not losers(study(*eight(3, t6=late))), "they are at 15, and go on"
    ahead = [trial(number, [9, loss, 9, loss]) for number, loss in enumerate(LOSSES)]
    ahead[6] = late
    assert losers(study(*ahead)) == [0, 4], "7 are there, a quarter is nearest to two"


def test_who_comes_late_is_compared_on_its_own():
    ahead = [trial(number, [9, loss, 9, loss]) for number, loss in enumerate(LOSSES)]
    judged = {(number, 10) for number in range(8) if number != 6}
    ahead[6] = trial(6, [9, 6.0])
    assert losers(study(*ahead), judged=judged) == [6]


def test_newcomers_catch_up_first():
    few = [trial(number, [9, loss, 9, loss]) for number, loss in enumerate(LOSSES[:3])]
    assert not losers(study(*few, *(trial(number, [9.0]) for number in range(3, 8))))


def test_a_small_population_goes_on_without_one_of_its_four():
    three = [trial(number, [9, loss, 9, 9]) for number, loss in enumerate(LOSSES[:3])]
    gone = trial(3, [9.0], state=s.FAILED)
    small = {"trials": 4, "population": {"every": 2}}
    now = study(*three, gone)
    now = replace(now, spec={**now.spec, "study": {**now.spec["study"], **small}})
    assert losers(now) == [0]
    now = replace(now, trials={one.number: one for one in three[:2]})
    assert not losers(now), "of two no quarter is left"


def test_nobody_is_judged_twice_nor_while_it_leaves():
    now = study(*eight())
    assert losers(now, judged={(6, 10)}) == [0]
    assert losers(now, leaving={6}) == [0]
    replaced = study(*eight(), trial(8, [9.0], by=BY, parent=1, place_of=6, marks=(s.Mark(11, "cloned"),)))
    assert losers(replaced) == [0]


@pytest.mark.parametrize(
    "more",
    [
        {"state": s.PAUSED},
        {"asked": "pause"},
        {"asked": "prune"},
        {"state": s.COMPLETE},
        {"step": 100},
        {"total_steps": 10},  # it was its last evaluation
        {"marks": (s.Mark(7, "learning_rate 0.001 → 0.01"),)},  # edited by a person
        {"editing": {"learning_rate": 1e-4}},
        {"by": "me"},
    ],
)
def test_who_is_steered_by_a_person_or_ends_anyway_keeps_its_place(more):
    assert 6 not in losers(study(*eight(t6=trial(6, [9, 6.0], **more))))


@pytest.mark.parametrize("more", [{"state": s.COMPLETE}, {"asked": "prune"}, {"by": "me"}, {"step": 100}])
def test_a_winner_has_to_be_one_of_them_and_still_train(more):
    assert {winner for _, winner in pairs(study(*eight(t1=trial(1, [9, 1.0], **more))))} <= {2, 5}


def test_without_a_winner_that_trains_nobody_gives_place():
    gone = {f"t{number}": trial(number, [9, LOSSES[number]], state=s.COMPLETE) for number in (1, 2)}
    assert not losers(study(*eight(**gone)))


def test_a_clone_is_compared_by_its_own_readings_not_by_its_parents():
    clone = trial(8, [9, 0.1], by=BY, parent=1, place_of=6, marks=(s.Mark(10, "cloned from trial 1"),))
    dead = trial(6, [9, 6.0], state=s.PRUNED)
    now = study(*eight(t6=dead), clone)
    assert population_rules.find_own_value(clone, "eval/loss", 10) is None
    assert all(winner != 8 for _, winner in pairs(now)) and losers(now) == [0]


def test_a_loser_that_was_slow_to_go_is_not_counted_beside_its_clone():
    now = study(
        *eight(4), trial(8, [9, 9, 9, 9.0], by=BY, parent=1, place_of=6, marks=(s.Mark(12, "cloned"),))
    )
    assert "among the worst 2 of 8 at step 20" in decide(now, make_plan(now), frozenset())[0].why


def test_a_long_curve_that_was_thinned_is_still_compared():
    long = [trial(number, [loss] * 600, total_steps=9000) for number, loss in enumerate(LOSSES)]
    assert long[0].series["eval/loss"].stride == 2
    assert losers(study(*long)) == [6, 0]


def test_equals_do_not_replace_each_other():
    assert not losers(study(*(trial(number, [2.0, 2.0]) for number in range(8))))


def test_a_loss_that_is_no_number_is_the_worst():
    assert losers(study(*eight(t3=trial(3, [9, float("nan")])))) == [3, 6]


def test_a_study_without_a_population_has_no_plan():
    assert make_plan(s.Study("s", spec=raw_study())) is None


def test_a_clone_that_is_the_best_is_shown_with_the_knobs_that_it_has():
    assert list_searched_values(study(*eight()), trial(8, by=BY, parent=1)) == {
        "learning_rate": 1e-3,
        "lora_rank": 10,
    }
