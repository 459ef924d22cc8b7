"""Workers that come and go: pauses and reasons outlive them, and a worker that never works ends the study."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api, worker_api
from core.daemon.workers import worker_pool
from core.store import run_folder
from tests.daemon.conftest import Engine

pytestmark = pytest.mark.real
LONG = {"steps": 1_000_000}


@pytest.fixture
def broken(tmp_path):
    engine = Engine(tmp_path / "home", worker="tests.daemon.no_such_worker").start()
    yield engine
    engine.end()


def test_a_worker_that_never_starts_ends_the_study_with_the_last_line_of_its_log(broken):
    broken.run(study={"trials": 50}, resources={"retries": 1})
    study = broken.until_study(lambda study: study.state == "failed", "the study fails")
    assert "No module named tests.daemon.no_such_worker" in study.why
    assert len(study.trials) <= 2 and all(trial.state == s.FAILED for trial in study.trials.values())


@pytest.fixture
def loading(tmp_path):
    engine = Engine(tmp_path / "home", worker="tests.daemon.loading_worker").start()
    yield engine
    engine.end()


def test_a_worker_loads_while_the_storage_of_optuna_is_locked(engine, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "studies.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        engine.run(study={"trials": 1, "storage": f"sqlite:///{tmp_path}/studies.db"})
        engine.until(engine.workers, "a worker starts")
        assert not engine.study().trials, "none can be proposed"
        other.rollback()
    engine.until_study(lambda study: study.state == "complete", "it trains what is proposed at last")
    assert engine.study().trials[0].retry == 0


@pytest.mark.parametrize("resumed", [False, True])
def test_a_pause_while_the_base_loads_is_there_at_once_and_is_kept_when_it_is_loaded(loading, resumed):
    loading.run(study={"trials": 1}, train=LONG, resources={"pack": 1})
    study = loading.until_study(
        lambda study: study.trials and study.trials[0].state == s.STARTING, "it starts"
    )
    loading.ask(console_api.PauseTrial("s", 0))
    assert loading.trial(0).state == s.PAUSED, "its worker has read nothing yet"
    loading.kill()
    loading.start()
    assert loading.trial(0).state == s.PAUSED, "another engine knows it too"
    if resumed:
        loading.ask(console_api.ResumeTrial("s", 0))
        assert loading.trial(0).state == s.STARTING
    (Path(study.folder) / "loaded").touch()
    if not resumed:
        loading.until(lambda: loading.trial(0).total_steps, "its worker runs it")
        assert (loading.trial(0).state, loading.trial(0).step) == (s.PAUSED, 0)
        loading.ask(console_api.ResumeTrial("s", 0))
    loading.until(lambda: loading.trial(0).state == s.RUNNING and loading.trial(0).step > 3, "it runs")


def test_a_paused_trial_stays_paused_when_its_worker_is_lost(engine):
    engine.run(study={"trials": 1}, train=LONG)
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "it runs")
    engine.ask(console_api.PauseTrial("s", 0))
    engine.until(lambda: engine.trial(0).state == s.PAUSED, "it is paused")
    for worker in engine.workers():
        worker.send_signal(signal.SIGKILL)
    engine.until(lambda: engine.trial(0).retry == 1 and engine.trial(0).state == s.PAUSED, "paused again")
    engine.ask(console_api.ResumeTrial("s", 0))
    engine.until(lambda: engine.trial(0).state == s.RUNNING and engine.trial(0).step > 3, "it goes on")


def test_a_prune_that_was_asked_before_the_engine_died_keeps_its_reason(engine):
    engine.run(study={"trials": 1}, train=LONG)
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "it runs")
    (worker,) = engine.workers()
    worker.suspend()  # it cannot confirm
    engine.ask(console_api.PruneTrial("s", 0, why="too slow for me"))
    engine.kill()
    worker.resume()
    engine.start()
    engine.until(lambda: engine.trial(0).state == s.PRUNED, "it is pruned")
    assert engine.trial(0).why == "too slow for me"


async def test_an_engine_that_stood_still_does_not_take_its_workers_for_dead(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "CHECK_S", 0.05)
    lost: list[str] = []
    some = worker_pool.WorkerPool(tmp_path / "socket", lambda worker, why: lost.append(why))
    with subprocess.Popen(["sleep", "600"]) as process:  # noqa: ASYNC220 - it only lives
        worker = worker_pool.Worker(
            "cpu-1", "s", "cpu", tmp_path, lease_s=0.5, pid=process.pid, process=process
        )
        some._add(worker)
        watching = asyncio.create_task(some.watch())
        await asyncio.sleep(0)
        time.sleep(2.0)  # noqa: ASYNC251 - the loop stands still: this is what is tested
        heard_at = worker.heard_at
        while worker.heard_at == heard_at:
            await asyncio.sleep(0.01)
        assert not lost
        while not lost:  # real silence still counts
            await asyncio.sleep(0.01)
        assert "did not respond for" in lost[0]
        watching.cancel()


async def test_a_worker_that_reconnects_while_the_engine_exits_is_asked_to_exit_too(tmp_path):
    some = worker_pool.WorkerPool(tmp_path / "socket", lambda worker, why: None)
    processes = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]  # noqa: ASYNC220 - they only live
    try:
        first, late = (process.pid for process in processes)
        some._add(worker_pool.Worker("cpu-1", "s", "cpu", tmp_path, lease_s=60, pid=first))
        exiting = asyncio.create_task(some.leave("the engine was stopped", within_s=60.0))
        await asyncio.sleep(0)
        hello = worker_api.Hello(console_api.PROTOCOL, "cpu-2", late, "s", "cpu", ())
        assert some.adopt(hello, tmp_path, 60.0, 0).leaving, "its Hello is answered with a Shutdown"
    finally:
        for process in processes:
            process.kill()
            process.wait()
    await exiting
    assert not some.workers


def test_the_record_of_a_worker_that_ended_at_once_says_that_it_has_ended(tmp_path):
    with subprocess.Popen(["true"]) as process:
        process.wait()
    run_folder.worker_log(tmp_path, "cpu-1").parent.mkdir(parents=True, exist_ok=True)
    worker_pool._note_process(tmp_path, "cpu-1", process.pid)
    assert not worker_pool.may_return(tmp_path, "cpu-1"), "nobody waits for it"
