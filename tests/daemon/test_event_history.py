"""The engine tells the events that the state has dropped, from the journal, without reading measurements."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.state.event_list_lines import EventHistory
from core.contract.wire import console_api, message_codec
from core.daemon.answers import event_history_reader
from core.store import journal_file
from core.store.run_folder import journal_path


@dataclass
class Kept:
    """A study with a journal on the disk."""

    study: s.Study
    journal: list[e.Event]


@pytest.fixture
def kept(tmp_path):
    """A study that noted three times as much as the state keeps."""
    events: list[e.Event] = [
        e.StudyCreated(at=1.0, study="s", spec={"study": {}}, folder=str(tmp_path)),
        e.TrialQueued(at=2.0, study="s", trial=0, params={}, knobs={}, why="tpe"),
        e.StudyNoted(at=3.0, study="s", text="the first note, HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz"),
        e.StudyNoted(at=3.5, study="another", text="of another study"),
        *(e.StudyNoted(at=10.0 + number, study="s", text=f"note {number}") for number in range(3 * s.LINES)),
    ]
    state = s.State()
    for event in events:
        state = apply(state, event)
    journal = journal_file.Journal.open(journal_path(tmp_path))
    list(journal.replay())
    journal.append(events)
    journal.close()
    return Kept(state.studies["s"], events)


def test_all_that_the_state_dropped_comes_from_the_journal(kept):
    found = event_history_reader.read(kept.study)
    texts = [line.text for line in found.lines]
    assert texts[0].startswith("study created") and texts[1].startswith("the first note")
    assert texts[2:] == [f"note {number}" for number in range(2 * s.LINES + 1)], "the first kept one, too"
    assert not found.cut and "hf_abc" not in texts[1] and "of another study" not in texts
    assert all(line.trial == -1 for line in found.lines), "the trial has kept all of its lines"


def test_it_comes_over_the_wire(kept):
    found = event_history_reader.read(kept.study)
    reply = message_codec.read_to_console(message_codec.encode(console_api.Reply(1, True, answer=found)))
    assert reply.answer == found
    asked = message_codec.read_from_console(
        message_codec.encode(console_api.Ask(1, console_api.AskHistory("s")))
    )
    assert asked.request == console_api.AskHistory("s")


def test_a_journal_that_cannot_be_read_is_a_reason(kept, tmp_path):
    journal_path(tmp_path).unlink()
    assert event_history_reader.read(kept.study) == EventHistory(), "an empty one has nothing older"
    journal_path(tmp_path).mkdir()
    assert "cannot be read" in event_history_reader.read(kept.study).why_none


def test_readings_are_left_out_of_a_journal_without_being_decoded(tmp_path):
    reading = e.TrialReported(at=2.0, study="s", trial=0, step=1, elapsed_s=1.0, metrics={"train/loss": 1.0})
    note = e.StudyNoted(at=3.0, study="s", text="trial-reported")
    journal = journal_file.Journal.open(tmp_path / "journal.log")
    list(journal.replay())
    journal.append([reading, note, reading], {"w": 3})
    journal.close()
    assert list(journal_file.read(tmp_path / "journal.log", {"trial-reported"})) == [note]
    assert list(journal_file.read(tmp_path / "journal.log")) == [reading, note, reading]
