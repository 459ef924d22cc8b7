"""A real engine trains a population: its worst trials give their places to clones of its best."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from core.contract.spec.population_checks import BY
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.daemon.population.exploit import PopulationExploits
from core.errors import RefusedError
from tests.daemon.test_population import eight, study, trial

pytestmark = pytest.mark.real
LONG = 2000  # steps: more than go by while an engine is away
SPACE = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "weight_decay": [0.0, 0.1, 0.2]}


def begin(engine, steps=400, pack=4, **more):
    """With a larger rank the loss falls faster there."""
    engine.run(
        study={"trials": 4, "seed": 3, "population": {"every": 2}, **more},
        train={"steps": steps},
        space=SPACE,
        evaluate={"every": min(steps, LONG) // 20},
        resources={"pack": pack},
    )


def clones(study: s.Study) -> list[s.Trial]:
    return [one for one in study.trials.values() if one.by == BY]


def check(study: s.Study) -> None:
    """Each loser has one clone in its place, with knobs of the space and its parent's weights."""
    places = [clone.place_of for clone in clones(study)]
    assert places and len(set(places)) == len(places)
    for clone in clones(study):
        winner, loser = study.trials[clone.parent], study.trials[clone.place_of]
        if loser.state == s.PRUNED:
            assert loser.why.startswith("population: ") and f"trial {clone.number}" in loser.why
        else:  # it took its last step while its clone was queued: a trial that is complete is not pruned
            assert loser.state == s.COMPLETE and loser.step == loser.total_steps
        assert winner.knobs["lora_rank"] > loser.knobs["lora_rank"]
        assert [clone.knobs[name] for name in ("lora_rank", "seed")] == [
            winner.knobs[name] for name in ("lora_rank", "seed")
        ]
        assert 1e-5 <= clone.knobs["learning_rate"] <= 1e-2 and clone.knobs["weight_decay"] in (0.0, 0.1, 0.2)
        assert not clone.counted and f"replacing trial {loser.number}" in clone.lines[0].text
    ended = [one.state for one in study.trials.values()]
    assert ended.count(s.PRUNED) > 0 and ended.count(s.COMPLETE) + ended.count(s.PRUNED) == 4 + len(places)


def test_losers_give_their_places_to_clones_of_winners_with_other_knobs_in_the_space(engine):
    begin(engine)
    study = engine.until_study(lambda one: one.state == "complete", "the study ends")
    check(study)
    changed = [clone for clone in clones(study) if clone.knobs != study.trials[clone.parent].knobs]
    losers = [study.trials[one.place_of] for one in changed]
    assert any("learning_rate" in loser.why for loser in losers if loser.state == s.PRUNED)


def test_a_population_that_lost_its_engine_and_its_workers_and_was_paused_makes_no_clone_twice(engine):
    begin(engine, steps=LONG)
    engine.until_study(clones, "there is a clone")
    engine.kill()
    engine.start()
    engine.until_study(
        lambda one: any(t.state == s.RUNNING for t in one.trials.values()), "it is found again"
    )
    engine.ask(console_api.PauseStudy("s"))
    engine.until_study(
        lambda one: not any(trial.state in s.ON_WORKER for trial in one.trials.values()), "it is paused"
    )
    engine.ask(console_api.ResumeStudy("s"))
    engine.until_study(lambda one: any(t.state == s.RUNNING for t in one.trials.values()), "it goes on")
    for worker in engine.workers():
        worker.kill()
    check(engine.until_study(lambda one: one.state == "complete", "the study ends"))


def test_a_study_that_is_stopped_ends_though_its_population_is_being_replaced(engine):
    begin(engine, steps=100_000)
    engine.until_study(clones, "there is a clone")
    engine.ask(console_api.StopStudy("s"))
    study = engine.until_study(lambda one: one.state == "stopped", "it is stopped")
    assert all(one.state in s.ENDED for one in study.trials.values())


def test_a_study_that_has_had_enough_makes_no_more_clones(engine):
    begin(engine, stop_after={"trials": 1})
    study = engine.until_study(lambda one: one.state == "complete", "the study ends")
    assert len(clones(study)) == 1
    check(study)


def test_with_room_as_it_is_measured_all_of_a_population_train_side_by_side(engine):
    begin(engine, steps=100_000, pack="auto")
    study = engine.until_study(
        lambda one: sum(trial.state == s.RUNNING for trial in one.trials.values()) == 4, "four run at once"
    )
    assert any("a population trains together" in line.text for line in study.lines)


def taken_up(now: s.Study) -> list[console_api.AnyRequest]:
    """What is asked for a study that an engine takes up."""
    asked: list[console_api.AnyRequest] = []

    async def ask(request: console_api.AnyRequest) -> None:
        asked.append(request)
        raise RefusedError.of("it has ended meanwhile", "here", "")

    async def run() -> None:
        succession = PopulationExploits(SimpleNamespace(watchers=[], put=print, state=None), ask)
        succession.take_up(now)
        await succession._tasks.wait_for_all()

    asyncio.run(run())
    return asked


def test_a_loser_whose_clone_was_queued_when_the_engine_ended_is_pruned_by_the_next():
    clone = trial(8, by=BY, state=s.QUEUED, parent=1, place_of=6, marks=(s.Mark(10, "cloned from trial 1"),))
    why = "population: replaced by trial 8, a clone of trial 1"
    assert taken_up(study(*eight(), clone)) == [console_api.PruneTrial("s", 6, by=BY, why=why)]
    for more in ({"asked": "prune"}, {"state": s.PRUNED}, {"marks": (s.Mark(10, "prune taken back"),)}):
        assert not taken_up(study(*eight(t6=trial(6, [9, 6.0], **more)), clone)), "nothing is done twice"
