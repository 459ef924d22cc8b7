"""``trimtab enqueue | clone | edit``: queues trials, clones a trial, edits a running trial."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from typing import Any

from core.cli import exit_codes, output_formatting, reach_engine, resolve_trial
from core.cli.steer.pause_prune_stop import BY, find_trial, read_engine_state
from core.contract.edits import input_values, knob_edit_checks
from core.contract.spec.knob_table import CLONE_KEEPS
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.errors import Problem, RefusedError

NAMES = {knob.short: name for name, knob in knob_edit_checks.EDITABLE.items() if knob.short} | {
    knob: knob for knob in knob_edit_checks.EDITABLE
}


def enqueue(arguments: argparse.Namespace) -> int:
    """Queue a trial with the given knobs."""
    study = resolve_trial.find_study(read_engine_state(), arguments.study)
    origin = resolve_trial.find_trial(study, arguments.like) if arguments.like is not None else None
    present = input_values.list_current_values(study, origin)
    knobs = _parse_knobs(arguments.knobs, s.Trial(-1, knobs=present))
    number = _ask_and_print(console_api.EnqueueTrial(study.name, knobs, arguments.like, BY))
    print(f"{study.name}: queued as trial {number}")
    for name, value in knobs.items():
        strange = (
            ""
            if knob_edit_checks.is_factor(name, value)
            else input_values.explain_unlearnt(study, name, value)
        )
        if strange:
            print(f"  {name} = {output_formatting.format_value(value)} is {strange}")
    return exit_codes.OK


def clone(arguments: argparse.Namespace) -> int:
    """Queue a trial that continues from the checkpoint of another."""
    study, number = find_trial(arguments)
    trial = read_engine_state().studies[study].trials[number]
    changes = _parse_knobs(arguments.knobs, trial, CLONE_KEEPS)
    clone_number = _ask_and_print(console_api.CloneTrial(study, number, changes, BY, best=arguments.best))
    print(
        f"{study}: clone of trial {number} queued as trial {clone_number};"
        " its result is not reported to the sampler"
    )
    return exit_codes.OK


def edit(arguments: argparse.Namespace) -> int:
    """Change knobs of a running trial."""
    study, number = find_trial(arguments)
    trial = read_engine_state().studies[study].trials[number]
    changes = _parse_knobs(arguments.knobs, trial)
    reach_engine.ask(console_api.EditTrial(study, number, changes, arguments.count, BY))
    counts = "counts" if arguments.count and trial.counted else "is displayed but not reported to the sampler"
    print(f"{study}: editing trial {number}: {output_formatting.format_pairs(changes)}; its result {counts}")
    return exit_codes.OK


def _ask_and_print(request: console_api.AnyRequest) -> int:
    answer = reach_engine.ask(request)
    if not isinstance(answer, console_api.Queued):
        raise RefusedError.of(
            "the engine did not return the trial's number", "", "`trimtab status` shows the trials"
        )
    return answer.trial


def _parse_knobs(
    assignments: Iterable[str], trial: s.Trial, locked: dict[str, str] | None = None
) -> dict[str, Any]:
    """Parse the knobs in ``assignments``. Raises UsageError with all problems."""
    values: dict[str, Any] = {}
    problems = []
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        knob_name = NAMES.get(name.strip(), name.strip())
        knob = knob_edit_checks.list_editable(trial.knobs).get(knob_name)
        if knob is None or not sign:
            problems.append(
                Problem(f"{sanitize(assignment, 80)!r} sets no knob", "command line", _find_nearest(name))
            )
            continue
        read = input_values.parse_edit(trial, knob_name, text)
        wrong = (locked or {}).get(knob_name) and f"cannot change: {(locked or {})[knob_name]}"
        if wrong or read.wrong:
            label = sanitize(f"{knob_name} = {text}", 80)
            problems.append(Problem(f"{label}: {wrong or read.wrong}", "command line", knob.meaning))
        values[knob_name] = read.value
    if problems:
        raise resolve_trial.UsageError(*problems)
    return values


def _find_nearest(name: str) -> str:
    close = difflib.get_close_matches(name.strip()[:60], NAMES, n=1, cutoff=0.5)
    return f"did you mean {NAMES[close[0]]}=…?" if close else f"knobs: {', '.join(knob_edit_checks.EDITABLE)}"
