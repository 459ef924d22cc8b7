"""The engine answers what goes on inside a trial from its folder: without links, without secrets."""

from __future__ import annotations

import msgspec
import pytest

from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, message_codec
from core.daemon.answers import introspection_reader, untrusted_file_reader
from core.errors import RefusedError
from tests.looked import sample


@pytest.fixture
def study(tmp_path):
    state = State()
    for event in (
        e.StudyCreated(at=0.0, study="s", spec={"study": {}}, folder=str(tmp_path)),
        e.TrialQueued(at=1.0, study="s", trial=2, params={}, knobs={}),
    ):
        state = apply(state, event)
    return state.studies["s"]


def put(folder, content: bytes) -> None:
    (folder / "trials" / "2").mkdir(parents=True, exist_ok=True)
    (folder / "trials" / "2" / "insides.json").write_bytes(content)


def test_what_a_worker_kept_is_answered_and_comes_over_the_wire(study, tmp_path):
    assert "first and last evaluation" in introspection_reader.read(study, 2).why_none
    put(tmp_path, msgspec.json.encode(sample()))
    found = introspection_reader.read(study, 2)
    assert found == sample()
    reply = message_codec.read_to_console(message_codec.encode(console_api.Reply(1, True, answer=found)))
    assert reply.answer == found
    asked = message_codec.read_from_console(
        message_codec.encode(console_api.Ask(1, console_api.AskInsides("s", 2)))
    )
    assert asked.request == console_api.AskInsides("s", 2)
    with pytest.raises(RefusedError, match="trial 3 does not exist"):
        introspection_reader.read(study, 3)


def test_secrets_are_taken_out_again(study, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    worst = (msgspec.structs.replace(sample().worst[0], before="hf_abcdefghijklmnopqrstuvwxyz"),)
    put(tmp_path, msgspec.json.encode(msgspec.structs.replace(sample(), worst=worst)))
    assert "hf_abc" not in introspection_reader.read(study, 2).worst[0].before


@pytest.mark.parametrize("content", [b"{", b'{"type": "evidence"}', b"\xff", b"[" * 5000])
def test_another_file_in_its_place_is_a_reason(study, tmp_path, content):
    put(tmp_path, content)
    assert "cannot be read" in introspection_reader.read(study, 2).why_none


def test_links_and_large_files_are_refused(study, tmp_path, monkeypatch):
    put(tmp_path, b"")
    outside = tmp_path / "outside.json"
    outside.write_bytes(msgspec.json.encode(sample()))
    place = tmp_path / "trials" / "2" / "insides.json"
    place.unlink()
    place.symlink_to(outside)
    assert "cannot be read" in introspection_reader.read(study, 2).why_none
    place.unlink()
    place.write_bytes(outside.read_bytes())
    monkeypatch.setattr(untrusted_file_reader, "LARGEST_BYTES", 100)
    assert "larger than" in introspection_reader.read(study, 2).why_none
