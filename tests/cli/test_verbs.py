"""Verbs against an engine that answers from a script."""

from __future__ import annotations

import json

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.contract.events import event_types as e
from core.contract.state import event_fold
from core.contract.wire import console_api
from tests.cli import studies


@pytest.fixture
def running(engine):
    engine.state = studies.state(
        studies.created(), *studies.trial(0, studies.completed(0, 1.5)), *studies.trial(1)
    )
    return engine


def test_status_in_words_and_as_json(running, capsys):
    assert main(["status"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "small  running\n  1 complete, 1 running of 3" in shown
    assert "best: trial 0  eval/loss=1.5" in shown
    assert main(["status", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["engine"]["running"] is True
    study = found["studies"][0]
    assert study["trials"] == {"complete": 1, "running": 1} and study["state"] == "running"
    assert study["best"] == {"trial": 0, "values": {"eval/loss": 1.5}, "scoring": None}
    assert study["left_s"] is not None


def test_status_as_json_says_what_each_pack_takes_and_gives(running, capsys):
    told = e.PackMeasured(
        at=105.0, study="small", worker="w0", device="gpu0", trials=2, tokens=1200, round_s=0.5,
        base_bytes=900, trial_bytes={1: 40, 2: 50}, activation_bytes_per_token=2.0, used_bytes=1000,
        free_bytes=3000, total_bytes=4000,
    )  # fmt: skip
    running.state = event_fold.apply(running.state, told)
    assert main(["status", "--json"]) == exit_codes.OK
    (pack,) = json.loads(capsys.readouterr().out)["studies"][0]["packs"]
    assert pack == {
        "worker": "w0", "device": "gpu0", "trials": 2, "tokens_per_s": 2400.0, "base_bytes": 900,
        "trial_bytes": {"1": 40, "2": 50}, "used_bytes": 1000, "free_bytes": 3000, "total_bytes": 4000,
        "why_alone": "",
    }  # fmt: skip


def three_scored(*values: float, metric: str = "eval/loss") -> list[e.Event]:
    """All three trials are complete, and each has 15 of its 32 answers."""
    goal = [{"metric": metric, "direction": "minimize"}]
    told = [studies.created(objectives=goal)]
    for number in range(3):
        told += [*studies.trial(number, studies.pending(number, *values)), studies.scoring(number, 15, 32)]
    return told


def test_status_and_best_say_what_is_still_being_scored(engine, capsys):
    engine.state = studies.state(*three_scored(2.05), studies.based())
    assert main(["status"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "3 of 3 trials complete, 3 being scored (45 of 96 answers); 100% of the steps done\n" in shown
    assert "best: trial 0  eval/loss base 3.28 → 2.05  (scoring 15/32)" in shown
    assert main(["status", "--json"]) == exit_codes.OK
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert study["steps"] == {"done": 120, "planned": 120} and study["base"] == {"eval/loss": 3.28}
    assert study["scoring"] == {"trials": 3, "done": 45, "total": 96}
    assert study["best"]["scoring"] == {"step": 40, "done": 15, "total": 32}
    assert main(["best"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "small: trial 0  eval/loss base 3.28 → 2.05" in shown
    assert "eval/loss of the base uses 64 sampled validation rows (quality/loss)" in shown
    assert "its last scores are pending: scoring 15/32" in shown and "trials 1, 2 still being" in shown
    assert main(["best", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["scoring"] == {"step": 40, "done": 15, "total": 32} and found["pending"] == [0, 1, 2]


def test_best_says_that_complete_trials_wait_for_the_score_of_the_objective(engine, capsys):
    engine.state = studies.state(*three_scored(metric="safety/toxicity"))
    assert main(["best"]) == exit_codes.NO_RESULT
    shown = capsys.readouterr().err
    assert "no complete trial has its score of safety/toxicity yet" in shown and "`trimtab status`" in shown
    assert main(["status"]) == exit_codes.OK
    assert "best: no complete trial has its score of safety/toxicity yet" in capsys.readouterr().out


def test_status_counts_steps_and_says_that_a_trial_is_evaluated(engine, capsys):
    done = e.TrialReported(at=134.0, study="small", trial=0, step=40, elapsed_s=4.0, metrics={})
    engine.state = studies.state(studies.created(), *studies.trial(0, done), *studies.trial(1))
    assert main(["status"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "2 running of 3 trials, 1 evaluating; 41% of the steps done; about " in shown
    assert "100%" not in shown and "left" in shown


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("pause 1", console_api.PauseTrial("small", 1, "command line")),
        ("resume 1 --study small", console_api.ResumeTrial("small", 1, "command line")),
        ("prune 1", console_api.PruneTrial("small", 1, "command line", "requested on the command line")),
        ("pause --all", console_api.PauseStudy("small", "command line")),
        ("resume --all --study small", console_api.ResumeStudy("small", "command line")),
        ("stop", console_api.StopStudy("small", "command line")),
    ],
)
def test_steering_sends_one_request(running, line, request_, capsys):
    assert main(line.split()) == exit_codes.OK
    assert running.asked == [request_] and capsys.readouterr().out


@pytest.mark.parametrize("line", ["pause", "resume", "pause 1 --all"])
def test_one_trial_or_all_must_be_meant(running, line, capsys):
    assert main(line.split()) == exit_codes.BAD_INPUT and not running.asked
    assert "give either a trial or --all" in capsys.readouterr().err


def test_a_refusal_is_code_4_with_its_reason(running, capsys):
    running.reply = lambda request: console_api.Reply(
        0, False, "trial 1 is paused already", "study small", "resume it"
    )
    assert main(["pause", "1"]) == exit_codes.REFUSED
    assert capsys.readouterr().err == "trimtab: trial 1 is paused already\n  study small\n  → resume it\n"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("pause 7", "trial 7 does not exist\n  study small\n  → the study has trials 0 to 1"),
        ("pause 1 --study other", "study 'other' does not exist\n  --study\n  → existing studies: small"),
    ],
)
def test_what_is_not_there_is_code_2(running, line, text, capsys):
    assert main(line.split()) == exit_codes.BAD_INPUT
    assert text in capsys.readouterr().err and running.asked == []


def test_several_running_studies_must_be_named(engine, capsys):
    engine.state = studies.state(studies.created("one"), studies.created("two", at=101.0))
    assert main(["stop"]) == exit_codes.BAD_INPUT
    assert "several studies are running\n  one, two" in capsys.readouterr().err
    assert main(["stop", "--study", "two"]) == exit_codes.OK


def test_without_an_engine_steering_is_code_3_and_status_is_not(capsys):
    assert main(["pause", "0"]) == exit_codes.NO_ENGINE
    assert "the engine is not running" in capsys.readouterr().err
    assert main(["engine", "status"]) == exit_codes.NO_ENGINE
    assert main(["engine", "stop"]) == exit_codes.OK
    assert main(["status"]) == exit_codes.OK
    assert main(["status", "--json"]) == exit_codes.OK
    assert '"running": false' in capsys.readouterr().out


def test_best_in_words_and_as_json(running, capsys):
    assert main(["best"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "small: trial 0  eval/loss=1.5" in shown and "lora_rank=8" in shown
    assert "trimtab generate --study small --trial 0 PROMPT" in shown
    assert main(["best", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["trial"], found["adapter"]) == (0, "/studies/small/trials/0/adapter")
    assert found["values"] == {"eval/loss": 1.5} and found["front"] == [0]


def test_best_without_a_complete_trial_is_code_5(engine, capsys):
    engine.state = studies.state(studies.created(), *studies.trial(0))
    assert main(["best"]) == exit_codes.NO_RESULT
    assert "no trial is complete\n  study small (running)" in capsys.readouterr().err


def test_generate_without_an_adapter_says_so(running, capsys):
    assert main(["generate", "--trial", "1", "hello"]) == exit_codes.FAILURE
    assert "trial 1 (running) has no adapter" in capsys.readouterr().err


def test_logs_of_a_study_and_of_a_trial_with_its_traceback(engine, capsys):
    failure = e.TrialFailed(
        at=120.0, study="small", trial=1, error="out of memory", traceback="File x\n  \x1b[1my"
    )
    engine.state = studies.state(studies.created(), *studies.trial(0), *studies.trial(1, failure))
    assert main(["logs"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "trial 0 running from step 0 of 40" in shown and "error: trial 1 failed: out of memory" in shown
    assert main(["logs", "1"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "error: failed: out of memory" in shown and "trial 0" not in shown
    assert shown.endswith("File x\n  \N{REPLACEMENT CHARACTER}[1my\n")


def test_logs_follow_to_the_end(running, capsys):
    running.events = [studies.completed(1, 1.0), studies.ended()]
    assert main(["logs", "--follow"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert shown.count("trial 1 running from step 0") == 1
    assert shown.rstrip().endswith("study complete: all trials are done")


def test_doctor_as_json(capsys, monkeypatch):
    from core.watch import doctor_checks

    rows = [
        doctor_checks.Finding("python", "ok", "3"),
        doctor_checks.Finding("disk", "fail", "full", "free it"),
    ]
    monkeypatch.setattr(doctor_checks, "examine", lambda **_: rows)
    assert main(["doctor", "--json"]) == exit_codes.FAILURE
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False and found["checks"][1]["fix"] == "free it"
    assert main(["doctor"]) == exit_codes.FAILURE
    assert "FAIL  disk" in capsys.readouterr().out


def test_logs_say_that_they_are_the_last_ones(engine, capsys):
    notes = [e.StudyNoted(at=101.0, study="small", text=f"note {number}") for number in range(250)]
    engine.state = studies.state(studies.created(), *notes)
    assert main(["logs"]) == exit_codes.OK
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 200 and shown.out.endswith("note 249\n")
    assert shown.err.startswith("only the last 200 lines") and "`trimtab export`" in shown.err
    engine.state = studies.state(studies.created(), *notes[:9])
    assert main(["logs"]) == exit_codes.OK
    assert not capsys.readouterr().err
