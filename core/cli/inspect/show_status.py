"""``trimtab status``: the state of all studies.

``--json`` prints {"engine": {"running": bool, "socket": text}, "studies": [STUDY…]}, a STUDY being
{"name", "state", "why", "folder", "total_trials", "trials": {STATE: count}, "created_at", "ended_at",
"left_s", "steps": {"done", "planned"}, "evaluating", "scoring": {"trials", "done", "total"}, "objectives":
[{"metric", "direction"}…], "base": {METRIC: number}, "best": {"trial", "values", "scoring": {"step", "done",
"total"} or null} or null, "why_no_best", "packs": [PACK…]}, a PACK being what a worker measured last:
{"worker", "device", "trials", "tokens_per_s", "base_bytes", "trial_bytes": {TRIAL: bytes}, "used_bytes",
"free_bytes", "total_bytes", "why_alone"}. ``evaluating`` counts trials whose steps are done and that have not
ended yet, ``scoring`` complete trials whose last scores are to come and their answers, ``base`` the base
model's values of the objectives. Times are Unix seconds; what is not known is null. Keys are only ever added.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from core import paths
from core.cli import exit_codes, output_formatting, reach_engine
from core.contract.events.event_types import PackMeasured
from core.contract.state import best_and_counts, reference_values, study_progress, unrated_trials
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize


def print_status(arguments: argparse.Namespace) -> int:
    """Print every study; without an engine, from the journals."""
    state, running = reach_engine.read_state()
    studies = list(state.studies.values())
    if arguments.json:
        socket = str(paths.socket_path())
        output_formatting.dump(
            {"engine": {"running": running, "socket": socket}, "studies": list(map(_encode_study, studies))}
        )
        return exit_codes.OK
    if not running:
        print(
            "the engine is not running; `trimtab` starts it" + (" and resumes its studies" if studies else "")
        )
    if not studies:
        print("no studies; start one with `trimtab run SPEC`")
    for study in studies:
        left_s = study_progress.estimate_study_left_s(study, time.time()) if running else None
        print("\n".join(list_study_lines(study, running, left_s)))
    return exit_codes.OK


def _encode_study(study: s.Study) -> dict[str, Any]:
    best = best_and_counts.find_best(study)
    steps_done, planned = study_progress.count_steps(study)
    scoring = study_progress.sum_scoring(study)
    return {
        "name": study.name,
        "state": study.state,
        "why": study.why,
        "folder": study.folder,
        "total_trials": study.total_trials,
        "trials": best_and_counts.count_states(study),
        "created_at": study.created_at,
        "ended_at": study.ended_at,
        "left_s": study_progress.estimate_study_left_s(study, time.time()),
        "steps": {"done": steps_done, "planned": planned},
        "evaluating": sum(map(study_progress.is_evaluating, study.trials.values())),
        "scoring": {"trials": scoring.trials, "done": scoring.done, "total": scoring.total},
        "unrated": [trial.number for trial in unrated_trials.list_unrated(study)],
        "objectives": [{"metric": metric, "direction": direction} for metric, direction in study.objectives],
        "base": reference_values.list_base_values(study),
        "best": _encode_best(study, best) if best is not None else None,
        "why_no_best": "" if best is not None else reference_values.explain_no_best(study),
        "packs": [_encode_pack(pack) for pack in study.packs.values()],
    }


def _encode_best(study: s.Study, best: s.Trial) -> dict[str, Any]:
    values = dict(zip([metric for metric, _ in study.objectives], best.values, strict=False))
    return {"trial": best.number, "values": values, "scoring": study_progress.make_scoring_record(best)}


def _encode_pack(pack_measured: PackMeasured) -> dict[str, Any]:
    fields = (
        "worker", "device", "trials", "base_bytes", "trial_bytes", "used_bytes", "free_bytes", "total_bytes",
        "why_alone",
    )  # fmt: skip
    speed = pack_measured.tokens / pack_measured.round_s if pack_measured.round_s else None
    return {**{name: getattr(pack_measured, name) for name in fields}, "tokens_per_s": speed}


def list_study_lines(study: s.Study, running: bool, left_s: float | None) -> list[str]:
    """Return two or three lines about a study; ``running``: its engine is."""
    state = study.state
    if not running and state in s.LIVE_STUDY:
        state = f"{state}, waiting for the engine"
    why = f": {sanitize(study.why, 200)}" if study.why else ""
    lines = [f"{study.name}  {state}{why}"]
    parts = [", ".join([_format_counts(study), *study_progress.describe_rest(study)])]
    parts += (
        [f"{study_progress.find_done_percent(study)}% of the steps done"]
        if study.state in s.LIVE_STUDY
        else []
    )
    parts += [f"about {output_formatting.format_span(left_s)} left"] if left_s is not None else []
    lines.append(f"  {'; '.join(parts)}")
    best = best_and_counts.find_best(study)
    if best is not None:
        scoring = f"  ({words})" if (words := study_progress.format_scoring(best)) else ""
        results = output_formatting.format_results(study, best)
        lines.append(f"  best: trial {best.number}  {results}{scoring}")
    elif study.trials and (reference_values.list_waiting(study) or unrated_trials.list_unrated(study)):
        lines.append(f"  best: {sanitize(reference_values.explain_no_best(study), 300)}")
    return lines


def _format_counts(study: s.Study) -> str:
    """Return text such as "1 complete, 1 running of 3 trials", or "12 of 12 trials complete"."""
    counts, total = best_and_counts.count_states(study), study.total_trials
    if counts.get(s.COMPLETE) == total:
        return f"{total} of {total} trials complete"
    counts_text = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{counts_text or 'no trials yet'} of {total} trials"
