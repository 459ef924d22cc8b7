"""Trials paired on the same validation rows, clones of the best checkpoint, and consoles that only read."""

import asyncio

import pytest
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.best_and_counts import find_best_kept_step
from core.contract.state.thinned_series import Series, add
from core.contract.wire import console_api, engine_client
from core.daemon.answers import paired_losses
from core.daemon.study.steering_requests import find_best_checkpoint
from core.errors import RefusedError
from core.store import run_folder
from core.store.journal_file import Journal


def study_of(folder, *trials: s.Trial) -> s.Study:
    run_folder.journal_path(folder).parent.mkdir(parents=True, exist_ok=True)
    return s.Study("s", folder=str(folder), trials={trial.number: trial for trial in trials})


def journal_of(folder, *evaluations: tuple[int, int, list[float]]) -> None:
    journal = Journal(run_folder.journal_path(folder))
    events = [
        e.TrialEvaluated(at=1.0, study="s", trial=n, step=step, elapsed_s=1.0, metrics={}, rows=tuple(rows))
        for n, step, rows in evaluations
    ]
    journal.append(events)
    journal.close()


def test_trials_are_paired_at_their_latest_common_step_and_a_small_change_is_seen(tmp_path):
    rows = [0.2 + 0.1 * place for place in range(40)]  # far apart: unpaired, nothing would be seen
    better = [value - 0.03 + 0.001 * (place % 3) for place, value in enumerate(rows)]
    twin = s.Trial(1, parent=0, marks=(s.Mark(5, "cloned from trial 0"),))
    study = study_of(tmp_path, s.Trial(0), twin, s.Trial(2))
    journal_of(tmp_path, (0, 5, rows), (0, 10, rows), (0, 15, rows), (1, 10, better[:39] + [float("nan")]),
               (2, 20, better))  # fmt: skip
    one, other = paired_losses.read(study, 0, (1, 2))
    assert (one.first_step, one.step, one.difference.samples) == (10, 10, 39)
    assert -0.031 < one.difference.low < one.difference.value < one.difference.high < -0.027
    assert (other.first_step, other.step) == (15, 20), "without a common step, at the latest of each"


def test_without_row_losses_it_says_how_to_keep_them(tmp_path):
    study = study_of(tmp_path, s.Trial(0), s.Trial(1))
    journal_of(tmp_path, (0, 5, []), (1, 5, []))
    (one,) = paired_losses.read(study, 0, (1,))
    assert one.difference.value is None and "evaluate.row_losses = true" in one.why_none


def overfitted(folder, best_is_kept: bool) -> s.Study:
    curve = Series()
    for step, value in ((5, 2.0), (10, 1.5), (15, 1.8), (20, 2.4)):
        curve = add(curve, step, value)
    steps = (10, 15, 20) if best_is_kept else (15, 20)
    for step in steps:
        (folder / "trials" / "0" / f"step-{step}.{step * 2}").mkdir(parents=True)
    stops = tuple(s.Mark(step, "checkpoint") for step in steps)
    trial = s.Trial(0, s.PRUNED, step=20, series={"eval/loss": curve}, stops=stops)
    return study_of(folder, trial)


def test_the_best_checkpoint_is_the_one_of_the_best_evaluation(tmp_path):
    study = overfitted(tmp_path, True)
    assert find_best_kept_step(study, study.trials[0]) == 10
    checkpoint = find_best_checkpoint(study, study.trials[0])
    assert (checkpoint.step, checkpoint.path.rsplit("/", 1)[1]) == (10, "step-10.20")


def test_a_best_step_without_a_checkpoint_is_said(tmp_path):
    study = overfitted(tmp_path, False)
    assert find_best_kept_step(study, study.trials[0]) is None
    with pytest.raises(RefusedError, match="none of its best step 10 is kept"):
        find_best_checkpoint(study, study.trials[0])
    with pytest.raises(RefusedError, match="not evaluated yet"):
        find_best_checkpoint(study, replace(study.trials[0], series={}))


def test_a_clone_of_the_best_begins_there(engine):
    engine.run(
        study={"trials": 1}, train={"steps": 100000}, evaluate={"every": 5}, resources={"checkpoint_every": 5}
    )
    engine.until_study(lambda study: study.trials and study.trials[0].checkpoint_step >= 5, "a checkpoint")
    engine.ask(console_api.PauseTrial("s", 0))
    engine.until_study(lambda study: study.trials[0].state == "paused", "the pause")
    number = engine.ask(console_api.CloneTrial("s", 0, {}, best=True)).trial
    clone = engine.trial(number)
    assert clone.parent == 0 and clone.checkpoint_step % 5 == 0 and "at step" in clone.lines[0].text


def test_the_engine_takes_no_change_from_a_console_that_only_reads(engine):
    engine.run(study={"trials": 1}, train={"steps": 100000})

    async def ask(*requests: console_api.AnyRequest) -> list[object]:
        connection = await engine_client.attach(engine.socket, read_only=True)
        reading = asyncio.create_task(drain(connection))
        answers: list[object] = []
        try:
            for request in requests:
                try:
                    answers.append(await connection.ask(request))
                except RefusedError as error:
                    answers.append(error.problems[0].what)
        finally:
            reading.cancel()
            await connection.close()
        return answers

    async def drain(connection) -> None:
        async for _ in connection.receive_messages():
            pass

    asked = console_api.StopStudy("s"), console_api.AskHistory("s"), console_api.AskDataReview("s")
    refused, history, review = asyncio.run(ask(*asked))
    assert "only reads" in refused and history is not None
    assert "have not been checked" in review.why_none
    assert engine.study().state == "running"
