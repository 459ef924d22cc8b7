"""A trial is complete when its training is; its last scores come later, whatever happens meanwhile."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.daemon.study.study_runner import Runner
from tests.daemon.conftest import Engine

pytestmark = pytest.mark.real
BOARDS = {"boards": ["quality", "safety"]}
GOAL = {"objectives": ["quality/exact"]}


@pytest.fixture
def late(tmp_path):
    engine = Engine(tmp_path / "home", worker="tests.daemon.late_worker").start()
    yield engine
    engine.end()


def all_pending(study: s.Study) -> bool:
    return len(study.trials) == 3 and all(trial.pending for trial in study.trials.values())


def scored(study: s.Study) -> None:
    (Path(study.folder) / "score").touch()


def stored(study: s.Study) -> list:
    import optuna

    found = optuna.load_study(study_name=study.name, storage=f"sqlite:///{study.folder}/optuna.db")
    return found.trials


def test_slots_are_free_and_the_study_ends_with_the_last_score(late):
    late.run(evaluate=BOARDS)
    study = late.until_study(all_pending, "three trials share two places and are complete")
    assert study.state == "running" and all(trial.values for trial in study.trials.values())
    assert {one.state.name for one in stored(study)} == {"COMPLETE"}, "the sampler needs no score"
    scored(study)
    study = late.until_study(lambda study: study.state == "complete", "it ends")
    assert all(trial.scores and not trial.pending for trial in study.trials.values())


def test_the_sampler_hears_of_an_objective_of_the_boards_with_its_score(late):
    late.run(study=GOAL, evaluate=BOARDS)
    study = late.until_study(all_pending, "all wait for their scores")
    assert {one.state.name for one in stored(study)} == {"RUNNING"}
    assert all(trial.values == () for trial in study.trials.values())
    scored(study)
    study = late.until_study(lambda study: study.state == "complete", "it ends")
    for one in stored(study):
        assert one.values == [study.trials[one.number].values[0]] == [one.params["lora_rank"] / 64]


def test_finished_training_is_complete_when_the_study_is_stopped(late):
    late.run(study=GOAL, evaluate=BOARDS)
    late.until_study(all_pending, "all are complete")
    late.ask(console_api.StopStudy("s", by="me"))
    study = late.until_study(lambda study: study.state == "stopped", "it stops at once")
    assert {trial.state for trial in study.trials.values()} == {s.COMPLETE}
    assert all(trial.why == "stopped by me" and not trial.pending for trial in study.trials.values())
    assert {one.state.name for one in stored(study)} == {"FAIL"}, "they have no value"


def test_scores_survive_the_loss_of_the_worker_and_of_the_engine(late):
    late.run(study=GOAL, evaluate=BOARDS)
    study = late.until_study(all_pending, "all are complete")
    first = {trial.worker for trial in study.trials.values()}
    (Path(study.folder) / "die").touch()
    study = late.until_study(
        lambda study: {trial.worker for trial in study.trials.values()}.isdisjoint(first), "another has them"
    )
    late.kill()
    for worker in late.workers():
        worker.kill()
        worker.wait()
    late.start()
    scored(study)
    study = late.until_study(lambda study: study.state == "complete", "it ends")
    assert [trial.values for trial in study.trials.values()] == [
        (trial.params["lora_rank"] / 64,) for trial in study.trials.values()
    ]


def test_a_study_that_is_paused_meanwhile_is_scored_when_it_goes_on(late):
    late.run(evaluate=BOARDS)
    study = late.until_study(all_pending, "all are complete")
    late.ask(console_api.PauseStudy("s", by="me"))
    late.until(lambda: not late.workers(), "the devices are given back")
    scored(study)
    assert all_pending(late.study())
    late.ask(console_api.ResumeStudy("s", by="me"))
    late.until_study(lambda study: study.state == "complete", "it ends")


def test_a_limit_that_the_last_scores_break_prunes_as_it_is_asked_to(late):
    late.run(evaluate={**BOARDS, "limits": ["safety/toxicity <= 0.2"], "on_breach": "prune"})
    study = late.until_study(all_pending, "all are complete")
    assert {one.state.name for one in stored(study)} == {"RUNNING"}
    scored(study)
    study = late.until_study(lambda study: study.state == "complete", "it ends")
    assert {trial.state for trial in study.trials.values()} == {s.PRUNED}
    assert {one.state.name for one in stored(study)} == {"PRUNED"}


def test_a_limit_that_the_last_scores_leave_open_prunes_where_it_is_asked_to_and_else_is_said(late):
    late.run(evaluate={**BOARDS, "limits": ["safety/toxicity <= 0.5"], "on_unsure": "prune"})
    scored(late.until_study(all_pending, "all are complete"))
    study = late.until_study(lambda study: study.state == "complete", "it ends")
    assert {trial.state for trial in study.trials.values()} == {s.PRUNED}
    assert {one.state.name for one in stored(study)} == {"PRUNED"}
    assert study.trials[0].why.endswith("at the end: not shown to keep the limit safety/toxicity <= 0.5")


def test_a_study_that_stops_ends_its_scorings_while_a_worker_leaves():
    study = s.Study("s", state="stopping", why="stopped by me")
    ended = []

    async def end(trials, why):
        ended.append(why)

    runner = SimpleNamespace(
        closing=False, study=study, _afterwards=SimpleNamespace(end=end),
        departures=SimpleNamespace(under_way=lambda workers: True), _crew=SimpleNamespace(workers={}),
    )  # fmt: skip
    asyncio.run(Runner._see_scorings(runner))
    assert ended == ["stopped by me"]


def test_a_stop_that_comes_while_optuna_is_read_ends_the_scorings_too():
    trial, order = SimpleNamespace(pending=True), []
    study = SimpleNamespace(state="running", trials={0: trial})

    async def see():
        order.append(study.state)
        if study.state == "stopping":
            trial.pending = False

    async def read():
        study.state = "stopping"
        order.append("read")

    runner = SimpleNamespace(
        closing=False, study=study, _see_scorings=see, _read_all=read, _on_workers=lambda: []
    )
    asyncio.run(Runner._settle_scorings(runner))
    assert order == ["running", "read", "stopping", "read"]
