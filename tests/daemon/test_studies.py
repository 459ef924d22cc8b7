"""How studies end and go on: stopped at once, every result told to Optuna, more trials when wanted."""

import sqlite3
from typing import Any, get_args

import pytest

from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.study import request_checks
from core.daemon.study.study_lifecycle import Studies
from core.errors import RefusedError
from tests.daemon.conftest import SQLITE

pytestmark = pytest.mark.real
LONG = {"steps": 1_000_000}


def test_a_stop_ends_trials_in_the_middle_with_its_reason(engine):
    engine.run(train=LONG, study={"trials": 500})
    engine.until_study(lambda study: sum(t.step > 3 for t in study.trials.values()) == 2, "two run")
    engine.ask(console_api.PauseTrial("s", 1))
    engine.ask(console_api.StopStudy("s", by="me"))
    study = engine.until_study(lambda study: study.state == "stopped", "the study stops")
    assert {(trial.state, trial.why) for trial in study.trials.values()} == {(s.PRUNED, "stopped by me")}
    engine.until(lambda: not engine.workers(), "the workers are gone")


def test_optuna_knows_of_every_trial_when_the_study_has_ended(engine):
    engine.run(study={"trials": 5, "storage": SQLITE}, train={"steps": 12}, evaluate={"every": 4})
    study = engine.until_study(lambda study: study.state == "complete", "the study ends")
    engine.until(lambda: not engine.workers(), "the study has let its workers go")
    with sqlite3.connect(engine.home / "studies" / "s" / "optuna.db") as storage:
        rows = storage.execute(
            "select number, trials.state, value from trials left join trial_values using (trial_id)"
        ).fetchall()
    told = {number: (state, value) for number, state, value in rows}
    assert told == {number: ("COMPLETE", trial.values[0]) for number, trial in study.trials.items()}


def test_more_trials_may_be_wanted_of_a_study_that_runs_or_is_complete(engine):
    engine.run(study={"trials": 1}, train={"steps": 100})
    engine.run(study={"trials": 2}, train={"steps": 100})
    engine.until_study(
        lambda study: study.state == "complete" and len(study.trials) == 2, "both are complete"
    )
    engine.run(study={"trials": 4}, train={"steps": 100})
    study = engine.until_study(
        lambda study: study.state == "complete" and len(study.trials) == 4, "all four are"
    )
    assert [trial.state for trial in study.trials.values()] == [s.COMPLETE] * 4


def test_a_stopped_study_goes_on_as_long_as_it_has_trials_left(engine):
    engine.run(study={"trials": 3}, train=LONG)
    engine.until_study(lambda study: sum(t.step > 3 for t in study.trials.values()) == 2, "two run")
    for _ in range(2):  # two trials, then the third
        engine.ask(console_api.StopStudy("s", by="me"))
        engine.until_study(lambda study: study.state == "stopped", "the study stops")
        if len(engine.study().trials) == 3:
            break
        engine.run(study={"trials": 3}, train=LONG)
        engine.until_study(lambda study: 2 in study.trials and study.trials[2].step > 3, "the third runs")
    with pytest.raises(RefusedError, match="all its 3 trials have ended"):
        engine.run(study={"trials": 3}, train=LONG)


def test_a_study_that_would_train_in_fp16_is_refused_with_what_to_use_instead(engine):
    with pytest.raises(RefusedError, match="cannot be trained on a base in fp16") as refused:
        engine.run(model={"precision": "fp16"})
    assert "'fp32', or 'nf4'" in refused.value.problems[0].fix


def test_a_search_space_that_is_used_up_ends_the_study_and_says_so(engine):
    engine.run(study={"trials": 20, "sampler": "grid"}, train={"steps": 5})
    study = engine.until_study(lambda study: study.state == "complete", "the study ends")
    assert len(study.trials) == 5 and study.why == "5 of 5 trials complete; the search space is used up"


def test_a_study_that_has_had_enough_ends_with_the_reason(engine):
    engine.run(study={"trials": 50, "sampler": "random", "stop_after": {"trials": 3}}, train={"steps": 2})
    study = engine.until_study(lambda study: study.state == "complete", "it has had enough")
    assert 3 <= len(study.trials) < 50
    assert "trials have ended (stop_after.trials = 3)" in study.why


def test_constraints_on_what_trials_reported_are_in_optunas_storage(engine):
    import optuna

    engine.run(
        study={"trials": 2, "sampler": "random", "constraints": ["eval/loss <= 1e-9"], "storage": SQLITE},
        train={"steps": 12}, evaluate={"every": 4},
    )  # fmt: skip
    study = engine.until_study(lambda study: study.state == "complete", "it is complete")
    stored = optuna.load_study(study_name=study.name, storage=f"sqlite:///{study.folder}/optuna.db")
    assert all(max(trial.constraints.values()) > 0 for trial in stored.trials)


async def test_every_request_has_a_handler(tmp_path):
    """But for the one that ends the engine, which the engine takes itself."""
    studies = Studies(EventCommitter(Hub()), tmp_path / "socket")
    asked = set(get_args(console_api.AnyRequest)) - {console_api.StopEngine}
    assert set(studies._handlers) == asked


@pytest.mark.parametrize(
    ("package", "changes", "is_needed"),
    [
        ("peft", {}, True),
        ("bitsandbytes", {}, False),
        ("bitsandbytes", {"model": {"precision": "nf4"}}, True),
        ("bitsandbytes", {"space": {"optimizer": ["adamw", "adamw-8bit"]}}, True),
        ("datasets", {}, False),
        ("datasets", {"data": {"source": "some/data-set"}}, True),
        ("datasets", {"data": {"source": "FOLDER"}}, False),
        ("datasets", {"data": {"source": "FOLDER/*.jsonl"}}, False),
        ("datasets", {"data": {"source": "FOLDER/declared"}}, True),
    ],
)
def test_a_study_is_refused_only_without_the_packages_that_it_trains_with(
    monkeypatch, tmp_path, package, changes, is_needed
):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "declared").mkdir()
    (tmp_path / "declared/README.md").write_text("---\nconfigs:\n---\n")
    raw: dict[str, Any] = {
        "study": {"name": "s"}, "model": {"base": "base"}, "data": {"source": str(tmp_path / "rows.jsonl")},
    }  # fmt: skip
    for section, values in changes.items():
        raw[section] = {**raw.get(section, {}), **values}
    raw["data"]["source"] = raw["data"]["source"].replace("FOLDER", str(tmp_path))
    monkeypatch.setattr(request_checks, "find_spec", lambda name: None if name == package else name)
    if not is_needed:
        request_checks.refuse_without_trainer(spec_file.parse(raw))
        return
    with pytest.raises(RefusedError, match=f"the trainer is not installed: {package}") as refused:
        request_checks.refuse_without_trainer(spec_file.parse(raw))
    assert "pip install 'trimtab[train]'" in str(refused.value)
