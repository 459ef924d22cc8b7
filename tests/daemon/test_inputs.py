"""A study whose data changed does not go on with other rows; one started elsewhere has that environment."""

from __future__ import annotations

import pytest

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, worker_api
from core.daemon.study import request_checks
from core.daemon.workers.trial_requeue import end_study_and_requeue
from core.errors import RefusedError, TrimtabError
from tests.daemon.conftest import raw_study

TOKEN = "not-like-any-known-token-42"


@pytest.mark.real
def test_a_changed_file_is_refused_and_the_study_goes_on_when_it_is_put_back(engine, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n' * 50)

    def run(trials: int) -> console_api.Started:
        raw = raw_study(study={"trials": trials}, data={"source": str(rows)})
        return engine.ask(console_api.StartStudy(raw, environment={"HF_HUB_OFFLINE": "1", "HF_TOKEN": TOKEN}))

    run(1)
    engine.until_study(lambda study: study.state == s.COMPLETE, "it ends")
    rows.write_text('{"text": "a"}\n' * 20)
    with pytest.raises(RefusedError, match=r"the data changed since the study began .280 bytes, 700 before"):
        run(2)
    assert engine.study().state == s.COMPLETE and len(engine.study().trials) == 1
    rows.write_text('{"text": "a"}\n' * 50)
    assert any("HF_HUB_OFFLINE is '1' in the shell" in note for note in run(2).notes)
    study = engine.until_study(
        lambda study: study.state == s.COMPLETE and len(study.trials) == 2, "it goes on"
    )
    assert any("HF_HUB_OFFLINE is '1' in the shell" in line.text for line in study.lines)
    engine.end()
    files = [path for path in engine.home.rglob("*") if path.is_file()]
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_trials_wait_while_a_worker_finds_the_data_changed():
    """So that nothing is lost when the file is put back."""
    state = s.State()
    raw = raw_study(study={"trials": 2})
    at = {"at": 1.0, "study": "s"}
    for event in (
        e.StudyCreated(**at, spec=raw, folder="/x"),
        *(e.TrialQueued(**at, trial=number, params={}, knobs={}) for number in (0, 1)),
        e.TrialStarting(**at, trial=0, worker="cpu-1", device="cpu"),
    ):
        state = apply(state, event)
    broken = worker_api.Broken("the data changed", "data.source = x", "put it back", keeps=True)
    for event in end_study_and_requeue(state.studies["s"], broken):
        state = apply(state, event)
    study = state.studies["s"]
    assert [trial.state for trial in study.trials.values()] == [s.QUEUED, s.QUEUED]
    assert (study.state, study.why) == ("failed", "the data changed (data.source = x) → put it back")
    request_checks.check_may_continue(study, has_more_trials=False)


def test_a_study_that_failed_and_has_nothing_left_says_so():
    study = s.Study("s", state="failed", total_trials=1, trials={0: s.Trial(0, state=s.FAILED)})
    with pytest.raises(TrimtabError, match="all its 1 trials have ended"):
        request_checks.check_may_continue(study, has_more_trials=False)
