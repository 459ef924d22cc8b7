"""Nothing that a verb prints is obeyed by a terminal."""

from __future__ import annotations

import json

import pytest

from core.cli.main import main
from core.contract.events import event_types as e
from core.contract.state.event_fold import apply
from core.contract.wire import console_api
from tests.cli import studies
from tests.hostile import TEXTS, harm, hostile
from tests.tui import explored


@pytest.fixture
def poisoned(engine):
    failure = e.TrialFailed(at=120.0, study="small", trial=1, error="boom", traceback="Traceback\n  File x")
    first = [*studies.trial(0), *studies.scored(0), studies.completed(0, 1.5)]
    engine.state = hostile(studies.state(studies.created(), *first, *studies.trial(1, failure)))
    engine.reply = lambda request: console_api.Reply(0, True, answer=hostile(explored.answers(request)))
    return engine


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "best",
        "logs",
        "logs 0",
        "logs 1",
        "generate --trial 0 hi",
        "logs 7",
        "best --study none",
        "boards",
        "boards 0",
        "export",
        "merge --trial 0 --out nowhere",
        "insight",
    ],
)
def test_every_verb_prints_harmless_text(poisoned, capsys, line):
    main(line.split())
    printed = capsys.readouterr()
    assert printed.out or printed.err
    assert not harm(printed.out) and not harm(printed.err)


@pytest.mark.parametrize("line", ["status --json", "best --json", "boards --json", "insight --json"])
def test_json_holds_all_of_it_and_no_control_character(poisoned, capsys, line):
    main(line.split())
    printed = capsys.readouterr().out
    assert json.loads(printed) and printed.isascii() and not harm(printed)


@pytest.mark.parametrize("text", TEXTS)
def test_a_refusal_and_a_followed_study_may_say_anything(engine, spec, capsys, text):
    engine.state = studies.state(studies.created())
    engine.reply = lambda request: console_api.Reply(
        0, not isinstance(request, console_api.StopStudy), text, text, text
    )
    engine.events = [
        e.StudyNoted(at=101.0, study="small", text=text),
        e.Preparing(at=101.0, study="small", worker=text, stage=text, total=3, unit=text),
        *studies.trial(0, e.TrialFailed(at=110.0, study="small", trial=0, error=text, traceback=text)),
        e.StudyEnded(at=120.0, study="small", outcome="failed", why=text),
    ]
    assert apply(engine.state, engine.events[0]) is not engine.state
    main(["run", str(spec), "--headless"])
    main(["stop"])
    printed = capsys.readouterr()
    assert "small" in printed.out and not harm(printed.out) and not harm(printed.err)
