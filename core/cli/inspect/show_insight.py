"""``trimtab insight``: knob importance, sampler state, and early-stopped trials with reasons.

``--json`` prints {"study", "state", "objective": {"metric", "direction"}, "importance": {"method", "shares":
{KNOB: share}, "trials", "early", "known", "asks", "why_none"}, "sampler": {WHAT: text}, "rungs": [{"bracket",
"rung", "step", "entries": [{"trial", "value", "fate"}…]}…], "why_no_rungs", "counts": {STATE: count},
"spared_steps", "steps", "stopped": [{"trial", "state", "step", "total_steps", "value", "why"}…],
"front": [trial numbers that no other beats]}. Shares sum to 1; what is not known
is null. Keys are only ever added.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict
from typing import Any

import msgspec

from core.cli import exit_codes, output_formatting, reach_engine, resolve_trial
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.wire import console_api
from core.contract.wire.search_state import Importance, SearchState

BAR = 30  # characters


def print_insight(arguments: argparse.Namespace) -> int:
    """Print the insight into a study; without an engine it is read from the study's files."""
    state, running = reach_engine.read_state()
    study = resolve_trial.find_study(state, arguments.study)
    importance = _answer(study, console_api.AskImportance(study.name, arguments.method), running)
    search = _answer(study, console_api.AskSearch(study.name), running)
    assert isinstance(importance, Importance) and isinstance(search, SearchState)
    if arguments.json:
        output_formatting.dump(_encode_insight(study, importance, search))
        return exit_codes.OK
    ended_trials = best_and_counts.count_ended(study)
    print(f"{study.name}: {study.state}, {ended_trials} of {study.total_trials} trials ended")
    _print_importance(importance)
    print("\nsampler")
    for name, description in search.sampler:
        print(f"  {sanitize(name, 20):<16}{sanitize(description, 300)}")
    _print_stops(study, search)
    return exit_codes.OK


def _answer(
    study: s.Study, request: console_api.AskImportance | console_api.AskSearch, running: bool
) -> console_api.Answer | None:
    """Ask the engine; if none runs, read the study's storage."""
    if running:
        return reach_engine.ask(request)
    from core.daemon.answers import search_state_answers

    return asyncio.run(search_state_answers.read(study, request))


# -- what is printed -------------------------------------------------------------------------------


def _print_importance(importance: Importance) -> None:
    print(f"\nimportance for {sanitize(importance.objective, 60)}, by {sanitize(importance.method, 20)}")
    if not importance.shares:
        print(f"  none: {sanitize(importance.why_none, 300)}")
        return
    for knob, share in importance.shares.items():
        print(f"  {sanitize(knob, 24):<24} {100 * share:5.1f} %  {'█' * round(BAR * share)}".rstrip())
    early = f", {importance.early} of them stopped early, with their last value" if importance.early else ""
    latest = f"; the latest of {importance.known:,}" if importance.known > importance.trials else ""
    print(f"  shares {sanitize(importance.asks, 200)}; {importance.trials:,} trials{early}{latest}")


def _print_stops(study: s.Study, search: SearchState) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in i.count_endings(study).items())
    saved_steps, all_steps = i.count_saved_steps(study)
    print(f"\nended  {counts}; pruning saved {saved_steps:,} of {all_steps:,} steps")
    for rung in search.rungs:
        fates = [sanitize(entry.fate, 20) for entry in rung.entries]
        fate_counts = ", ".join(f"{fates.count(fate)} {fate}" for fate in dict.fromkeys(fates))
        place = f"bracket {rung.bracket}, rung {rung.rung}, step {rung.step:,}"
        print(f"  {place:<28}{len(fates)} in: {fate_counts}")
    if not search.rungs:
        print(f"  no rungs: {sanitize(search.why_no_rungs, 200)}")
    for stop in i.list_stops(study):
        value = "–" if stop.value is None else f"{stop.value:.4g}"
        steps = f"step {stop.step:,} of {stop.total_steps:,}" if stop.total_steps else f"step {stop.step:,}"
        why = sanitize(stop.why, 300) or "no reason was recorded"
        print(f"  trial {stop.trial:<5} {stop.state:<10} {steps:<18} {value:>8}  {why}")


# -- as JSON ---------------------------------------------------------------------------------------


def _encode_insight(study: s.Study, importance: Importance, search: SearchState) -> dict[str, Any]:
    """Return the answers for JSON; numbers that JSON lacks, such as nan, become null."""
    metric, direction = study.objectives[0]
    saved_steps, all_steps = i.count_saved_steps(study)
    content = {
        "study": study.name,
        "state": study.state,
        "objective": {"metric": metric, "direction": direction},
        "importance": _encode_importance(importance),
        "sampler": dict(search.sampler),
        "rungs": [_encode_rung(rung) for rung in search.rungs],
        "why_no_rungs": search.why_no_rungs,
        "counts": i.count_endings(study),
        "spared_steps": saved_steps,
        "steps": all_steps,
        "stopped": [asdict(stop) for stop in i.list_stops(study)],
        "front": [trial.number for trial in best_and_counts.find_front(study)],
    }
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
    return result


def _encode_importance(importance: Importance) -> dict[str, Any]:
    return {name: getattr(importance, name) for name in importance.__struct_fields__}


def _encode_rung(rung: Any) -> dict[str, Any]:
    entries = [{"trial": entry.trial, "value": entry.value, "fate": entry.fate} for entry in rung.entries]
    return {"bracket": rung.bracket, "rung": rung.rung, "step": rung.step, "entries": entries}
