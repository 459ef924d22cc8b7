"""`trimtab attach --plain`: what has changed, in lines without escape codes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core import paths
from core.cli import exit_codes
from core.cli.inspect import plain_view
from core.cli.inspect.plain_view import MOST_EVENTS, PlainView
from core.contract.events import event_types as e
from core.contract.state import event_fold
from core.errors import EngineError
from tests.cli import studies

SAME = {"study": "small", "trial": 0}


def after(state, *events):
    for event in events:
        state = event_fold.apply(state, event)
    return state


def test_lines_come_only_when_something_has_changed():
    view = PlainView()
    state = studies.state(studies.created(), *studies.trial(0))
    shown = view.update(state, 110.0)
    assert shown[1:3] == ["small  running", shown[2]] and shown[2].startswith("  1 running of 3 trials;")
    assert shown[-1] == "  trial 0  running  step 10/40  train/loss=2.5"
    assert view.update(state, 120.0) == []  # only the clock went on
    state = after(
        state, e.TrialReported(at=121.0, step=20, elapsed_s=2.0, metrics={"train/loss": 2.0}, **SAME)
    )
    assert view.update(state, 125.0)[-1] == "  trial 0  running  step 20/40  train/loss=2"


def test_each_new_event_is_printed_once_and_a_flood_is_cut():
    view = PlainView()
    state = studies.state(studies.created(), *studies.trial(0))
    view.update(state, 110.0)
    state = after(state, e.StudyNoted(at=111.0, study="small", text="low\x1b[2J disk", level="warning"))
    (line,) = [line for line in view.update(state, 112.0) if "disk" in line]
    assert "warning: low" in line and "\x1b" not in line
    assert view.update(state, 113.0) == []
    for number in range(30):
        state = after(state, e.StudyNoted(at=114.0 + number, study="small", text=f"note {number}"))
    shown = view.update(state, 150.0)
    assert "  … 20 earlier events: `trimtab logs --study small`" in shown
    assert sum("note" in line for line in shown) == MOST_EVENTS and shown[-1].endswith("note 29")


def test_the_running_studies_are_shown_or_the_one_that_is_named():
    state = studies.state(
        studies.created("old"),
        e.StudyEnded(at=101.0, study="old", outcome="complete", why=""),
        studies.created("new"),
    )
    assert "new  running" in PlainView().update(state, 110.0)
    assert "old  complete" in PlainView("old").update(state, 110.0)
    ended = after(state, e.StudyEnded(at=102.0, study="new", outcome="stopped", why=""))
    assert "new  stopped" in PlainView().update(ended, 110.0), "the newest where none runs"
    assert PlainView().update(studies.state(), 110.0)[1:] == ["no studies; start one with `trimtab run SPEC`"]


def test_an_engine_that_is_away_is_reported_once_and_again_when_it_was_back_meanwhile(monkeypatch):
    monkeypatch.setattr(plain_view, "RETRY_S", 0.0)
    happens = iter(["no engine", "no engine", "", "", "stopped"])  # empty: it was attached to, and lost

    async def follow_once(*_: object) -> None:
        match next(happens):
            case "stopped":
                raise KeyboardInterrupt
            case str(why) if why:
                raise EngineError.of(why)

    monkeypatch.setattr(plain_view, "_follow_once", follow_once)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(plain_view._follow(Path("none"), PlainView(), said.append, lambda: None))
    lost = "engine away, retrying (the connection was lost)"
    assert said == ["engine away, retrying (no engine)", lost, lost]


def test_the_command_prints_without_escape_codes_and_ctrl_c_leaves(engine):
    engine.state = studies.state(studies.created(), *studies.trial(0))
    program = "import sys; from core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    running = subprocess.Popen(
        [sys.executable, "-P", "-c", program, "attach", "--plain"],
        env={**os.environ, "PYTHONPATH": str(paths.find_root()), "TERM": "dumb"},
        stdout=subprocess.PIPE,
        text=True,
        # Started by a background job, this suite ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    seen = [running.stdout.readline() for _ in range(6)]
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == exit_codes.INTERRUPTED and "left; the studies continue" in rest
    assert "`trimtab pause N`" in seen[0] and "small  running\n" in seen
    assert "\x1b" not in "".join(seen) + rest
    assert engine.asked == []
