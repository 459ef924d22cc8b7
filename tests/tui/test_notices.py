"""A person who looks elsewhere is told; what is copied reaches the clipboard."""

from __future__ import annotations

import base64
import re

import pytest

from core.contract.events import event_types as e
from core.contract.events.event_types import Event
from tests.tui.scene import NOW, no_card, state_of, study_events
from tests.tui.scored import scored_study
from tui.app import TrimtabApp, describe_knobs
from tui.console_settings import Notices
from tui.terminal import clipboard, terminal_notifications
from tui.widgets.lasting_toast import LastingNotification, LastingToast

TERM = {"TERM": "xterm-256color"}
ENDED = e.StudyEnded(at=NOW, study="tidy-7b", outcome="complete", why="all trials ended")
FAILED = e.TrialFailed(at=NOW, study="tidy-7b", trial=7, error="the loss is nan;\x1b]0;owned\x07")


def test_the_end_and_a_failure_are_worth_a_word_unless_switched_off():
    state = state_of(study_events())
    assert terminal_notifications.list_texts([ENDED], state, Notices()) == ["study tidy-7b is complete"]
    assert (
        "trial 7 of tidy-7b failed: the loss is nan"
        in terminal_notifications.list_texts([FAILED], state, Notices())[0]
    )
    assert (
        terminal_notifications.list_texts(
            [ENDED, FAILED], state, Notices(study_ended=False, trial_failed=False)
        )
        == []
    )


def test_a_broken_limit_is_worth_a_word_and_a_kept_one_is_not():
    told: list[Event] = scored_study()
    state = state_of(told)
    texts = terminal_notifications.list_texts(
        [event for event in told if isinstance(event, e.TrialScored)], state, Notices()
    )
    assert texts and all("broke the limit of" in text for text in texts)
    assert len(texts) < sum(isinstance(event, e.TrialScored) for event in told)


@pytest.mark.parametrize(
    ("wanted", "environment", "shown"),
    [
        (Notices(desktop=False, title=False), TERM, ""),
        (Notices(bell=True, desktop=False, title=False), TERM, "\x07"),
        (Notices(title=False), TERM, "\x1b]9;trimtab: a, b\x1b\\"),
        (Notices(title=False), {**TERM, "VTE_VERSION": "7600"}, "\x1b]777;notify;trimtab;a, b\x1b\\"),
        (Notices(desktop=False), TERM, "\x1b]2;trimtab: a, b\x1b\\"),
        (Notices(bell=True), {"TERM": "linux"}, "\x07"),
        (
            Notices(title=False),
            {"TERM": "tmux-256color", "TMUX": "x"},
            "\x1bPtmux;\x1b\x1b]9;trimtab: a, b\x1b\x1b\\\x1b\\",
        ),
    ],
)
def test_a_notice_is_written_as_the_terminal_knows_it(wanted, environment, shown):
    assert terminal_notifications.make_sequence("a; b", wanted, environment) == shown


def test_no_word_of_a_worker_reaches_the_terminal_as_a_command():
    text = terminal_notifications.list_texts([FAILED], state_of(study_events()), Notices())[0]
    shown = terminal_notifications.make_sequence(text, Notices(bell=False, title=False), TERM)
    assert shown.count("\x1b") == 2 and "\x07" not in shown


def test_what_is_copied_is_the_text_and_a_longer_one_than_terminals_take_is_refused():
    copied = re.fullmatch("\x1b]52;c;(.*)\x07", clipboard.make_copy_sequence("é = 1\n", TERM))
    assert copied is not None and base64.b64decode(copied[1]).decode() == "é = 1\n"
    assert clipboard.make_copy_sequence("x", {"TMUX": "x"}).endswith("\x1b\\")
    with pytest.raises(ValueError, match="more than a terminal takes"):
        clipboard.make_copy_sequence("x" * 80_000, TERM)


async def test_a_key_copies_the_selected_trial_and_the_engines_return_is_told(seat, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(TrimtabApp, "send", lambda self, sequence: sent.append(sequence))
    async with seat(state_of(study_events(), no_card())) as you:
        you.app.engine._say("away")
        you.app._draw()
        you.app.engine.away = ""
        you.app._draw()
        assert any(terminal_notifications.ENGINE_BACK in sequence for sequence in sent)
        you.backend.happen(ENDED)
        await you.until(lambda: any("tidy-7b is complete" in sequence for sequence in sent), "a notice")
        await you.press("j", "y")
        await you.sees("copied: # trial 1: pruned")
        trial = you.app.study.trials[1]
        assert sent[-1] == clipboard.make_copy_sequence(
            describe_knobs(trial), {}
        ) and "lora_rank = " in describe_knobs(trial)
        assert terminal_notifications.make_title("") in sent  # somebody is there
        before = len(sent)
        you.backend.happen(FAILED)
        await you.until(you.up_to_date, "the failure")
        assert len(sent) == before  # and sees it


def test_a_message_has_all_its_time_until_it_was_painted():
    now = 100.0
    message = LastingNotification("paused", timeout=3.0)
    message.clock = lambda: now
    now = 900.0
    assert message.time_left == 3.0 and not message.has_expired, "the machine was busy"
    message.note_painted()
    now = 902.0
    message.note_painted()
    assert message.time_left == 1.0
    now = 904.0
    assert message.has_expired


async def test_a_message_that_the_machine_was_too_busy_to_show_is_shown_later_and_goes(seat, monkeypatch):
    now, begin, painted = NOW, LastingToast._begin, list[LastingToast]()
    async with seat(state_of(study_events(), no_card())) as you:
        you.app.clock = lambda: now
        monkeypatch.setattr(LastingToast, "_begin", lambda toast: painted.append(toast))
        you.app.say("trial 3 is pruned")
        now = NOW + 600  # before the loop comes to it
        await you.sees("trial 3 is pruned")
        await you.until(lambda: painted, "its time to begin")
        message = painted[0]._notification
        monkeypatch.setattr(TrimtabApp, "is_frame_due", True)
        begin(painted[0])
        assert message.painted_at is None, "the line has not taken the frame yet"
        monkeypatch.setattr(TrimtabApp, "is_frame_due", False)
        message.timeout = 0.01
        begin(painted[0])
        await you.until(lambda: "trial 3 is pruned" not in you.screen(), "it has had its time")
