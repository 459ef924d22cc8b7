"""Disks that are full, files that are damaged, locked or lost."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from core.contract.state import engine_state as s
from core.daemon.server.engine_launch import read_health
from tests.bench.faults_case import EVERY, Outcome, ended, fault, lost, of, results, scripted, worst_loss
from tests.daemon.conftest import Engine

NO_ROOM = (1, resource.RLIM_INFINITY)  # files may not grow: a write raises EFBIG, as a full disk ENOSPC
ROOM = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@fault("disk full while journalling and writing TensorBoard", 3)
def full(count: int) -> Outcome:
    """For the engine alone; the console is told, nothing is shown that is not kept, and it goes on."""
    outcome = Outcome()
    for _ in range(count):
        outcome.tried += 1
        with scripted(outcome, 3, 200) as engine:
            process = psutil.Process(engine.process.pid)
            before = engine.study()
            process.rlimit(resource.RLIMIT_FSIZE, NO_ROOM)
            engine.until(lambda one=engine: (read_health(one.socket) or {}).get("trouble"), "it is told")
            process.rlimit(resource.RLIMIT_FSIZE, ROOM)
            since = time.monotonic()
            engine.until(lambda one=engine: not read_health(one.socket)["trouble"], "it is over")
            outcome.recovered(since)
            _end(outcome, engine, before, 3)
    return outcome


def _end(outcome: Outcome, engine: Engine, before: s.Study, complete: int) -> None:
    study = ended(engine)
    outcome.lost_results += lost(results(before), study)
    outcome.lost_steps = max(outcome.lost_steps, worst_loss(engine))
    if len(results(study)) != complete:
        outcome.faults.append(f"{len(results(study))} of {complete} trials are complete")


def _between_lives(count: int, harm: Callable[[Path], None], told: str) -> Outcome:
    """Kill the engine when two trials have ended, do ``harm`` in the study's folder, start another."""
    outcome = Outcome()
    for _ in range(count):
        outcome.tried += 1
        with scripted(outcome, 4, 120) as engine:
            before = engine.until_study(lambda study: len(results(study)) >= 2, "two are complete")
            engine.kill()
            harm(of(engine).parent)
            since = time.monotonic()
            engine.start()
            engine.until_study(lambda study: any(trial.step for trial in study.trials.values()), "it goes on")
            outcome.recovered(since)
            _end(outcome, engine, before, 4)
            if told and not any(told in line.text for line in engine.study().lines):
                outcome.faults.append(f"nothing in the list of events says {told!r}")
    return outcome


@fault("journal cut off in mid-record", 3)
def cut(count: int) -> Outcome:
    """As when the machine goes down while it is written."""

    def harm(folder: Path) -> None:
        path = folder / "journal.log"
        path.write_bytes(path.read_bytes()[:-7])

    return _between_lives(count, harm, "incomplete record")


@fault("journal with a flipped byte", 3)
def flipped(count: int) -> Outcome:
    """In a reading near its end: one record is lost, and told."""

    def harm(folder: Path) -> None:
        path = folder / "journal.log"
        raw = bytearray(path.read_bytes())
        at = raw.rfind(b"trial-reported")
        raw[at] ^= 1
        path.write_bytes(bytes(raw))

    return _between_lives(count, harm, "bytes at")


@fault("Optuna's storage lost", 2)
def storage_lost(count: int) -> Outcome:
    """It is made again from the journal."""
    return _between_lives(count, lambda folder: (folder / "optuna.db").unlink(), "")


@fault("Optuna's storage locked for 3 s", 2)
def locked(count: int) -> Outcome:
    """By another program that writes."""
    outcome = Outcome()
    for _ in range(count):
        outcome.tried += 1
        with scripted(outcome, 4, 120) as engine:
            before, since = engine.study(), time.monotonic()
            other = sqlite3.connect(of(engine).parent / "optuna.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(3.0)  # the fault itself
            other.execute("ROLLBACK")
            other.close()
            _end(outcome, engine, before, 4)
            outcome.recovered(since)
    return outcome


@fault("journal lost altogether", 1)
def journal_lost(count: int) -> Outcome:
    """study.toml and optuna.db remain: the next engine lives and does not show what nobody knows."""
    outcome = Outcome(tried=1)
    with scripted(outcome, 2, EVERY * 20) as engine:
        engine.kill()
        for worker in engine.workers():
            worker.kill()
        raw, path = of(engine).read_bytes(), of(engine)
        path.unlink()
        since = time.monotonic()
        engine.start()
        if "s" not in engine.state().studies:
            outcome.recovered(since)
        engine.kill()
        path.write_bytes(raw)
        engine.start()
        ended(engine)
    return outcome
