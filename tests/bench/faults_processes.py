"""Processes that die, hang, are told to go, or are gone all at once."""

from __future__ import annotations

import contextlib
import random
import signal
import time

import psutil

from core.contract.state import engine_state as s
from tests.bench.faults_case import EVERY, Outcome, ended, fault, lost, results, scripted, stopped, worst_loss
from tests.daemon.conftest import Engine

LONG = 1_000_000


@fault("engine killed -9", 200)
def engine_killed(count: int) -> Outcome:
    """At random points of a study whose trials begin and end all the time."""
    outcome, draw = Outcome(), random.Random(1)
    with scripted(outcome, trials=LONG, steps=60) as engine:
        for _ in range(count):
            time.sleep(draw.uniform(0.0, 0.5))
            before = engine.study()
            engine.kill()
            since = time.monotonic()
            engine.start()
            now = engine.study()
            outcome.tried += 1
            outcome.lost_results += lost(results(before), now)
            engine.until_study(lambda one, was=now: moved(was, one), "it goes on")
            outcome.recovered(since)
        outcome.lost_steps = worst_loss(engine)
        stopped(engine)
    return outcome


def moved(before: s.Study, now: s.Study) -> bool:
    """Did any trial train?"""
    steps = sum(trial.step for trial in before.trials.values())
    return sum(trial.step for trial in now.trials.values()) > steps


@fault("worker killed -9", 10)
def worker_killed(count: int) -> Outcome:
    """Each time a study of its own."""
    return _repeated(count, lambda engine: [worker.kill() for worker in engine.workers()])


@fault("engine and workers killed -9", 5)
def both_killed(count: int) -> Outcome:
    """The workers first, so that nobody tells the engine."""

    def kill(engine: Engine) -> None:
        engine.process.send_signal(signal.SIGSTOP)
        for worker in engine.workers():
            worker.kill()
        engine.kill()
        engine.start()

    return _repeated(count, kill)


@fault("reboot", 5)
def reboot(count: int) -> Outcome:
    """All processes at once; lock, socket and notes of processes stay behind."""

    def end_all(engine: Engine) -> None:
        everybody = [psutil.Process(engine.process.pid), *engine.workers()]
        everybody += psutil.Process(engine.process.pid).children(recursive=True)
        for one in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        engine.process.wait()
        assert engine.socket.exists(), "it stays behind"
        engine.start()

    return _repeated(count, end_all)


@fault("SIGTERM to the engine", 3)
def engine_terminated(count: int) -> Outcome:
    """In good order, and again."""
    return _repeated(count, lambda engine: _leave(engine, signal.SIGTERM))


@fault("SIGUSR1 to the engine (Slurm)", 3)
def engine_preempted(count: int) -> Outcome:
    """The same."""
    return _repeated(count, lambda engine: _leave(engine, signal.SIGUSR1))


def _leave(engine: Engine, number: signal.Signals) -> None:
    engine.process.send_signal(number)
    engine.process.wait(60.0)
    engine.start()


@fault("SIGUSR1 to a worker (Slurm)", 3)
def worker_preempted(count: int) -> Outcome:
    """It keeps its trials and goes."""
    return _repeated(
        count, lambda engine: [worker.send_signal(signal.SIGUSR1) for worker in engine.workers()]
    )


def _repeated(count: int, strike) -> Outcome:
    """A study of two long trials, struck once; both must train again, and end."""
    outcome = Outcome()
    for _ in range(count):
        outcome.tried += 1
        with scripted(outcome, trials=3, steps=150) as engine:
            before = engine.until_study(
                lambda study: study.trials[0].checkpoint_step >= 2 * EVERY, "it is kept"
            )
            since = time.monotonic()
            strike(engine)
            engine.until_study(
                lambda one, was=before: moved(was, one) or one.state == "complete", "it goes on"
            )
            outcome.recovered(since)
            study = ended(engine)
            outcome.lost_results += lost(results(before), study)
            outcome.lost_steps = max(outcome.lost_steps, worst_loss(engine))
            if len(results(study)) != 3:
                outcome.faults.append(f"{len(results(study))} of 3 trials are complete")
    return outcome


def _strange(seed: int, **resources) -> Outcome:
    """A worker that misbehaves once, at step 5; the trial must complete."""
    outcome = Outcome(tried=1)
    with _seeded(outcome, seed, 1, **resources) as engine:
        since = time.monotonic()
        study = ended(engine)
        if len(results(study)) == len(study.trials):
            outcome.recovered(since)
        outcome.lost_steps = worst_loss(engine)
    return outcome


def _seeded(outcome: Outcome, seed: int, trials: int, **resources):
    """What each seed does stands in tests/daemon/scripted_worker.py."""
    resources = {"pack": 1, **resources}
    return scripted(outcome, trials, 60, at_work=False, train={"seed": seed}, resources=resources)


@fault("worker falls silent")
def silent(count: int) -> Outcome:
    """Its link stands still: the lease of 5 s runs out."""
    return _strange(2, lease_s=5.0)


@fault("training hangs, the link lives")
def hanging(count: int) -> Outcome:
    """resources.stall_s, here 5 s."""
    return _strange(5, stall_s=5.0)


@fault("clock set back")
def clock(count: int) -> Outcome:
    """An hour with every step."""
    return _strange(6)


@fault("a trial fails every time")
def always(count: int) -> Outcome:
    """Failed after two retries, with what its worker wrote; the study goes on."""
    outcome = Outcome(tried=1)
    with _seeded(outcome, 7, 2) as engine:
        since = time.monotonic()
        study = ended(engine)
        told = all("the seventh always dies" in trial.traceback for trial in study.trials.values())
        if (
            told
            and study.state == "complete"
            and {trial.state for trial in study.trials.values()} == {s.FAILED}
        ):
            outcome.recovered(since)
    return outcome


@fault("base model cannot be loaded")
def unloadable(count: int) -> Outcome:
    """The study stops with the reason."""
    outcome = Outcome(tried=1)
    with _seeded(outcome, 3, 2) as engine:
        since = time.monotonic()
        study = ended(engine)
        if study.state == "failed" and "cannot be loaded" in study.why:
            outcome.recovered(since)
    return outcome
