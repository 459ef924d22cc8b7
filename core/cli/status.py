"""``trimtab status``: how the studies stand.

``--json`` prints {"engine": {"running": bool, "socket": text}, "studies": [STUDY…]}, a STUDY being
{"name", "state", "why", "folder", "total_trials", "trials": {STATE: count}, "created_at", "ended_at",
"left_s", "objectives": [{"metric", "direction"}…], "best": {"trial", "values"} or null, "packs": [PACK…]},
a PACK being what a worker measured last: {"worker", "device", "trials", "tokens_per_s", "base_bytes",
"trial_bytes": {TRIAL: bytes}, "used_bytes", "free_bytes", "total_bytes", "why_alone"}. Times are Unix
seconds; what is not known is null. Keys are only ever added.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from core import paths
from core.cli import exits, reach, text
from core.contract import ranking
from core.contract import state as s
from core.contract.events import PackMeasured
from core.contract.plain import plain


def status(arguments: argparse.Namespace) -> int:
    """Print every study; without an engine, from the journals."""
    state, running = reach.known()
    studies = [_study(one) for one in state.studies.values()]
    if arguments.json:
        socket = str(paths.socket_path())
        text.dump({"engine": {"running": running, "socket": socket}, "studies": studies})
        return exits.OK
    if not running:
        print(
            "the engine is not running; `trimtab` starts it" + (" and its studies go on" if studies else "")
        )
    if not studies:
        print("no studies; start one with `trimtab run SPEC`")
    for study in studies:
        _print(study, running)
    return exits.OK


def _study(one: s.Study) -> dict[str, Any]:
    best = ranking.best(one)
    metrics = [metric for metric, _ in one.objectives]
    return {
        "name": one.name,
        "state": one.state,
        "why": one.why,
        "folder": one.folder,
        "total_trials": one.total_trials,
        "trials": ranking.counts(one),
        "created_at": one.created_at,
        "ended_at": one.ended_at,
        "left_s": ranking.study_left_s(one, time.time()),
        "objectives": [{"metric": metric, "direction": way} for metric, way in one.objectives],
        "best": {"trial": best.number, "values": dict(zip(metrics, best.values, strict=False))}
        if best
        else None,
        "packs": [_pack(pack) for pack in one.packs.values()],
    }


def _pack(one: PackMeasured) -> dict[str, Any]:
    known = (
        "worker", "device", "trials", "base_bytes", "trial_bytes", "used_bytes", "free_bytes", "total_bytes",
        "why_alone",
    )  # fmt: skip
    speed = one.tokens / one.round_s if one.round_s else None
    return {**{name: getattr(one, name) for name in known}, "tokens_per_s": speed}


def _print(study: dict[str, Any], running: bool) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in study["trials"].items()) or "no trials yet"
    state = study["state"]
    if not running and state in s.LIVE_STUDY:
        state = f"{state}, waiting for the engine"
    why = f": {plain(study['why'], 200)}" if study["why"] else ""
    print(f"{study['name']}  {state}{why}")
    left = f"; about {text.span(study['left_s'])} left" if running and study["left_s"] is not None else ""
    print(f"  {counts} of {study['total_trials']}{left}")
    if study["best"]:
        print(f"  best: trial {study['best']['trial']}  {text.pairs(study['best']['values'])}")
