"""The journal: what was appended comes back, whatever happened to the machine or the disk."""

import os
import resource
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contract.events import event_types as e
from core.store import journal_file
from core.store.journal_file import Journal

CREATED = e.StudyCreated(at=1.0, study="s", spec={"study": {"name": "s", "trials": 3}}, folder="/s")


def report(step: int, loss: float = 1.5) -> e.TrialReported:
    return e.TrialReported(at=2.0, study="s", trial=0, step=step, elapsed_s=0.5, metrics={"train/loss": loss})


def filled(path, count: int = 5) -> list[e.Event]:
    told = [CREATED, *(report(step) for step in range(count))]
    one = Journal.open(path)
    assert list(one.replay()) == []
    one.append(told[:2], {"w": 1})
    one.append(told[2:], {"w": count, "v": 7})
    one.close()
    return told


def reopened(path) -> tuple[list[e.Event], Journal]:
    one = Journal.open(path)
    return list(one.replay()), one


def test_replay_gives_back_what_was_appended(tmp_path):
    told = filled(tmp_path / "j")
    events, one = reopened(tmp_path / "j")
    assert events == told and one.heard == {"w": 5, "v": 7} and not one.faults
    assert list(journal_file.read(tmp_path / "j")) == told


def test_it_belongs_to_its_owner_alone(tmp_path):
    filled(tmp_path / "j")
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


@given(cut=st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_a_tail_cut_off_loses_only_the_last_record(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("j") / "j"
    told = filled(path)
    size = path.stat().st_size
    os.truncate(path, max(len(journal_file.MAGIC), size - cut))
    events, one = reopened(path)
    assert events == told[: len(events)]
    one.append([report(99)])
    again, _ = reopened(path)
    assert again == [*events, report(99)]


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_loses_one_record_and_is_told(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("j") / "j"
    told = filled(path)
    raw = bytearray(path.read_bytes())
    place = len(journal_file.MAGIC) + place % (len(raw) - len(journal_file.MAGIC))
    raw[place] ^= 1 << bit
    path.write_bytes(raw)
    events, one = reopened(path)
    assert one.faults
    assert all(event in told for event in events)
    assert len(events) >= len(told) - 1


def test_a_full_disk_leaves_the_journal_as_it_was_and_the_batch_can_be_tried_again(tmp_path):
    path = tmp_path / "j"
    told = filled(path)
    one = Journal.open(path)
    list(one.replay())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    batch = [report(step) for step in range(10, 60)]
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
        with pytest.raises(OSError):
            one.append(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert reopened(path)[0] == told
    one.append(batch)
    assert reopened(path)[0] == [*told, *batch]


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "j").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Journal.open(tmp_path / "j")


def test_reading_a_journal_that_is_not_there_gives_nothing(tmp_path):
    assert list(journal_file.read(tmp_path / "none")) == []


def test_numbers_that_are_not_finite_survive(tmp_path):
    one = Journal.open(tmp_path / "j")
    list(one.replay())
    one.append([report(1, float("inf"))])
    assert reopened(tmp_path / "j")[0][0].metrics == {"train/loss": float("inf")}
