"""Valid messages with one thing wrong in them, by the thousand, through what the engine does with them."""

import asyncio
import contextlib
import random
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from core.contract.events import event_types as e
from core.contract.wire import console_api, message_codec, worker_api
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.server.worker_inbox import WorkerInbox
from core.daemon.study.study_lifecycle import Studies
from core.daemon.workers.worker_pool import Worker
from core.errors import TrimtabError
from core.store import journal_file
from core.store.journal_file import Journal
from tests.bench import protocol_mutants as mutants
from tests.daemon.conftest import raw_study

INPUTS = 1500
BEGUN = (
    e.StudyCreated(at=1.0, study="s", spec=raw_study(), folder="/nowhere/s"),
    e.TrialQueued(at=1.0, study="s", trial=0, params={}, knobs=raw_study()["train"] | {"lora_rank": 4}),
    e.TrialStarting(at=1.0, study="s", trial=0, worker="cpu-1", device="cpu"),
    e.TrialRunning(at=1.0, study="s", trial=0, step=0, total_steps=20),
)


@pytest.fixture
async def writer(tmp_path, monkeypatch):
    """With a study that runs."""
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    committer = EventCommitter(Hub())
    kept = Journal.open(tmp_path / "j")
    assert list(kept.replay()) == []
    committer.keep("s", kept)
    task = asyncio.create_task(committer.run())
    await committer.put(*BEGUN)
    yield committer
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def lives(writer: EventCommitter, path: Path) -> None:
    """It writes on, all that it wrote can be read, and a console can be given the whole picture."""
    last = e.StudyNoted(at=time.time(), study="s", text="still here")
    assert await writer.put(last) == []
    one = Journal.open(path)
    assert list(one.replay())[-1] == last and one.faults == []
    assert message_codec.read_to_console(message_codec.encode(console_api.Snapshot(1, writer.state)))
    assert msgspec.json.encode(writer.state)


async def test_no_request_brings_more_than_a_refusal(writer, tmp_path):
    studies, draw = Studies(writer, tmp_path / "socket"), random.Random(5)
    done = refused = 0
    for number in range(INPUTS):
        by_json = number % 2
        try:
            request = (
                message_codec.read_request(mutants.posted(draw))
                if by_json
                else message_codec.read_from_console(mutants.from_console(draw)).request
            )
        except msgspec.DecodeError:
            refused += 1
            continue
        if isinstance(request, console_api.StopEngine | console_api.AskImportance | console_api.AskSearch):
            continue  # the engine's own, and a process of its own
        try:
            await studies.handle(request)
            done += 1
        except TrimtabError as error:
            assert str(error)
            refused += 1
    assert done > 20 and refused > 500
    await lives(writer, tmp_path / "j")


async def test_no_word_of_a_worker_ends_more_than_the_worker(writer, tmp_path, caplog):
    draw, given_up, taken = random.Random(6), [], 0
    state = writer.state
    for _ in range(2 * INPUTS):
        try:
            said = message_codec.read_from_worker(mutants.from_worker(draw))
        except msgspec.DecodeError:
            continue
        if isinstance(said, worker_api.Hello):
            continue
        if taken % 20 == 0:  # before it ended
            await writer.wait_until_written()
            writer.state = state
        worker = Worker("cpu-1", "s", "cpu", Path("/nowhere/s"), 60.0)
        crew = SimpleNamespace(workers={"cpu-1": worker}, give_up=lambda one, why: given_up.append(why))
        studies = SimpleNamespace(
            crew=crew, heard={}, runner_of=lambda study: None, why_pruned=lambda study, trial: "so"
        )
        WorkerInbox(writer, studies).receive(worker, said)
        taken += 1
    assert taken > 250
    assert not [why for why in given_up if "ValueError" not in why and "stood still" not in why]
    await lives(writer, tmp_path / "j")
    assert "failed" not in caplog.text and len(list(journal_file.read(tmp_path / "j"))) > 100
