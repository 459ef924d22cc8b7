"""People: consoles that contradict each other, do not read, vanish, and studies of ten thousand trials."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import aiohttp
import psutil

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.knob_table import list_defaults
from core.contract.state import engine_state as s
from core.contract.wire import console_api, engine_client
from core.errors import TrimtabError
from core.store import run_folder
from core.store.journal_file import Journal
from tests.bench.faults_case import Outcome, fault, scripted, stopped
from tests.daemon.conftest import Engine, raw_study

MANY = 10_000
LONG = 1_000_000


@fault("two consoles press contradictory keys", 20)
def contradictory(count: int) -> Outcome:
    """Pause, resume, prune, pause all, at the same moment; the last word of the journal is the truth."""
    outcome, draw = Outcome(), random.Random(3)
    with scripted(outcome, LONG, LONG) as engine:

        async def press(request: console_api.AnyRequest) -> None:
            try:
                await engine_client.request(engine.socket, request)
            except TrimtabError:
                return  # refused, with the reason

        async def both(trial: int) -> None:
            keys = [
                console_api.PauseTrial("s", trial),
                console_api.ResumeTrial("s", trial),
                console_api.PauseStudy("s"),
                console_api.ResumeStudy("s"),
                console_api.PruneTrial("s", trial),
            ]
            await asyncio.gather(*(press(draw.choice(keys)) for _ in range(6)))

        for _ in range(count):
            outcome.tried += 1
            asyncio.run(both(draw.choice(list(engine.study().trials))))
            since = time.monotonic()
            asyncio.run(press(console_api.ResumeStudy("s")))
            for trial in list(engine.study().trials):
                asyncio.run(press(console_api.ResumeTrial("s", trial)))
            engine.until_study(
                lambda study: any(trial.state == s.RUNNING for trial in study.trials.values()), "one runs"
            )
            outcome.recovered(since)
        stopped(engine)
    return outcome


@fault("50 consoles, one never reads", 50)
def crowd(count: int) -> Outcome:
    """All others see every step; the engine's memory stays."""
    outcome = Outcome()
    with scripted(outcome, 2, LONG) as engine:
        process = psutil.Process(engine.process.pid)
        before = process.memory_info().rss

        async def watch() -> int:
            """Consoles that saw the study go on."""
            connector = aiohttp.UnixConnector(path=str(engine.socket))
            async with aiohttp.ClientSession(connector=connector) as session:
                deaf = await session.ws_connect("http://engine/ws", params={"from": "console"})
                seen = await asyncio.gather(*(_follow(engine.socket) for _ in range(count - 1)))
                await deaf.close()
            return sum(seen)

        since = time.monotonic()
        outcome.tried = count
        outcome.survived = asyncio.run(watch()) + 1
        outcome.recover_s = time.monotonic() - since
        grown = process.memory_info().rss - before
        if grown > 100 << 20:
            outcome.faults.append(f"the engine grew by {grown >> 20} MiB")
        stopped(engine)
    return outcome


async def _follow(socket: Path, changes: int = 20) -> bool:
    """Attach, and read so many changes."""
    line = await engine_client.attach(socket)
    try:
        async with asyncio.timeout(30.0):
            async for message in line.receive_messages():
                changes -= isinstance(message, console_api.Changed)
                if not changes:
                    return True
    finally:
        await line.close()
    return False


@fault("10,000 finished trials", 1)
def many(count: int) -> Outcome:
    """An engine starts on them and shows them; ``recover_s`` is from start to picture."""
    outcome = Outcome(tried=1)
    with scripted(outcome, 1, 20) as engine:
        engine.until_study(lambda study: study.state == "complete", "the first study ends")
        engine.kill()
        _write(engine)
        since = time.monotonic()
        engine.start()
        study = engine.state().studies["many"]
        if len(study.trials) == MANY:
            outcome.recovered(since)
        if engine.study("many").trials[MANY - 1].values != (1.5,):
            outcome.faults.append("the last trial has lost its value")
    return outcome


def _write(engine: Engine) -> None:
    """A complete study of so many trials, through the real journal."""
    raw = raw_study(study={"name": "many", "trials": MANY})
    folder = engine.home / "studies" / "many"
    folder.mkdir(mode=0o700)
    run_folder.write_spec(folder, spec_file.write(spec_file.parse(raw)))
    journal = Journal.open(run_folder.journal_path(folder))
    list(journal.replay())
    journal.append([e.StudyCreated(at=1.0, study="many", spec=raw, folder=str(folder))])
    for number in range(MANY):
        journal.append(_life(number))
    journal.append([e.StudyEnded(at=9e5, study="many", outcome="complete", why="all are done")])
    journal.close()


def _life(number: int) -> list[e.Event]:
    at, common = 10.0 * number, {"study": "many", "trial": number}
    knobs = {**list_defaults(), "lora_rank": 8}
    readings = [
        e.TrialReported(
            at=at + step, **common, step=step, elapsed_s=float(step), metrics={"train/loss": 2.0 / (step + 1)}
        )
        for step in range(1, 11)
    ]
    return [
        e.TrialQueued(at=at, **common, params={"lora_rank": 8}, knobs=knobs, why="random"),
        e.TrialStarting(at=at, **common, worker="cpu-0", device="cpu"),
        e.TrialRunning(at=at, **common, step=0, total_steps=10),
        *readings,
        e.TrialEvaluated(at=at + 10, **common, step=10, elapsed_s=10.0, metrics={"eval/loss": 1.5}),
        e.TrialCompleted(at=at + 10, **common, step=10, values=(1.5,)),
    ]
