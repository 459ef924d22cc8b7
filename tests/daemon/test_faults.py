"""What breaks is taken up again: the state is what the journal says, and nothing finished is lost."""

import asyncio
import signal

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.contract.state import engine_state as s
from core.contract.wire import console_api, engine_client
from core.store import journal_file, run_folder
from core.store.journal_replay import replay_all
from tests.daemon.conftest import DEADLINE_S, SQLITE, Engine

pytestmark = pytest.mark.real
STORAGE = SQLITE  # as a study of users has it, through all that breaks


def of_journal(engine: Engine) -> s.Study:
    folder = engine.home / "studies" / "s"
    return replay_all([journal_file.read(run_folder.journal_path(folder))]).studies["s"]


def complete(study: s.Study) -> bool:
    return study.state == "complete"


def test_kill_9_of_the_engine_in_the_middle_loses_nothing(engine):
    engine.run(study={"trials": 6}, train={"steps": 150})
    engine.until_study(
        lambda study: sum(t.state == s.COMPLETE for t in study.trials.values()) >= 2, "two are complete"
    )
    before = [worker.pid for worker in engine.workers()]
    engine.kill()
    known = of_journal(engine)
    engine.start()
    study = engine.until_study(complete, "the study ends")
    for trial in known.trials.values():
        if trial.state == s.COMPLETE:
            assert study.trials[trial.number].values == trial.values
    assert len(study.trials) == 6 and all(trial.state == s.COMPLETE for trial in study.trials.values())
    assert not any("queued again" in line.text for line in study.lines), "the worker was taken over, not lost"
    assert before
    assert of_journal(engine).trials == study.trials
    for number in study.trials:
        board = EventAccumulator(str(engine.home / "studies" / "s" / "tb" / str(number)))
        board.Reload()
        steps = [one.step for one in board.Scalars("train/loss")]
        assert steps == sorted(set(steps)), "no step stands twice"


def test_kill_9_of_engine_and_workers_goes_on_from_the_queue(engine):
    engine.run(train={"steps": 150})
    engine.until_study(lambda study: len(study.trials) > 1 and study.trials[1].step > 3, "two trials run")
    engine.kill()
    for worker in engine.workers():
        worker.kill()
    engine.start()
    study = engine.until_study(complete, "the study ends")
    begun = [
        line.text for line in study.lines if "did not come back" in line.text or " complete" in line.text
    ]
    assert "did not come back" in begun[0] and "did not come back" in begun[1], "both, and at once"


def test_an_engine_that_comes_back_starts_no_second_worker_beside_one_that_still_runs(engine):
    engine.run(study={"trials": 1}, train={"steps": 1_000_000})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "it runs")
    (worker,) = engine.workers()
    worker.suspend()
    engine.kill()
    engine.start()
    engine.ask(console_api.EnqueueTrial("s", {"lora_rank": 16}, by="me"))
    engine.ask(console_api.EnqueueTrial("s", {"lora_rank": 4}, by="me"))
    worker.resume()
    study = engine.until_study(lambda study: study.trials[1].step > 0, "the free slot is taken")
    assert study.trials[1].worker == study.trials[0].worker
    assert [one.pid for one in engine.workers()] == [worker.pid], "it would load the base a second time"


def test_a_worker_that_dies_costs_its_trials_a_retry_and_not_more(engine):
    engine.run(train={"steps": 20, "seed": 1}, resources={"pack": 1})
    study = engine.until_study(complete, "the study ends")
    assert study.trials[0].retry == 1
    assert any(
        "queued again (1): its worker" in line.text and "(exit code 3)" in line.text for line in study.lines
    )


def test_a_worker_that_falls_silent_loses_its_lease(engine):
    engine.run(train={"steps": 20, "seed": 2}, resources={"pack": 1, "lease_s": 5.0})
    study = engine.until_study(complete, "the study ends")
    assert any("did not respond for" in line.text for line in study.lines)


def test_a_worker_that_stands_still_while_its_link_lives_is_ended(engine):
    engine.run(train={"steps": 20, "seed": 5}, resources={"pack": 1, "stall_s": 5.0})
    study = engine.until_study(complete, "the study ends")
    assert any("stood still for" in line.text and "stall_s = 5" in line.text for line in study.lines)
    assert study.trials[0].retry == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_worker_that_is_told_to_go_keeps_its_trials_and_costs_them_no_retry(engine, number):
    engine.run(study={"trials": 1}, train={"steps": 300})
    study = engine.until_study(lambda study: study.trials and study.trials[0].step > 20, "it runs")
    for worker in engine.workers():
        worker.send_signal(number)
    engine.until_study(lambda study: study.trials[0].checkpoint_step, "it is kept")
    study = engine.until_study(complete, "the study ends")
    assert study.trials[0].retry == 0
    assert any(f"queued again (0): its worker got {number.name}" in line.text for line in study.lines)


def test_slurms_signal_to_the_engine_is_an_orderly_end(engine):
    engine.run(study={"trials": 1}, train={"steps": 300})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 20, "it runs")
    engine.process.send_signal(signal.SIGUSR1)
    assert engine.process.wait(DEADLINE_S) == 0
    assert not engine.workers() and not engine.socket.exists()
    assert of_journal(engine).trials[0].checkpoint_step > 20


def test_a_clock_that_is_set_back_changes_times_and_nothing_else(engine):
    engine.run(study={"trials": 1}, train={"steps": 40, "seed": 6})
    study = engine.until_study(complete, "the study ends")
    trial = study.trials[0]
    assert trial.state == s.COMPLETE and list(trial.series["train/loss"].steps)[-1] == 40
    assert trial.ended_at < trial.started_at, "it was set back indeed"


def test_what_a_worker_wrote_last_is_shown_with_a_trial_that_fails_every_time(engine):
    engine.run(study={"trials": 2}, train={"seed": 7}, resources={"pack": 1})
    study = engine.until_study(complete, "the study ends")
    assert {trial.state for trial in study.trials.values()} == {s.FAILED}
    assert all("the seventh always dies" in trial.traceback for trial in study.trials.values())
    assert all("this was try 3" in trial.error for trial in study.trials.values())


def test_a_trial_that_fails_every_time_fails_after_two_retries_with_its_traceback(engine):
    engine.run(study={"trials": 2}, train={"seed": 8})
    study = engine.until_study(complete, "the study ends")
    assert {(trial.state, trial.retry) for trial in study.trials.values()} == {(s.FAILED, 2)}
    assert all("in the middle of it" in trial.traceback for trial in study.trials.values())
    assert all(
        trial.error.startswith("ValueError: it tripped; this was try 3") for trial in study.trials.values()
    )
    assert any("trial 0 queued again (1): ValueError: it tripped" in line.text for line in study.lines)


def test_a_trial_that_fails_once_goes_on_in_the_same_worker(engine):
    engine.run(study={"trials": 2}, train={"seed": 9})
    study = engine.until_study(complete, "the study ends")
    assert {(trial.state, trial.retry) for trial in study.trials.values()} == {(s.COMPLETE, 1)}
    assert len(list((engine.home / "studies" / "s" / "workers").glob("*.log"))) == 1


def test_a_trial_that_kills_every_worker_fails_and_the_study_goes_on(engine):
    engine.run(study={"trials": 2}, train={"seed": 4, "steps": 200}, resources={"pack": 1, "retries": 1})
    for tried in range(2):
        engine.until_study(
            lambda one, tried=tried: (
                one.trials and (one.trials[0].state, one.trials[0].retry) == (s.RUNNING, tried)
            ),
            "trial 0 runs",
        )
        for worker in engine.workers():
            worker.send_signal(signal.SIGKILL)
    study = engine.until_study(complete, "the study ends")
    assert study.trials[0].state == s.FAILED
    assert "(killed by signal 9); this was try 2 of 2 (resources.retries = 1)" in study.trials[0].error
    assert study.trials[1].state == s.COMPLETE


def test_an_orderly_stop_leaves_checkpoints_and_the_next_engine_goes_on(engine):
    engine.run(train={"steps": 200})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 20, "trial 0 runs")
    engine.ask(console_api.StopEngine(force=True))
    engine.until(lambda: engine.process.poll() is not None, "the engine is gone")
    assert not engine.workers() and not engine.socket.exists()
    stood = of_journal(engine).trials[0]
    assert stood.checkpoint_step > 20 and stood.retry == 0
    engine.start()
    study = engine.until_study(complete, "the study ends")
    assert any(
        "running from step" in line.text and f"step {stood.checkpoint_step} " in line.text
        for line in study.lines
    )


def test_a_torn_journal_is_told_and_the_rest_is_kept(engine):
    engine.run()
    engine.until_study(complete, "the study ends")
    engine.kill()
    path = engine.home / "studies" / "s" / "journal.log"
    path.write_bytes(path.read_bytes() + b"\x07\x00\x00")
    engine.start()
    study = engine.until_study(lambda study: "incomplete record" in study.lines[-1].text, "it is told")
    assert study.state == "complete"


def test_a_console_that_never_reads_slows_nobody(engine):
    async def attached_and_silent() -> None:
        connections = [await engine_client.attach(engine.socket) for _ in range(20)]
        await asyncio.to_thread(engine.run, study={"trials": 4}, train={"steps": 200})
        await asyncio.to_thread(engine.until_study, complete, "the study ends")
        for connection in connections:
            await connection.close()

    asyncio.run(attached_and_silent())


def test_attaching_gives_the_picture_and_then_what_changes(engine):
    from core.contract.state.event_fold import apply

    async def follow() -> s.State:
        connection = await engine_client.attach(engine.socket)
        state = None
        async for message in connection.receive_messages():
            if isinstance(message, console_api.Snapshot):
                state = message.state
            elif isinstance(message, console_api.Changed):
                for event in message.events:
                    state = apply(state, event)
            if state and "s" in state.studies and complete(state.studies["s"]):
                break
        await connection.close()
        return state

    engine.run(train={"steps": 60})
    seen = asyncio.run(follow())
    assert seen.studies == engine.state().studies
