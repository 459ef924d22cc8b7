"""A verb that is silent for long says that it is at work."""

from __future__ import annotations

import sys
import threading

import pytest

from core.cli import activity
from core.contract import printed


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
    monkeypatch.setattr(activity, "POLL_S", 0.001)


def test_a_silent_verb_says_with_what_it_is_at_work(at_once, monkeypatch):
    monkeypatch.setattr(sys, "stderr", ear := Ear())
    monkeypatch.setattr(activity, "FIRST_S", 0.0)
    with printed.harmless(), activity.shown("trimtab export"):
        activity.now("hashing the data")
        assert ear.first.wait(20.0)
    assert "".join(ear.lines).startswith("trimtab export: ") and "so far …" in "".join(ear.lines)


def test_one_that_prints_or_follows_is_left_in_peace(at_once, monkeypatch):
    monkeypatch.setattr(sys, "stderr", ear := Ear())
    with printed.harmless(), activity.shown("trimtab status"):
        assert not ear.first.wait(0.05)
        activity.hush()
        monkeypatch.setattr(activity, "FIRST_S", 0.0)
        assert not ear.first.wait(0.05)
