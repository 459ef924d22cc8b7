"""A long scan shows on a terminal how far it is; a file or a pipe gets nothing of that."""

from __future__ import annotations

import io
import sys

from core.cli.plan import progress_bar
from core.contract.text import safe_printing


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(monkeypatch, stream, use):
    monkeypatch.setattr(sys, "stderr", stream)
    clock = iter(range(1000))
    with safe_printing.print_harmlessly():
        use(progress_bar.ProgressBar(lambda: float(next(clock))))
    return stream.getvalue()


def test_bytes_rate_and_time_left_are_shown():
    line = progress_bar.describe(250_000_000, 1_000_000_000, 10.0)
    assert line == "█████░░░░░░░░░░░░░░░  25 %  250 of 1,000 MB  25.0 MB/s  0:30 left"
    assert progress_bar.describe(5, 10, 0.1).endswith("0 of 0 MB")


def test_a_line_replaces_the_one_before_and_is_removed_at_the_end(monkeypatch):
    def use(bar):
        bar.show(0, 100)
        bar.show(50, 100)
        bar.tell("looking for \x1b[31mdata")
        bar.clear()

    shown = drawn(monkeypatch, Terminal(), use)
    first, second, blank, last = shown.split("\r")[1:]
    assert "50 %" in first and second.startswith("looking for ") and "\x1b" not in shown
    assert len(second) == len(first) and not blank.strip() and last == ""


def test_nothing_is_drawn_into_a_file(monkeypatch):
    def use(bar):
        bar.show(50, 100)
        bar.tell("comparing")
        bar.clear()

    assert drawn(monkeypatch, io.StringIO(), use) == ""
