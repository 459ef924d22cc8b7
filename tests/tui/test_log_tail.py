"""The end of a log: a file of any size, what is added, another file in its place; no secret, no escape."""

from __future__ import annotations

import os

import pytest

from tui.logs.log_files import list_logs
from tui.logs.log_tail import LINES_KEPT, TAIL_BYTES, LogTail


@pytest.fixture
def path(tmp_path):
    return tmp_path / "engine.log"


def texts(tail: LogTail) -> list[str]:
    return [line.text for line in tail.read().lines]


def test_only_the_end_of_a_large_file_is_read(path):
    path.write_bytes(b"".join(b"%099d\n" % number for number in range(10_000)))
    found = LogTail(path).read()
    assert found.size_bytes == 1_000_000 and found.skipped_bytes == 1_000_000 - TAIL_BYTES
    assert found.lines[-1].text == f"{9999:099d}" and len(found.lines) <= LINES_KEPT
    assert all(len(line.text) == 99 for line in found.lines), "the line that was cut is left out"


def test_added_lines_are_read_and_keep_their_numbers(path):
    path.write_text("one\ntw")
    tail = LogTail(path)
    first = tail.read()
    assert [line.text for line in first.lines] == ["one", "tw"] and tail.read() is first
    with path.open("a") as file:
        file.write("o\nthree\n")
    assert texts(tail) == ["one", "two", "three"]
    assert [line.number for line in tail.read().lines] == [0, 1, 2]


def test_a_file_that_was_replaced_or_cut_is_read_anew(path):
    path.write_text("old\nold\n")
    tail = LogTail(path)
    tail.read()
    path.write_text("new\n")
    assert texts(tail) == ["new"]
    path.rename(path.with_suffix(".1"))
    assert "No such file" in tail.read().why_none
    path.write_text("again\n")
    assert texts(tail) == ["again"]


def test_secrets_and_escapes_are_taken_out_and_a_progress_bar_is_its_last_state(path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    path.write_bytes(b"token hf_abcdefghijklmnopqrstuvwxyz\n\x1b]0;owned\x07\n10%\r50%\r100%\r\n\xff\n")
    found = texts(LogTail(path))
    assert "hf_abc" not in found[0] and "\x1b" not in found[1] and found[2] == "100%" and len(found) == 4


def test_what_is_no_file_of_its_own_is_a_reason(path, tmp_path):
    (tmp_path / "secret").write_text("not to be shown\n")
    path.symlink_to(tmp_path / "secret")
    assert LogTail(path).read().why_none
    path.unlink()
    os.mkfifo(path)
    assert LogTail(path).read().why_none == "it is not a file"


def test_the_engines_log_comes_first_then_the_worker_that_wrote_last(tmp_path):
    workers = tmp_path / "studies" / "s" / "workers"
    workers.mkdir(parents=True)
    for at, name in enumerate(("gpu1-b.log", "gpu0-a.log", "notes.txt")):
        (workers / name).write_text("x")
        os.utime(workers / name, (at, at))
    (workers / "link.log").symlink_to(tmp_path / "elsewhere")
    assert [file.name for file in list_logs(tmp_path, "s")] == ["engine", "gpu0-a", "gpu1-b"]
    assert [file.name for file in list_logs(tmp_path, "")] == ["engine"]
