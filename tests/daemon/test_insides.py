"""The engine answers what goes on inside a trial from its folder: without links, without secrets."""

from __future__ import annotations

import msgspec
import pytest

from core.contract import events as e
from core.contract import wire
from core.contract.fold import apply
from core.contract.state import State
from core.daemon import insides, kept
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
    assert "first evaluation" in insides.read(study, 2).why_none
    put(tmp_path, msgspec.json.encode(sample()))
    found = insides.read(study, 2)
    assert found == sample()
    reply = wire.read_to_console(wire.encode(wire.Reply(1, True, answer=found)))
    assert reply.answer == found
    asked = wire.read_from_console(wire.encode(wire.Ask(1, wire.AskInsides("s", 2))))
    assert asked.request == wire.AskInsides("s", 2)
    with pytest.raises(RefusedError, match="there is no trial 3"):
        insides.read(study, 3)


def test_secrets_are_taken_out_again(study, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    worst = (msgspec.structs.replace(sample().worst[0], before="hf_abcdefghijklmnopqrstuvwxyz"),)
    put(tmp_path, msgspec.json.encode(msgspec.structs.replace(sample(), worst=worst)))
    assert "hf_abc" not in insides.read(study, 2).worst[0].before


@pytest.mark.parametrize("content", [b"{", b'{"type": "evidence"}', b"\xff", b"[" * 5000])
def test_another_file_in_its_place_is_a_reason(study, tmp_path, content):
    put(tmp_path, content)
    assert "cannot be read" in insides.read(study, 2).why_none


def test_links_and_large_files_are_refused(study, tmp_path, monkeypatch):
    put(tmp_path, b"")
    outside = tmp_path / "outside.json"
    outside.write_bytes(msgspec.json.encode(sample()))
    place = tmp_path / "trials" / "2" / "insides.json"
    place.unlink()
    place.symlink_to(outside)
    assert "cannot be read" in insides.read(study, 2).why_none
    place.unlink()
    place.write_bytes(outside.read_bytes())
    monkeypatch.setattr(kept, "LARGEST_BYTES", 100)
    assert "larger than" in insides.read(study, 2).why_none
