"""A verb that is silent for long says that it is at work."""

from __future__ import annotations

import sys
import threading

import pytest

from core.cli import activity_line
from core.contract.text import safe_printing


class Ear:
    """Hears what is printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.first = threading.Event()

    def write(self, text):
        self.lines.append(text)
        self.first.set()
        return len(text)

    def flush(self):
        pass


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(activity_line, "POLL_S", 0.001)


def test_a_silent_verb_says_with_what_it_is_at_work(at_once, monkeypatch):
    monkeypatch.setattr(sys, "stderr", ear := Ear())
    monkeypatch.setattr(activity_line, "FIRST_S", 0.0)
    with safe_printing.print_harmlessly(), activity_line.show_activity("trimtab export"):
        activity_line.set_activity("hashing the data")
        assert ear.first.wait(20.0)
    assert "".join(ear.lines).startswith("trimtab export: ") and "so far …" in "".join(ear.lines)


def test_one_that_prints_or_follows_is_left_in_peace(at_once, monkeypatch):
    monkeypatch.setattr(sys, "stderr", ear := Ear())
    with safe_printing.print_harmlessly(), activity_line.show_activity("trimtab status"):
        assert not ear.first.wait(0.05)
        activity_line.stop_activity()
        monkeypatch.setattr(activity_line, "FIRST_S", 0.0)
        assert not ear.first.wait(0.05)
