"""A running study is steered: trials by hand, clones, edits, marks, a prune taken back, another space."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.errors import RefusedError
from core.search.study.optuna_storage import open_storage
from tests.daemon.test_engine import LONG

pytestmark = pytest.mark.real


def running(engine, **sections):
    engine.run(**{"train": LONG, **sections})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "trial 0 runs")


def optuna_trial(engine, number, name="s"):
    storage = open_storage(engine.storage.replace("${TRIMTAB_HOME}", str(engine.home)))
    return optuna.load_study(study_name=name, storage=storage).trials[number]


def test_a_trial_by_hand_runs_on_top_of_those_planned_and_teaches_the_sampler(engine):
    engine.run(study={"trials": 1}, train={"steps": 400})
    number = engine.ask(console_api.EnqueueTrial("s", {"lora_rank": 16}, by="me")).trial
    assert number == 1
    study = engine.until_study(lambda study: study.state == "complete", "the study ends")
    trial = study.trials[1]
    assert (trial.state, trial.knobs["lora_rank"], trial.by) == (s.COMPLETE, 16, "me")
    assert study.total_trials == 2 and trial.lines[0].text == "queued: by hand"
    told = optuna_trial(engine, 1)
    assert told.params == {"lora_rank": 16} and told.values == list(trial.values)


def test_a_trial_outside_the_space_runs_and_is_not_learnt_from(engine):
    running(engine, study={"trials": 1}, train={"steps": 400})
    number = engine.ask(console_api.EnqueueTrial("s", {"lora_rank": 3, "learning_rate": "x2"}, like=0)).trial
    engine.until_study(lambda study: study.state == "complete", "the study ends")
    trial = engine.trial(number)
    assert trial.state == s.COMPLETE and trial.knobs["lora_rank"] == 3 and not trial.counted
    assert trial.knobs["learning_rate"] == 2 * engine.trial(0).knobs["learning_rate"]
    assert optuna_trial(engine, number).state.name == "FAIL"


def test_a_study_that_is_complete_goes_on_for_a_trial_by_hand(engine):
    engine.run(study={"trials": 1}, train={"steps": 5})
    engine.until_study(lambda study: study.state == "complete", "the study ends")
    engine.ask(console_api.EnqueueTrial("s", {"lora_rank": 4}))
    study = engine.until_study(
        lambda study: study.state == "complete" and len(study.trials) == 2, "it ends again"
    )
    assert study.trials[1].state == s.COMPLETE


def test_a_clone_goes_on_from_where_its_parent_stands_beside_it(engine):
    running(engine, study={"trials": 1})
    number = engine.ask(console_api.CloneTrial("s", 0, {"lora_dropout": 0.1}, by="me")).trial
    engine.until(lambda: engine.trial(number).state == s.RUNNING, "the clone runs")
    clone, parent = engine.trial(number), engine.trial(0)
    assert clone.parent == 0 and clone.knobs["lora_dropout"] == 0.1 and clone.step >= clone.marks[0].step > 3
    assert clone.lines[0].text.startswith(f"queued: clone of trial 0 at step {clone.marks[0].step} with")
    assert parent.state == s.RUNNING and parent.step > clone.marks[0].step - 1
    assert str(engine.home / "studies/s/trials" / str(number)) in clone.checkpoint


def test_a_clone_of_a_trial_that_is_lost_meanwhile_is_refused_at_once(engine):
    running(engine, study={"trials": 1})
    (worker,) = engine.workers()
    worker.suspend()  # it can write no checkpoint any more
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(engine.ask, console_api.CloneTrial("s", 0))
        worker.kill()
        with pytest.raises(RefusedError, match=r"lost its worker meanwhile|has no checkpoint"):
            asked.result()


def test_an_edit_is_made_as_the_trial_runs_and_the_sampler_is_told_no_lie(engine):
    running(engine, study={"trials": 1})
    before = engine.trial(0).knobs["learning_rate"]
    engine.ask(console_api.EditTrial("s", 0, {"learning_rate": "x0.5", "clip_norm": 0.3}, by="me"))
    engine.until(lambda: engine.trial(0).knobs["learning_rate"] == before / 2, "it is edited")
    trial = engine.trial(0)
    assert trial.editing == {} and not trial.counted and trial.knobs["clip_norm"] == 0.3
    assert trial.marks[0].text.startswith("learning_rate") and trial.marks[0].step > 0
    engine.ask(console_api.EditTrial("s", 0, {"steps": trial.step + 50}))
    engine.until_study(lambda study: study.state == "complete", "it ends sooner")
    assert engine.trial(0).state == s.COMPLETE and optuna_trial(engine, 0).state.name == "FAIL"


def test_an_edit_that_is_to_count_does(engine):
    running(engine, study={"trials": 1})
    steps = engine.trial(0).step + 50
    engine.ask(console_api.EditTrial("s", 0, {"steps": steps}, counted=True))
    engine.until_study(lambda study: study.state == "complete", "it ends")
    assert optuna_trial(engine, 0).values == list(engine.trial(0).values)


def test_an_edit_outlives_the_worker_that_was_to_make_it(engine):
    running(engine, study={"trials": 1})
    engine.ask(console_api.PauseTrial("s", 0))
    engine.until(lambda: engine.trial(0).state == s.PAUSED, "it is paused")
    engine.ask(console_api.EditTrial("s", 0, {"weight_decay": 0.5}))
    for worker in engine.workers():
        worker.kill()
    engine.until(lambda: engine.trial(0).state == s.PAUSED and engine.trial(0).retry == 1, "it is back")
    engine.ask(console_api.ResumeTrial("s", 0))
    engine.until(lambda: engine.trial(0).knobs["weight_decay"] == 0.5, "it is edited")


def test_a_prune_is_taken_back_and_the_trial_goes_on_where_it_stood(engine):
    running(engine, study={"trials": 2})
    engine.ask(console_api.PruneTrial("s", 0, why="by mistake"))
    engine.until(lambda: engine.trial(0).state == s.PRUNED, "it is pruned")
    step = engine.trial(0).step
    engine.ask(console_api.ReprieveTrial("s", 0, by="me"))
    engine.until(lambda: engine.trial(0).state == s.RUNNING, "it runs again")
    assert engine.trial(0).step >= step > 3 and engine.trial(0).why == ""
    with pytest.raises(RefusedError, match="trial 0 is running, not pruned"):
        engine.ask(console_api.ReprieveTrial("s", 0))


def test_the_queue_is_in_the_order_that_people_give_it(engine):
    running(engine, study={"trials": 1}, resources={"pack": 1})
    later = [engine.ask(console_api.EnqueueTrial("s", {"lora_rank": 4, "steps": 5})).trial for _ in range(3)]
    engine.ask(console_api.MarkTrial("s", later[2], priority=1))
    engine.ask(console_api.PruneTrial("s", 0))
    engine.until_study(lambda study: study.state == "complete", "the study ends")
    began = [engine.trial(number).started_at for number in later]
    assert began[2] < began[0] < began[1]


def test_marks_are_kept_and_a_device_that_is_not_there_is_refused(engine):
    running(engine)
    engine.ask(console_api.MarkTrial("s", 0, note="watch this", starred=True))
    trial = engine.trial(0)
    assert trial.starred and trial.note == "watch this"
    with pytest.raises(RefusedError, match="the study has no device 'gpu7'") as refused:
        engine.ask(console_api.MarkTrial("s", 0, device="gpu7"))
    assert "devices: cpu" in str(refused.value)
    engine.ask(console_api.MarkTrial("s", 0, device="cpu"))
    assert engine.trial(0).pinned == "cpu" and engine.trial(0).state == s.RUNNING


def test_space_sampler_budget_and_pack_change_while_the_study_runs(engine):
    running(engine, study={"trials": 3}, resources={"pack": 1})
    changes = {
        "space": {"lora_rank": [64, 128]},
        "study": {"sampler": "tpe", "trials": 5},
        "resources": {"pack": 3},
    }
    seen = engine.ask(console_api.ChangeStudy("s", changes, preview=True))
    assert "space.lora_rank: 2, 4, 8, 16, 32 → 64, 128" in seen.changes
    assert "trial 0 continues although it lies outside; prune it, or let it end" in seen.effects
    assert engine.study().spec["study"]["sampler"] == "random"  # it was a preview
    engine.ask(console_api.ChangeStudy("s", changes, by="me"))
    study = engine.until_study(
        lambda study: sum(trial.state == s.RUNNING for trial in study.trials.values()) == 3,
        "three run at once",
    )
    assert study.total_trials == 5 and study.trials[1].knobs["lora_rank"] in (64, 128)
    assert any("changed by me: study.sampler: random → tpe" in line.text for line in study.lines)
    assert 'sampler = "tpe"' in (engine.home / "studies/s/study.toml").read_text()
    assert optuna_trial(engine, 1, "s · 2").params == {"lora_rank": study.trials[1].knobs["lora_rank"]}


def test_triggers_reach_the_workers_that_run_and_again_those_that_come_back(engine):
    running(engine, evaluate={"boards": ["safety"]})
    change = {"evaluate": {"triggers": ["cf mn"], "on_unsure": "ignore"}}
    seen = engine.ask(console_api.ChangeStudy("s", change, preview=True))
    assert "evaluate.triggers: nothing → cf mn" in seen.changes
    assert "base and trials are scored with these triggers from the next scoring on" in seen.effects
    engine.ask(console_api.ChangeStudy("s", change, by="me"))

    def told(study):
        return sum(line.text.startswith("asks with cf mn") for line in study.lines)

    engine.until_study(lambda study: told(study) == 1, "the worker is told")
    engine.kill()
    engine.start()
    engine.until_study(lambda study: told(study) == 2, "it is told again after its Hello")


def test_what_was_changed_holds_when_the_engine_comes_back(engine):
    running(engine, study={"trials": 4}, resources={"pack": 1})
    engine.ask(console_api.ChangeStudy("s", {"space": {"lora_rank": [64, 128]}, "resources": {"pack": 2}}))
    engine.kill()
    engine.start()
    study = engine.until_study(  # not always trial 1: its proposal may have been lost with the engine
        lambda study: any(trial.step > 0 for trial in study.trials.values() if trial.number), "another runs"
    )
    assert all(trial.knobs["lora_rank"] in (64, 128) for trial in study.trials.values() if trial.number)


NONSENSE = [
    (console_api.EditTrial("s", 0, {"lora_rank": 4}), "lora_rank = 4: cannot change once"),
    (console_api.EditTrial("s", 0, {"learning_rate": -1.0}), "learning_rate = -1.0: must be above 0"),
    (console_api.EditTrial("s", 0, {"steps": 1}), "steps = 1: must be above .*, the steps already done"),
    (console_api.EditTrial("s", 0, {"speed": 1}), "speed = 1: unknown knob"),
    (console_api.CloneTrial("s", 0, {"lora_rank": 4}), "cannot change in a clone"),
    (console_api.CloneTrial("s", 9), "trial 9 does not exist"),
    (console_api.EnqueueTrial("s", {"lora_rank": 0}), "lora_rank = 0: must be at least 1"),
    (console_api.EnqueueTrial("s", {"learning_rate": 1.0}), "lora_rank: not given"),
    (console_api.ChangeStudy("s", {"model": {"base": "x"}}), "model.base cannot change while"),
    (console_api.ChangeStudy("s", {"study": {"trials": 3}}), "nothing is other than it is"),
    (console_api.ChangeStudy("s", {"space": {"lora_rank": []}}), "is not a non-empty list"),
    (console_api.ChangeStudy("s", {"study": {"sampler": "best"}}), "sampler = 'best'"),
]


def test_what_makes_no_sense_is_refused_with_the_reason_and_changes_nothing(engine):
    running(engine)
    for wanted, told in NONSENSE:
        with pytest.raises(RefusedError, match=told):
            engine.ask(wanted)
    assert engine.trial(0).state == s.RUNNING and len(engine.study().trials) <= 3
