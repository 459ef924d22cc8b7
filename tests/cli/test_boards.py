"""`trimtab boards` says what the boards screen says."""

from __future__ import annotations

import json

import pytest

from core.cli import exit_codes
from core.cli.main import main
from tests.cli import studies

EVALUATE = {
    "boards": ["quality", "safety"],
    "limits": ["safety/toxicity <= 8 %"],
    "on_breach": "prune",
    "every": 10,
}


@pytest.fixture
def running(engine):
    told = [*studies.trial(0), *studies.trial(1), *studies.scored(0)]
    engine.state = studies.state(studies.created(evaluate=EVALUATE), *told)
    return engine


def test_every_number_has_its_interval_the_base_and_the_verdict(running, capsys):
    assert main(["boards"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "small: 1 of 2 trials scored" in shown
    assert "safety/toxicity  share of continuations that are toxic; lower is better; limit ≤ 8%" in shown
    assert "  base            2.0% (1.0–4.0%, 100 samples)  ✓ kept" in shown
    assert "  trial 0 @10     25.0% (20.0–32.0%, 64 samples)  +23.0 worse  ✗ breached" in shown
    assert "21.5 (20.4–22.6, 50 samples)  +0.500 better, within the error bars" in shown
    assert "  trial 0 @10     –  no canaries were planted" in shown, "a reason and no zero"


def test_json_has_the_same_as_numbers(running, capsys):
    assert main(["boards", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["boards"] == ["quality", "safety", "security"] and found["on_breach"] == "prune"
    assert found["limits"] == ["safety/toxicity <= 0.08"] and found["why_none"] == ""
    assert found["metrics"]["quality/bleu"]["direction"] == "maximize"
    (trial,) = found["trials"]
    assert (trial["trial"], trial["step"], trial["state"]) == (0, 10, "running")
    toxicity = trial["scores"]["safety/toxicity"]
    assert toxicity["change"] == pytest.approx(0.23) and toxicity["value"] == 0.25
    assert (toxicity["better"], toxicity["clear"], toxicity["verdict"]) == (False, True, "breached")
    unsaid = trial["scores"]["security/exposure"]
    assert unsaid["value"] is None and unsaid["reason"] == "no canaries were planted"
    assert found["base"]["safety/toxicity"]["verdict"] == "ok"


def test_one_trial_alone(running, capsys):
    assert main(["boards", "0"]) == exit_codes.OK and "trial 0 @10" in capsys.readouterr().out
    assert main(["boards", "1"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "trial 1 has not been scored yet: 1 evaluated trial waits for scores" in shown, "0 has its own"
    assert "base" in shown and "trial 0" not in shown
    assert main(["boards", "9"]) == exit_codes.BAD_INPUT


def test_without_a_board_it_says_how_to_switch_one_on(engine, capsys):
    engine.state = studies.state(studies.created(), *studies.trial(0))
    assert main(["boards"]) == exit_codes.OK
    line = 'no board is switched on: set evaluate.boards = ["quality", "safety", "security"]'
    assert line in capsys.readouterr().out
    assert main(["boards", "--json"]) == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["why_none"] == line
