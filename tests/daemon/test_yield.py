"""A paused study keeps all its trials and gives its devices back, within seconds; resumed, it goes on."""

import signal

import psutil

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.daemon.workers import worker_shutdowns
from core.daemon.workers.worker_shutdowns import WorkerShutdowns

LONG = {"steps": 100_000}


def run_two(engine) -> None:
    engine.run(study={"trials": 2}, train=LONG)
    engine.until_study(
        lambda study: len(study.trials) == 2 and all(trial.step > 3 for trial in study.trials.values()),
        "both run",
    )


def paused(engine) -> s.Study:
    engine.ask(console_api.PauseStudy("s", by="me"))
    engine.until(lambda: not engine.workers(), "the workers are gone")
    return engine.until_study(
        lambda study: all(trial.state == s.QUEUED for trial in study.trials.values()), "all stand still"
    )


def test_all_trials_are_kept_and_go_on_where_they_stood(engine):
    run_two(engine)
    study = paused(engine)
    assert (study.state, study.why) == ("paused", "paused by me")
    stood = {number: trial.step for number, trial in study.trials.items()}
    assert all(
        trial.retry == 0 and trial.checkpoint_step == trial.step > 3 for trial in study.trials.values()
    )
    engine.ask(console_api.ResumeStudy("s", by="me"))
    study = engine.until_study(
        lambda study: all(trial.step > stood[number] for number, trial in study.trials.items()), "they go on"
    )
    assert study.state == "running" and all(trial.retry == 0 for trial in study.trials.values())


def test_nothing_starts_while_it_is_paused_not_even_with_the_next_engine(engine):
    run_two(engine)
    paused(engine)
    engine.kill()
    engine.start()
    engine.ask(console_api.ResumeStudy("s"))
    engine.until_study(lambda study: any(t.state == s.RUNNING for t in study.trials.values()), "it goes on")


def test_workers_that_outlive_the_engine_go_when_the_next_one_finds_the_study_paused(engine):
    run_two(engine)
    (worker,) = engine.workers()
    worker.suspend()  # it cannot hear of the pause
    engine.ask(console_api.PauseStudy("s"))
    engine.kill()
    worker.resume()
    engine.start()
    engine.until(lambda: not engine.workers(), "the worker is gone")
    study = engine.until_study(
        lambda study: all(trial.state == s.QUEUED for trial in study.trials.values()), "all stand still"
    )
    assert study.state == "paused" and all(trial.step > 3 for trial in study.trials.values())


def test_a_study_that_is_resumed_at_once_waits_until_the_memory_is_free(engine):
    run_two(engine)
    (before,) = engine.workers()
    before.suspend()
    engine.ask(console_api.PauseStudy("s"))
    engine.ask(console_api.ResumeStudy("s"))
    study = engine.study()
    assert study.state == "running" and [worker.pid for worker in engine.workers()] == [before.pid]
    before.send_signal(signal.SIGCONT)
    engine.until(lambda: not psutil.pid_exists(before.pid) and engine.workers(), "another worker")
    study = engine.until_study(
        lambda study: all(trial.state == s.RUNNING for trial in study.trials.values()), "both run again"
    )
    assert all(trial.retry == 0 for trial in study.trials.values())


def test_a_paused_study_can_be_stopped(engine):
    run_two(engine)
    paused(engine)
    engine.ask(console_api.StopStudy("s"))
    study = engine.until_study(lambda study: study.state == "stopped", "it has stopped")
    assert {trial.state for trial in study.trials.values()} == {s.PRUNED}


class Slow:
    """A worker that does not go."""

    def __init__(self) -> None:
        self.name, self.device, self.leaving, self.killed = "cpu-1", "cpu", False, 0

    def tell(self, message) -> None: ...

    def kill(self) -> None:
        self.killed += 1


def test_a_worker_that_does_not_go_is_ended():
    now = 0.0
    slow, some = Slow(), WorkerShutdowns(lambda: now)
    some.send(slow, "the study is paused", at_once=False)
    some.hurry()
    assert slow.leaving and not slow.killed and some.under_way({"cpu-1"}, {"cpu"})
    assert not some.under_way((), {"cpu"}), "it has gone"
    assert not some.under_way({"cpu-1"}, {"gpu0"}), "the memory of another device is free"
    now = worker_shutdowns.GRACE_S + 1
    some.hurry()
    assert slow.killed
