"""Trials by hand, clones, edits and marks without a screen."""

from __future__ import annotations

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.contract.wire import console_api
from tests.cli import studies
from tests.hostile import TEXTS, harm

BY = "command line"


@pytest.fixture
def running(engine):
    engine.state = studies.state(
        studies.created(), *studies.trial(0, studies.completed(0, 1.5)), *studies.trial(1)
    )
    new = console_api.EnqueueTrial | console_api.CloneTrial
    engine.reply = lambda one: console_api.Reply(
        0, True, answer=console_api.Queued(2) if isinstance(one, new) else None
    )
    return engine


@pytest.mark.parametrize(
    ("line", "wanted", "told"),
    [
        (
            "enqueue --like 0 lr=1e-4 lora_rank=16",
            console_api.EnqueueTrial("small", {"learning_rate": 1e-4, "lora_rank": 16}, 0, BY),
            "queued as trial 2",
        ),
        (
            "enqueue steps=5 --like 0",
            console_api.EnqueueTrial("small", {"steps": 5}, 0, BY),
            "queued as trial 2",
        ),
        ("enqueue", console_api.EnqueueTrial("small", {}, None, BY), "queued as trial 2"),
        (
            "clone 1 learning_rate=x0.5",
            console_api.CloneTrial("small", 1, {"learning_rate": "x0.5"}, BY),
            "clone of trial 1 queued as trial 2",
        ),
        (
            "edit 1 learning_rate=*2 clip_norm=0.5",
            console_api.EditTrial("small", 1, {"learning_rate": "x2", "clip_norm": 0.5}, False, BY),
            "is displayed but not reported to the sampler",
        ),
        (
            "edit 1 steps=100 --count",
            console_api.EditTrial("small", 1, {"steps": 100}, True, BY),
            "counts",
        ),
        ("unprune 1", console_api.ReprieveTrial("small", 1, BY), "queued again"),
        ("mark 1 --star", console_api.MarkTrial("small", 1, starred=True, by=BY), "is marked"),
        (
            "mark 1 --unstar --priority -2",
            console_api.MarkTrial("small", 1, None, False, None, -2, BY),
            "marked",
        ),
        ("mark 1 --device any", console_api.MarkTrial("small", 1, device="", by=BY), "marked"),
        (
            "mark 1 --device gpu0 --note hm",
            console_api.MarkTrial("small", 1, "hm", None, "gpu0", None, BY),
            "marked",
        ),
    ],
)
def test_one_request_and_what_it_led_to(running, capsys, line, wanted, told):
    assert main(line.split()) == exit_codes.OK
    assert running.asked == [wanted] and told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "enqueue lernrate=1",
            "'lernrate=1' sets no knob\n  command line\n  → did you mean learning_rate=…?",
        ),
        ("enqueue batch_size", "'batch_size' sets no knob"),
        ("edit 1 learning_rate=fast", "learning_rate = fast: must be a number"),
        ("edit 1 learning_rate=xx", "xx is not a factor"),
        ("edit 1 steps=3", "steps = 3: must be above 10, the steps already done"),
        ("clone 1 lora_rank=4", "lora_rank = 4: cannot change: its weights have this shape"),
        ("mark 1", "no mark was given"),
        ("mark 9 --star", "trial 9 does not exist"),
        ("enqueue --like 9", "trial 9 does not exist"),
    ],
)
def test_what_cannot_be_meant_is_code_2_and_nothing_is_asked(running, capsys, line, told):
    assert main(line.split()) == exit_codes.BAD_INPUT
    assert told in capsys.readouterr().err and not running.asked


def test_all_that_is_wrong_is_told_at_once(running, capsys):
    assert main(["edit", "1", "learning_rate=fast", "clip_norm=-1", "zzz=1"]) == exit_codes.BAD_INPUT
    told = capsys.readouterr().err
    assert "learning_rate = fast" in told and "clip_norm = -1" in told and "'zzz=1'" in told


def test_what_the_sampler_will_not_learn_from_is_said(running, capsys):
    running.state.studies["small"].spec["space"] = {"lora_rank": {"choice": [8, 16]}}
    assert main(["enqueue", "lora_rank=64"]) == exit_codes.OK
    assert "lora_rank = 64 is outside the space: the sampler will not learn" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["enqueue", "clone 1", "edit 1 clip_norm=1", "unprune 1", "mark 1 --star"])
def test_a_refusal_is_code_4_with_its_reason(running, capsys, line):
    running.reply = lambda request: console_api.Reply(0, False, "its worker has gone away", "trial 1", "wait")
    assert main(line.split()) == exit_codes.REFUSED
    assert "its worker has gone away\n  trial 1\n  → wait" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["enqueue", "clone 1", "edit 1 clip_norm=1", "unprune 1", "mark 1 --star"])
def test_without_an_engine_it_is_code_3(line, capsys):
    assert main(line.split()) == exit_codes.NO_ENGINE
    assert "the engine is not running" in capsys.readouterr().err


@pytest.mark.parametrize("said", TEXTS)
def test_whatever_is_typed_is_harmless(running, capsys, said):
    running.reply = lambda request: console_api.Reply(0, False, said, said, said)
    for line in (["enqueue", said], ["edit", "1", f"learning_rate={said}"], ["mark", "1", "--note", said]):
        main(line)
    printed = capsys.readouterr()
    assert not harm(printed.out) and not harm(printed.err)
