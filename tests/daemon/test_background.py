"""No part of the engine ends in silence: it is logged, and begun again or told."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, message_codec, worker_api
from core.daemon import background_tasks
from core.daemon.background_tasks import Tasks, keep_going
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.server.worker_inbox import WorkerInbox
from core.daemon.study.study_lifecycle import Studies
from core.daemon.workers.worker_pool import Worker
from core.store import run_folder
from core.store.journal_file import Journal

SPEC = {"study": {"name": "s", "trials": 1, "objectives": []}}
CREATED = e.StudyCreated(at=1.0, study="s", spec=SPEC, folder="/s")


async def test_a_part_that_fails_is_begun_again(monkeypatch, caplog):
    monkeypatch.setattr(background_tasks, "FIRST_WAIT_S", 0.0)
    lives: list[int] = []

    async def part() -> None:
        lives.append(1)
        if len(lives) < 3:
            raise OSError("the third time it holds")

    await keep_going("the watch", part)
    assert len(lives) == 3 and "the watch failed, 2 times by now" in caplog.text


async def test_a_small_task_that_fails_is_logged(caplog):
    async def trips() -> None:
        raise ValueError("it tripped")

    tasks = Tasks("a limit's consequence")
    tasks.start(trips())
    for _ in range(3):
        await asyncio.sleep(0)
    assert "a limit's consequence failed" in caplog.text and "it tripped" in caplog.text


def telling_with(given_up: list[str]) -> tuple[WorkerInbox, Worker]:
    state = apply(s.State(), CREATED)
    for event in (
        e.TrialQueued(at=1.0, study="s", trial=0, params={}, knobs={}),
        e.TrialStarting(at=1.0, study="s", trial=0, worker="w", device="cpu"),
        e.TrialRunning(at=1.0, study="s", trial=0, step=0, total_steps=9),
    ):
        state = apply(state, event)
    worker = Worker("w", "s", "cpu", Path("/s"), 60.0)
    crew = SimpleNamespace(workers={"w": worker}, give_up=lambda one, why: given_up.append(why))
    studies = SimpleNamespace(crew=crew, heard={}, runner_of=lambda study: None)
    return WorkerInbox(EventCommitter(Hub(), state), studies), worker


async def test_a_worker_that_says_what_cannot_be_is_ended_and_the_engine_is_not():
    given_up: list[str] = []
    telling, worker = telling_with(given_up)
    edited = e.TrialEdited(at=2.0, study="s", trial=0, step=1, changes={"learning_rate": (0.1, float("nan"))})
    telling.receive(worker, worker_api.Told(1, edited))
    strange = e.TrialEdited(at=2.0, study="s", trial=0, step=1, changes={"depth": (1, 2)})
    telling.receive(worker, worker_api.Told(2, strange))
    telling.receive(worker, worker_api.Told(3, None))  # type: ignore[arg-type]
    assert given_up[0] == (
        "its worker w sent an invalid message: ValueError: 'learning_rate' = nan must be finite"
    )
    assert "'depth' = 2 is not a knob" in given_up[1] and len(given_up) == 3


def test_an_answer_that_cannot_be_written_is_a_refusal_in_words():
    half = console_api.Reply(7, True, what="the file a\udc80b")
    for raw in (message_codec.encode_reply(half), message_codec.encode_reply(half, as_json=True)):
        assert b"the answer cannot be written" in raw
    assert message_codec.read_to_console(message_codec.encode_reply(half)).id == 7


# -- what was kept, and cannot be read any more ------------------------------------------------------


def kept(name: str, *events: e.Event) -> Path:
    folder = run_folder.create(name, "")
    journal = Journal.open(run_folder.journal_path(folder))
    assert list(journal.replay()) == []
    journal.append(events)
    journal.close()
    return folder


async def test_journals_that_cannot_be_read_keep_no_engine_from_starting(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    folder = kept("s", CREATED, e.StudyNoted(at=2.0, study="s", text="a word"))
    strange = e.StudyCreated(at=1.0, study="t", spec={"study": {"trials": "many"}}, folder="/t")
    kept("t", strange, e.StudyNoted(at=2.0, study="t", text="a word"))
    folder.rename(folder.with_name("copy-of-s"))
    kept("s", CREATED)
    run_folder.journal_path(kept("u", CREATED)).chmod(0)
    committer = EventCommitter(Hub())
    studies = Studies(committer, tmp_path / "socket")
    studies.load()
    assert list(committer.state.studies) == ["s", "t"]
    assert [line.text for line in committer.state.studies["s"].lines] == ["study created: 1 trials planned"]
    assert committer.state.studies["t"].lines[-1].text == "a word"
    assert "skipped 2 events of another study in the folder copy-of-s" in caplog.text
