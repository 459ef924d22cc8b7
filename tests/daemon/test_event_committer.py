"""The one writer: nothing is shown before it is on disk, and a full disk is waited for."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncIterator

import pytest

from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, message_codec
from core.daemon import event_committer as module
from core.daemon import journal_writer
from core.daemon.console_broadcast import LARGEST_QUEUE, Hub
from core.daemon.event_committer import EventCommitter
from core.store import journal_file
from core.store.journal_file import Journal

CREATED = e.StudyCreated(
    at=1.0, study="s", spec={"study": {"name": "s", "trials": 3, "objectives": []}}, folder="/s"
)
QUEUED = e.TrialQueued(at=1.0, study="s", trial=0, params={}, knobs={})


def note(text: str) -> e.StudyNoted:
    return e.StudyNoted(at=2.0, study="s", text=text)


@pytest.fixture
async def writer(tmp_path) -> AsyncIterator[EventCommitter]:
    committer = EventCommitter(Hub())
    kept = Journal.open(tmp_path / "j")
    assert list(kept.replay()) == []
    committer.keep("s", kept)
    task = asyncio.create_task(committer.run())
    yield committer
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_an_event_is_on_disk_before_anybody_sees_it(writer, tmp_path):
    seen: list[bool] = []
    shown = writer._hub.publish

    def changed(state: State, events) -> None:
        on_disk = list(journal_file.read(tmp_path / "j"))
        seen.extend(event in on_disk for event in events)
        shown(state, events)

    writer._hub.publish = changed
    writer.watchers.append(lambda event, state: seen.append(event in list(journal_file.read(tmp_path / "j"))))
    assert await writer.put(CREATED, QUEUED) == []
    await writer.put(note("a"))
    assert seen == [True] * 6


async def test_a_secret_is_neither_kept_nor_shown(writer, tmp_path):
    await writer.put(CREATED)
    await writer.put(note("401 for hf_0123456789abcdefghij"))
    assert list(journal_file.read(tmp_path / "j"))[1].text == "401 for hf_(redacted)"
    assert writer.state.studies["s"].lines[-1].text == "401 for hf_(redacted)"


async def test_what_cannot_happen_is_refused_and_not_kept(writer, tmp_path):
    await writer.put(CREATED)
    refused = await writer.put(e.TrialPaused(at=2.0, study="s", trial=7, step=1))
    assert refused == ["trial 7 does not exist in s"]
    assert list(journal_file.read(tmp_path / "j")) == [CREATED]


async def test_readings_of_the_moment_are_shown_and_not_kept(writer, tmp_path):
    await writer.put(CREATED)
    await writer.put(e.Preparing(at=2.0, study="s", worker="w", stage="loading the model"))
    assert writer.state.studies["s"].preparing["w"].stage == "loading the model"
    assert list(journal_file.read(tmp_path / "j")) == [CREATED]


async def test_a_full_disk_shows_nothing_and_loses_nothing(writer, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_writer, "RETRY_S", 0.01)
    await writer.put(CREATED)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "j").stat().st_size + 10, limits[1]))
        waiting = writer.put(note("a word that does not fit"))
        while not writer.trouble:
            await asyncio.sleep(0.01)
        assert "the journal of s cannot be written" in writer.trouble
        (wait,) = writer.state.studies["s"].preparing.values()
        assert wait.stage == "the journal cannot be written: File too large", "consoles say why nothing moves"
        assert not waiting.done() and len(writer.state.studies["s"].lines) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert await waiting == [] and writer.trouble == "" and not writer.state.studies["s"].preparing
    assert list(journal_file.read(tmp_path / "j")) == [CREATED, note("a word that does not fit")]


async def test_a_console_that_does_not_take_its_events_gets_a_fresh_picture_later():
    hub, taken, may_go_on = Hub(), [], asyncio.Event()

    async def send(raw: bytes) -> None:
        taken.append(message_codec.read_to_console(raw))
        if len(taken) == 2:
            await may_go_on.wait()

    serving = asyncio.create_task(hub.serve(send))
    while len(taken) < 1:
        await asyncio.sleep(0)
    for _ in range(2):
        hub.publish(State(), [note("x")])
    while len(taken) < 2:
        await asyncio.sleep(0)
    for number in range(LARGEST_QUEUE + 5):  # meanwhile the line is stuck
        hub.publish(State(), [note(str(number))])
    may_go_on.set()
    while len(taken) < 3:
        await asyncio.sleep(0)
    assert [type(one) for one in taken] == [
        console_api.Snapshot,
        console_api.Changed,
        console_api.Snapshot,
    ]
    assert taken[2].number == LARGEST_QUEUE + 7
    hub.publish(State(), [note("after")])
    while len(taken) < 4:
        await asyncio.sleep(0)
    assert taken[3] == console_api.Changed(LARGEST_QUEUE + 8, (note("after"),))
    serving.cancel()


# -- nothing ends the writer -----------------------------------------------------------------------

UNFIT = {
    "a number above 64 bits": e.TrialMarked(at=2.0, study="s", trial=0, by="me", priority=2**70),
    "no number": e.StudyNoted(at=float("nan"), study="s", text="when?"),
    "what is no text": e.StudyNoted(at=2.0, study="s", text=object()),  # type: ignore[arg-type]
    "a step before the first": e.TrialPruned(at=2.0, study="s", trial=0, step=-1, why="no"),
}


@pytest.mark.parametrize("event", UNFIT.values(), ids=UNFIT)
async def test_what_cannot_be_kept_is_refused_in_words_and_the_writer_goes_on(writer, tmp_path, event):
    await writer.put(CREATED, QUEUED)
    before = writer.state
    both = writer.put(note("kept with it?"), event)
    other = writer.put(note("somebody else's"))
    (told,) = await both
    assert told.startswith(f"the engine cannot accept it: Unfit: {type(event).__name__} cannot be stored: ")
    assert await other == [] and writer.state is not before
    assert list(journal_file.read(tmp_path / "j")) == [CREATED, QUEUED, note("somebody else's")]
    assert [line.text for line in writer.state.studies["s"].lines[-1:]] == ["somebody else's"]


async def test_a_fold_that_fails_refuses_one_request_and_not_the_next(writer, monkeypatch):
    def fails(state: State, event: e.Event) -> State:
        if event.study == "t":
            raise ValueError("it tripped")
        return apply(state, event)

    monkeypatch.setattr(module, "apply", fails)
    (told,) = await writer.put(e.StudyCreated(at=1.0, study="t", spec={}, folder="/t"))
    assert told.startswith("the engine cannot accept it: ValueError")
    assert await writer.put(CREATED) == [] and list(writer.state.studies) == ["s"]


async def test_a_listener_that_fails_keeps_nobody_else_from_the_news_and_is_told_once(writer, caplog):
    heard: list[e.Event] = []

    def faulty(event: e.Event, state: State) -> None:
        raise RuntimeError("it tripped")

    writer.watchers += [faulty, lambda event, state: heard.append(event)]
    await writer.put(CREATED)
    await writer.put(QUEUED)
    await writer.wait_until_written()
    assert heard[0] == CREATED and QUEUED in heard
    said = [line.text for line in writer.state.studies["s"].lines if "it tripped" in line.text]
    assert len(said) == 1 and "its log has the details" in said[0] and "it tripped" in caplog.text


async def test_consoles_that_cannot_be_shown_anything_do_not_end_the_writer(writer, monkeypatch):
    monkeypatch.setattr(writer._hub, "publish", lambda state, events: 1 / 0)
    assert await writer.put(CREATED) == [] and await writer.put(note("a")) == []
