"""TensorBoard's files hold every step once, also when the engine was killed before it had flushed them."""

import signal

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.contract.state import engine_state as s

pytestmark = pytest.mark.real


def scalars(engine, trial: int, tag: str = "train/loss") -> list[int]:
    board = EventAccumulator(
        str(engine.home / "studies" / "s" / "tb" / str(trial)), size_guidance={"scalars": 0}
    )
    board.Reload()
    return [one.step for one in board.Scalars(tag)]


def test_kill_9_leaves_no_gap_and_no_step_twice(engine):
    engine.run(study={"trials": 2}, train={"steps": 600})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 300, "it is half-way")
    engine.kill()
    engine.start()
    engine.until_study(lambda study: study.state == "complete", "the study ends")
    for trial in (0, 1):
        engine.until(lambda trial=trial: len(scalars(engine, trial)) >= 600, "all is flushed")
        assert scalars(engine, trial) == list(range(1, 601))
        assert scalars(engine, trial, "eval/loss") == list(range(5, 601, 5))


def test_steps_that_are_trained_again_are_not_written_again(engine):
    engine.run(study={"trials": 1}, train={"steps": 400})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 100, "it runs")
    for worker in engine.workers():
        worker.send_signal(signal.SIGKILL)
    engine.until_study(lambda study: study.trials[0].retry == 1, "it is queued again")
    engine.kill()
    engine.start()
    engine.until_study(lambda study: study.trials[0].state == s.COMPLETE, "it ends")
    engine.until(lambda: len(scalars(engine, 0)) >= 400, "all is flushed")
    assert scalars(engine, 0) == list(range(1, 401))
