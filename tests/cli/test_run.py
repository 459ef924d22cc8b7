"""``trimtab run``: with a console, detached, and headless to the end."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from core import paths
from core.cli import exit_codes, output_formatting
from core.cli.inspect import plain_view
from core.cli.inspect.follow_study import Printer
from core.cli.main import main
from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state import event_fold
from core.contract.wire import console_api
from tests.cli import studies


@pytest.fixture
def started(engine):
    """The engine knows the study as soon as it was asked to start it."""

    def reply(request):
        engine.state = studies.state(studies.created())
        return console_api.Reply(0, True)

    engine.reply = reply
    return engine


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("core.contract.text.fullscreen_terminal_check.is_canvas", lambda: True)


def test_detach_sends_the_resolved_spec_and_returns(started, spec, capsys):
    assert main(["run", str(spec), "--detach"]) == exit_codes.OK
    asked = started.asked[0]
    assert isinstance(asked, console_api.StartStudy) and asked.where == str(spec)
    assert asked.spec["study"]["sampler"] == "tpe" and asked.spec["train"]["lora_rank"] == 16
    assert "small is running" in capsys.readouterr().out


def test_with_a_terminal_the_console_opens_at_the_study(started, spec, terminal):
    opened = []
    assert (
        main(["run", str(spec)], lambda socket, study: opened.append((socket, study)) or 0) == exit_codes.OK
    )
    assert opened == [(paths.socket_path(), "small")]
    assert main([], lambda socket, study: opened.append(study) or 7) == 7 and opened[-1] is None


def test_a_complete_study_is_shown_rather_than_refused(started, spec, terminal):
    main(["run", str(spec), "--detach"])
    same = e.StudyCreated(at=1.0, study="small", spec=started.asked[0].spec, folder="/x")
    started.state = studies.state(same, studies.ended())
    started.asked.clear()
    opened = []
    assert main(["run", str(spec)], lambda socket, study: opened.append(study) or 0) == exit_codes.OK
    assert opened == ["small"] and started.asked == []


def test_headless_prints_every_event_and_ends_with_the_best(started, spec, capsys):
    started.events = [*studies.trial(0, studies.completed(0, 1.25)), studies.ended()]
    assert main(["run", str(spec)]) == exit_codes.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small: running, 0/3 trials ended"
    assert lines[1].endswith("trial 0 queued: tpe")
    assert any("trial 0 step 10/40 train/loss=2.5 (0/3 trials ended" in line for line in lines)
    assert lines[-2].endswith("study complete: all trials are done")
    assert lines[-1] == "best: trial 0 eval/loss=1.25; `trimtab best` shows details"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([studies.ended()], exit_codes.NO_RESULT),
        ([*studies.trial(0, studies.completed(0, 1.0)), studies.ended("failed")], exit_codes.FAILURE),
        ([*studies.trial(0, studies.completed(0, 1.0)), studies.ended("stopped")], exit_codes.OK),
    ],
)
def test_headless_codes(started, spec, events, code):
    started.events = events
    assert main(["run", str(spec), "--headless"]) == code


def test_an_engine_that_leaves_is_code_3(started, spec, capsys):
    started.leaves = True
    assert main(["run", str(spec), "--headless"]) == exit_codes.NO_ENGINE
    assert "the connection to the engine was lost" in capsys.readouterr().err


def test_a_bad_file_starts_nothing(tmp_path, home, capsys):
    assert main(["run", str(tmp_path / "none.toml")]) == exit_codes.BAD_INPUT
    assert list(home.iterdir()) == []


def printed(*events, now=lambda: 0.0):
    lines, state = [], studies.state(studies.created())
    printer = Printer(lines.append, now)
    printer.show(state.studies["small"], None)
    for event in events:
        state = event_fold.apply(state, event)
        printer.show(state.studies["small"], event)
    return lines, printer, state


def test_readings_are_throttled_by_the_clock():
    clock = iter([0.0, 0.0, 5.0, 11.0, 11.0, 12.0])
    same = {"study": "small", "trial": 0, "elapsed_s": 1.0, "metrics": {"train/loss": 1.0}}
    readings = [e.TrialReported(at=1.0, step=step, **same) for step in (20, 30)]
    lines, _, _ = printed(*studies.trial(0), *readings, now=lambda: next(clock))
    assert [line.split("step ")[1][:5] for line in lines if " step " in line and "train/loss" in line] == [
        "10/40", "30/40",
    ]  # fmt: skip


def test_a_stage_is_named_once():
    stages = [
        e.Preparing(at=1.0, study="small", worker="w0", stage="loading", done=n, total=4) for n in range(4)
    ]
    lines, _, _ = printed(*stages)
    assert len([line for line in lines if "loading" in line]) == 1


def test_a_fresh_snapshot_prints_what_was_missed_once():
    lines, printer, state = printed(studies.trial(0)[0])
    for event in studies.trial(0)[1:3]:
        state = event_fold.apply(state, event)
    printer.show(state.studies["small"], None)
    printer.show(state.studies["small"], None)
    assert [line.split(" ", 1)[1] for line in lines[2:]] == [
        "trial 0 starting on cpu", "trial 0 running from step 0 of 40",
    ]  # fmt: skip


def test_lines_after_one_that_was_dropped_are_all_new():
    lines = tuple(s.Line(float(number), "x") for number in range(3))
    assert output_formatting.select_lines_after(lines, lines[1]) == lines[2:]
    assert (
        output_formatting.select_lines_after(lines, s.Line(-1.0, "gone")) == lines
        and output_formatting.select_lines_after(lines, lines[2]) == ()
    )
    assert output_formatting.select_lines_after(lines, s.Line(1.0, "asked for, and now done")) == lines[2:]


def test_ctrl_c_detaches_and_the_study_goes_on(started, spec):
    program = "import sys; from core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    running = subprocess.Popen(
        [sys.executable, "-P", "-c", program, "run", str(spec), "--headless"],
        env={**os.environ, "PYTHONPATH": str(paths.find_root())},
        stdout=subprocess.PIPE,
        text=True,
        # Started by a background job, this suite ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout.readline() == "small: running, 0/3 trials ended\n"
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == exit_codes.INTERRUPTED and "detached; the study continues" in rest
    assert [type(one) for one in started.asked] == [console_api.StartStudy]


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_dumb_terminal_gets_words_and_plain_lines(engine, spec, monkeypatch, capsys, term):
    for name in ("is_interactive", "is_canvas"):
        monkeypatch.setattr(f"core.contract.text.fullscreen_terminal_check.{name}", lambda: True)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(plain_view, "watch", lambda socket, study: 9)
    assert main([], console=lambda *_: pytest.fail("it is drawn")) == 9
    engine.state = studies.state(studies.created())
    engine.events = [e.StudyEnded(at=120.0, study="small", outcome="failed", why="boom")]
    assert main(["run", str(spec)], console=lambda *_: pytest.fail("it is drawn")) == exit_codes.NO_RESULT
    assert "printing plain lines instead" in capsys.readouterr().err
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main([], console=lambda *_: 7) == 7


def test_where_no_console_can_be_drawn_it_is_said_and_lines_follow(engine, spec, monkeypatch, capsys):
    words = ("draws on standard error, which is not a terminal", "send standard error nowhere else")
    monkeypatch.setattr("core.contract.text.fullscreen_terminal_check.is_interactive", lambda: True)
    monkeypatch.setattr(sys, "__stderr__", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main([], console=lambda *_: pytest.fail("it is drawn")) == exit_codes.BAD_INPUT
    shown = capsys.readouterr().err
    assert all(word in shown for word in (*words, "`trimtab status`")), shown
    engine.state = studies.state(studies.created())
    engine.events = [e.StudyEnded(at=120.0, study="small", outcome="failed", why="boom")]
    assert main(["run", str(spec)], console=lambda *_: pytest.fail("it is drawn")) == exit_codes.NO_RESULT
    assert f"{words[0]}" in (shown := capsys.readouterr().err) and "printing plain lines instead" in shown
