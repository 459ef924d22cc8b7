"""Changing a study without a screen: shown first, done only when somebody agreed."""

from __future__ import annotations

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.contract.text import fullscreen_terminal_check
from core.contract.wire import console_api
from tests.cli import studies
from tests.hostile import TEXTS, harm

BY = "command line"
CHANGE = console_api.Change(("study.sampler: tpe → gp",), ("gp learns from all earlier trials",))


@pytest.fixture
def running(engine):
    engine.state = studies.state(studies.created(stop_after={"hours": 4.0, "trials": 9}), *studies.trial(1))
    engine.reply = lambda one: console_api.Reply(0, True, answer=CHANGE)
    return engine


@pytest.fixture
def somebody(monkeypatch):
    """A terminal, and what is answered on it."""

    def answering(word: str) -> None:
        monkeypatch.setattr(fullscreen_terminal_check, "is_interactive", lambda: True)
        monkeypatch.setattr("builtins.input", lambda prompt: word)

    return answering


def test_yes_does_it_at_once_and_says_what_came_of_it(running, capsys):
    assert main(["change", "--yes", "study.sampler=gp"]) == exit_codes.OK
    assert running.asked == [console_api.ChangeStudy("small", {"study": {"sampler": "gp"}}, False, BY)]
    shown = capsys.readouterr().out
    assert shown == "study.sampler: tpe → gp\n  → gp learns from all earlier trials\nsmall: changed\n"


def test_without_yes_and_terminal_it_is_shown_and_refused(running, capsys, monkeypatch):
    monkeypatch.setattr(fullscreen_terminal_check, "is_interactive", lambda: False)
    assert main(["change", "study.sampler=gp"]) == exit_codes.BAD_INPUT
    assert [one.preview for one in running.asked] == [True]
    printed = capsys.readouterr()
    assert "study.sampler: tpe → gp" in printed.out
    assert "the change cannot be confirmed\n  standard input is not a terminal\n  → add --yes" in printed.err


@pytest.mark.parametrize(("word", "previews"), [("y", [True, False]), ("", [True]), ("no", [True])])
def test_on_a_terminal_it_asks(running, somebody, capsys, word, previews):
    somebody(word)
    assert main(["change", "study.sampler=gp"]) == exit_codes.OK
    assert [one.preview for one in running.asked] == previews
    assert ("small: changed" in capsys.readouterr().out) == (len(previews) == 2)


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        (["resources.pack=4"], {"resources": {"pack": 4}}),
        (["resources.memory=22 GiB"], {"resources": {"memory": "22 GiB"}}),
        (
            ["space.learning_rate={low=1e-5, high=1e-4, log=true}"],
            {"space": {"learning_rate": {"low": 1e-5, "high": 1e-4, "log": True}}},
        ),
        (["space.lora_rank=none"], {"space": {"lora_rank": None}}),
        (["study.fixed.lora_rank=16"], {"study": {"fixed": {"lora_rank": 16}}}),
        (["study.stop_after.hours=8"], {"study": {"stop_after": {"hours": 8, "trials": 9}}}),
        (["study.stop_after.hours=none"], {"study": {"stop_after": {"trials": 9}}}),
        (
            ['evaluate.limits=["safety/toxicity <= 2 %"]', "evaluate.on_breach=pause"],
            {"evaluate": {"limits": ["safety/toxicity <= 2 %"], "on_breach": "pause"}},
        ),
    ],
)
def test_values_are_read_as_in_the_file(running, given, changes):
    assert main(["change", "--yes", *given]) == exit_codes.OK
    assert running.asked[0].changes == changes


@pytest.mark.parametrize("given", ["sampler=gp", "study.sampler", "a.b.c.d=1", ".=1", "="])
def test_what_changes_no_key_is_code_2(running, capsys, given):
    assert main(["change", "--yes", given]) == exit_codes.BAD_INPUT
    assert "write section.key=value" in capsys.readouterr().err and not running.asked


def test_a_refusal_is_code_4(running, capsys):
    running.reply = lambda request: console_api.Reply(
        0, False, "model.base cannot change", "change", "start another"
    )
    assert main(["change", "--yes", "model.base=x"]) == exit_codes.REFUSED
    assert "model.base cannot change" in capsys.readouterr().err


@pytest.mark.parametrize("said", TEXTS)
def test_whatever_the_engine_says_is_harmless(running, capsys, said):
    running.reply = lambda one: console_api.Reply(0, True, answer=console_api.Change((said,), (said, said)))
    main(["change", "--yes", f"study.sampler={said}"])
    main(["change", "--yes", said])
    printed = capsys.readouterr()
    assert not harm(printed.out) and not harm(printed.err)
