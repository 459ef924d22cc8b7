"""``feedback/strength`` as an objective: the study waits for people and says so, and the sampler learns."""

import json
import subprocess
import sys

from core.contract.spec import spec_file
from core.contract.state import best_and_counts, reference_values
from core.contract.wire import console_api
from core.contract.wire.sample_messages import BASE, AskPair, RateSamples
from tests.daemon.conftest import raw_study

RATED = {"objectives": ["feedback/strength"], "trials": 3, "sampler": "tpe", "startup_trials": 2}


def unrated(study) -> list[int]:
    return [trial.number for trial in study.trials.values() if trial.state == "complete" and not trial.values]


def rate(engine, winner: int, loser: int, times: int = 1) -> None:
    for _ in range(times):
        engine.ask(RateSamples("s", winner, loser, "left", by="me"))


def test_the_study_waits_for_ratings_and_the_sampler_learns_the_strength_of_each_trial(engine):
    engine.run(study=RATED, evaluate={"ratings": 2}, resources={"pack": 1})
    study = engine.until_study(lambda study: len(unrated(study)) == 2, "two wait for ratings")
    assert best_and_counts.find_best(study) is None and "T, then Tab" in reference_values.explain_no_best(
        study
    )
    noted = engine.until_study(
        lambda study: any("wait for ratings" in line.text for line in study.lines), "the note"
    )
    assert len(noted.trials) == 2, "a third trial could learn from nothing"
    pair = engine.ask(AskPair("s"))
    assert {pair.left, pair.right} <= {0, 1, BASE}
    rate(engine, 1, 0)
    assert unrated(engine.study()) == [0, 1], "one rating each is too few"
    rate(engine, 1, 0)
    study = engine.until_study(lambda study: 2 in study.trials, "the sampler goes on")
    assert study.trials[1].values[0] > 0 > study.trials[0].values[0]
    assert best_and_counts.find_best(study).number == 1
    engine.until_study(lambda study: unrated(study) == [2], "the last trial")
    rate(engine, 2, BASE, 2)
    study = engine.until_study(lambda study: study.state == "complete", "the end")
    assert all(len(trial.values) == 1 for trial in study.trials.values())
    url = f"journal:{engine.home / 'optuna.log'}"
    code = (
        "import optuna, json; from core.search.study.optuna_storage import open_storage;"
        f"study = optuna.load_study(study_name='s', storage=open_storage({url!r}));"
        "print(json.dumps([[t.state.name, t.value] for t in study.trials]))"
    )
    told = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    assert [state for state, _ in told] == ["COMPLETE"] * 3 and told[1][1] > 0 > told[0][1]


def test_unrated_trials_outlive_the_engine_and_their_worker_and_fewer_ratings_may_do(engine):
    engine.run(study={**RATED, "trials": 2}, evaluate={"ratings": 9}, resources={"pack": 1})
    engine.until_study(lambda study: len(unrated(study)) == 2, "two wait for ratings")
    engine.kill()
    for worker in engine.workers():
        worker.kill()
    engine.start()
    assert engine.study().state == "running"
    rate(engine, 1, 0)
    engine.ask(console_api.ChangeStudy("s", {"evaluate": {"ratings": 1}}, by="me"))
    study = engine.until_study(lambda study: study.state == "complete", "the end")
    assert best_and_counts.find_best(study).number == 1


def test_a_stop_ends_a_study_that_waits_for_ratings(engine):
    engine.run(study={**RATED, "trials": 2}, resources={"pack": 1})
    engine.until_study(lambda study: len(unrated(study)) == 2, "two wait for ratings")
    engine.ask(console_api.StopStudy("s", by="me"))
    study = engine.until_study(lambda study: study.state == "stopped", "the stop")
    assert unrated(study) == [0, 1] and best_and_counts.find_best(study) is None


def test_a_strength_may_stand_beside_other_objectives():
    raw = raw_study(study={"objectives": ["eval/loss", "feedback/strength"]})
    goals = spec_file.parse(raw).study.objectives
    assert [goal.direction for goal in goals] == ["minimize", "maximize"]
