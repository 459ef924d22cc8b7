"""``trimtab boards``: the scores of base and trials, compared with limits and each other.

``--json`` prints {"study", "boards": [BOARD…], "limits": [text…], "on_breach", "why_none",
"metrics": {METRIC: {"board", "meaning", "unit", "direction"}}, "base": {METRIC: SCORE},
"trials": [{"trial", "state", "step", "scoring": {"step", "done", "total"} or null, "scores": {METRIC:
SCORE}}…]}, a SCORE being {"value", "low", "high", "samples", "reason", "change", "paired",
"better", "clear", "verdict"}. ``change`` is the value less the base's, ``paired`` {"value", "low", "high"} of
the change on the same samples, ``clear`` whether it is more than its interval explains, or else the two,
``verdict`` ok, breached or unsure; what is not known is null. A trial's SCORE has its "step", too. Shares are
fractions, as are changes of shares, whose unit is points. Keys are only ever added.
"""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from core.cli import exit_codes, output_formatting, reach_engine, resolve_trial
from core.contract.state import engine_state as s
from core.contract.state import study_progress
from core.contract.text.sanitize import sanitize
from core.contract.views import metric_verdict as r
from core.contract.views import report_card
from core.contract.views.metric_format import SHARE, format_bound, format_change, format_score

SAID = {"ok": "✓ kept", "breached": "✗ breached", "unsure": "? unsure", None: ""}


def print_boards(arguments: argparse.Namespace) -> int:
    """Print the boards of a study, or of one trial compared with the base."""
    study = resolve_trial.find_study(reach_engine.read_state()[0], arguments.study)
    trials = list(study.trials.values())
    if arguments.trial is not None:
        trials = [resolve_trial.find_trial(study, arguments.trial)]
    scored = [trial for trial in trials if trial.scores]
    if arguments.json:
        output_formatting.dump(_encode_boards(study, scored))
        return exit_codes.OK
    print(f"{study.name}: {len(scored)} of {len(trials)} trial{'s' * (len(trials) != 1)} scored")
    for trial in trials:
        if trial.pending:
            print(
                f"  trial {trial.number}: its last scores are pending, {study_progress.format_scoring(trial)}"
            )
    if not scored:
        message, fix = r.explain_absent(study, trials)
        subject = "no trial has been" if arguments.trial is None else f"trial {arguments.trial} has not been"
        message = f"{subject} scored yet" if r.list_boards(study) else message
        print(f"  {message}: {fix}")
    for board in r.list_boards(study):
        for name in r.list_names(study, board):
            _print(study, name, scored)
    if arguments.trial is not None and scored:
        _print_card(study, scored[0])
    return exit_codes.OK


def _print_card(study: s.Study, trial: s.Trial) -> None:
    print(f"\nreport card of trial {trial.number}: a claim is not shown unless an interval says otherwise")
    for claim in report_card.list_claims(study, trial):
        print(
            f"  {claim.verdict:<9}  {sanitize(claim.metric, 60)} {claim.text}: {sanitize(claim.basis, 400)}"
        )
    for text in report_card.list_unexamined(study, trial):
        print(f"  not examined: {text}")


# -- what is printed -------------------------------------------------------------------------------


def _print(study: s.Study, name: str, scored: list[s.Trial]) -> None:
    limits = r.list_limits(study)
    of_base = r.read(study, None, name, limits)
    bounds = " and ".join(format_bound(limit, of_base.metric.unit) for limit in of_base.limits)
    details = [of_base.metric.meaning, "" if of_base.metric.unit == SHARE else of_base.metric.unit]
    details += ["lower is better" if of_base.metric.direction == "minimize" else "higher is better"]
    details += [f"limit {bounds}"] if bounds else []
    print(f"\n{sanitize(name, 60)}  {'; '.join(part for part in details if part)}")
    print(f"  {'base':<16}{_format_line(of_base)}")
    for trial in scored:
        if name in trial.scores:
            label = f"trial {trial.number} @{r.find_step(trial, name)}"
            print(f"  {label:<16}{_format_line(r.read(study, trial, name, limits))}".rstrip())


def _format_line(reading: r.Reading) -> str:
    """Return text such as "12.5% (7.1–20.2%, 64 samples)  +10.5 worse  ✗ breached"."""
    if reading.score is None:
        return "– not scored"
    parts = [
        format_score(reading.score, reading.metric.unit),
        _describe_comparison(reading),
        SAID[reading.verdict],
        sanitize(reading.score.reason, 500),
    ]
    return "  ".join(part for part in parts if part)


def _describe_comparison(reading: r.Reading) -> str:
    if reading.change is None:
        return ""
    if reading.better is None:
        return "the same as the base"
    word = "better" if reading.better else "worse"
    certainty = "" if reading.clear else ", within the error bars"
    return f"{format_change(reading.change, reading.metric.unit)} {word}{certainty}"


# -- as JSON ---------------------------------------------------------------------------------------


def _encode_boards(study: s.Study, scored: list[s.Trial]) -> dict[str, Any]:
    limits, boards = r.list_limits(study), r.list_boards(study)
    names = {name: board for board in boards for name in r.list_names(study, board)}
    return {
        "study": study.name,
        "boards": list(boards),
        "limits": [str(limit) for of_metric in limits.values() for limit in of_metric],
        "on_breach": r.describe_breach_action(study),
        "why_none": "" if scored else ": ".join(r.explain_absent(study)),
        "metrics": {name: _encode_metric(name, board) for name, board in names.items()},
        "base": {
            name: _encode_score(r.read(study, None, name, limits))
            for name in names
            if name in study.base_scores
        },
        "trials": [
            {
                "trial": trial.number,
                "state": trial.state,
                "step": trial.scored_step,
                "scoring": study_progress.make_scoring_record(trial),
                "scores": {
                    name: {
                        "step": r.find_step(trial, name),
                        **_encode_score(r.read(study, trial, name, limits)),
                    }
                    for name in names
                    if name in trial.scores
                },
            }
            for trial in scored
        ],
    }


def _encode_metric(name: str, board: str) -> dict[str, Any]:
    metric = r.describe_metric(name)
    return {"board": board, "meaning": metric.meaning, "unit": metric.unit, "direction": metric.direction}


def _encode_paired(reading: r.Reading) -> dict[str, float | None] | None:
    change = reading.paired
    return None if change is None else {"value": change.value, "low": change.low, "high": change.high}


def _encode_score(reading: r.Reading) -> dict[str, Any]:
    """Return the score for JSON; numbers that JSON lacks, such as nan, become null."""
    comparison = {
        "change": reading.change,
        "paired": _encode_paired(reading),
        "better": reading.better,
        "clear": reading.clear,
        "verdict": reading.verdict,
    }
    result: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode({**msgspec.to_builtins(reading.score), **comparison})
    )
    return result
