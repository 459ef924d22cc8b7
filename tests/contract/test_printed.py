"""What is printed is obeyed by no terminal, and every encoding and every disk can have it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from core.contract.text import error_reports
from core.errors import TrimtabError
from tests.hostile import TEXTS, harm


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_is_obeyed_whoever_prints_it(capsys, text):
    def run() -> int:
        print(text)
        print(text, file=sys.stderr)
        raise TrimtabError.of(text, text, text)

    assert error_reports.run_guarded("trimtab", run) == 1
    shown = capsys.readouterr()
    assert not harm(shown.out) and not harm(shown.err) and shown.out.endswith("\n")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("latin-1", "-> 3 × caf\xe9 \\u4e2d ..."), ("ascii", "-> 3 x caf\\u00e9 \\u4e2d ...")],
)
def test_a_locale_without_the_signs_spells_them(monkeypatch, encoding, shown):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    assert error_reports.run_guarded("trimtab", lambda: print("→ 3 × caf\xe9 中 …") or 0) == 0
    assert raw.getvalue().decode(encoding) == shown + "\n"


def test_a_full_disk_is_told_once_and_leaves_no_traceback(monkeypatch, capsys, home):
    for text in ("x", "x" * 100_000):
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert error_reports.run_guarded("trimtab status", lambda text=text: print(text) or 0) == 1
        shown = capsys.readouterr().err
        assert shown.count("the output cannot be written: No space left on device") == 1
        assert "make room" in shown and not list(home.iterdir())
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", full)  # nothing can be said: the code says it
        assert error_reports.run_guarded("trimtab status", lambda: print("x") or 0) == 1


def test_closed_streams_are_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert error_reports.run_guarded("trimtab status", lambda: print("x") or 0) == 0


def fall() -> int:
    raise KeyError("hf_abcdefghijklmnop0123 \x1b[31m")


def test_an_error_nobody_foresaw_is_three_parts_and_its_traceback_a_file(capsys, home):
    assert error_reports.run_guarded("trimtab fit", fall) == 1
    shown = capsys.readouterr().err
    what, where, fix = shown.splitlines()
    assert what.startswith("trimtab: trimtab fit failed: KeyError: ") and not harm(shown)
    assert where == f"  the traceback is in {home}/error-fit.log" and fix.startswith("  → this is a fault of")
    kept = home / "error-fit.log"
    assert "in fall" in kept.read_text() and "abcdefghijklmnop" not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (
        error_reports.run_guarded("trimtab fit", fall) == 1 and len(list(home.iterdir())) == 1
    )  # the latest alone


def test_a_traceback_that_cannot_be_written_says_where_it_happened(capsys, home, monkeypatch):
    monkeypatch.setenv("TRIMTAB_HOME", str(home / "none"))
    monkeypatch.setattr(
        error_reports.tempfile, "mkstemp", lambda **_: (_ for _ in ()).throw(OSError(28, "full"))
    )
    assert error_reports.run_guarded("trimtab fit", fall) == 1
    assert "none can be written (full); it happened in test_printed.py, line" in capsys.readouterr().err


def test_a_link_in_the_traceback_s_place_is_not_followed(home, capsys):
    (home / "error-fit.log").symlink_to(home / "precious")
    assert error_reports.run_guarded("trimtab fit", fall) == 1
    assert not (home / "precious").exists()
    where = capsys.readouterr().err.splitlines()[1].removeprefix("  the traceback is in ")
    Path(where).unlink()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionError(13, "Permission denied", "/root/x"),
            ("Permission denied", "/root/x", "TRIMTAB_HOME"),
        ),
        (OSError(28, "No space left on device"), ("No space left on device", "make room")),
        (OSError(24, "Too many open files", "x"), ("Too many open files", "ulimit -n")),
        (RecursionError("maximum recursion depth exceeded"), ("RecursionError", "please report it")),
    ],
)
def test_an_error_of_the_system_says_what_to_do(capsys, home, error, words):
    def run() -> int:
        raise error

    assert error_reports.run_guarded("trimtab run", run) == 1
    shown = capsys.readouterr().err
    assert all(word in shown for word in (*words, "error-run.log")) and "Traceback" not in shown


def test_what_is_no_utf8_is_named(capsys, home):
    assert error_reports.run_guarded("trimtab mark", lambda: len("caf\udce9".encode())) == 2
    assert "this text is not UTF-8: 'caf\ufffd'" in capsys.readouterr().err and not list(home.iterdir())
