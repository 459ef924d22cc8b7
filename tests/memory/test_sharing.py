"""How many trials at once proved worth it is kept for the next study on this machine."""

import stat

import pytest

from core.memory.records.best_pack_size_records import KINDS, PackRecord, PackRecords


def test_what_was_learnt_is_there_for_the_next_engine_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "sharing.json"
    PackRecords(file).learn("a card", PackRecord(4, {2: 100.0, 4: 190.0}, (8,), 5.0))
    assert PackRecords(file).find("a card") == PackRecord(4, {2: 100.0, 4: 190.0}, (8,), 5.0)
    assert PackRecords(file).find("another") is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\x00", b"[]", b'{"version": 2, "kinds": {"a": {"number": 4}}}',
        b'{"version": 1, "kinds": {"a": {"number": 1000000}}}',
        b'{"version": 1, "kinds": {"a": {"number": 0}}}',
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_as_if_there_were_none(tmp_path, content):
    (tmp_path / "sharing.json").write_bytes(content)
    assert PackRecords(tmp_path / "sharing.json").find("a") is None


def test_the_file_is_bounded_and_the_newest_kinds_stay(tmp_path):
    pack_records = PackRecords(tmp_path / "sharing.json")
    for nth in range(KINDS + 5):
        pack_records.learn(str(nth), PackRecord(2, dict.fromkeys(range(1, 60), 1.0)))
    again = PackRecords(tmp_path / "sharing.json")
    assert (
        again.find("4") is None
        and again.find(str(KINDS + 4)).number == 2
        and len(again.find("9").rates) == 16
    )


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text('{"version": 1, "kinds": {"a": {"number": 4}}}')
    (tmp_path / "sharing.json").symlink_to(tmp_path / "elsewhere")
    assert PackRecords(tmp_path / "sharing.json").find("a") is None
