"""Every fault that trimtab promises to survive: ``python -m tests.bench.faults [--list] [--only NAME,…]``.

One line for each: how often it was tried and survived, the most steps that had to be trained again beside the
steps between two checkpoints, finished results that were lost, and the worst time to recover."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.bench import faults_files, faults_people, faults_processes, faults_training  # noqa: F401
from tests.bench.faults_case import MATRIX, Fault, Outcome

HEAD = (
    f"{'fault':<54} {'tried':>5} {'survived':>8} {'steps lost':>10} {'results lost':>12} {'recovered in':>12}"
)


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the faults and run none")
    parser.add_argument("--only", default="", help="faults whose names contain one of these, with commas")
    parser.add_argument("--share", type=float, default=1.0, help="of the times that each is tried")
    parser.add_argument("--json", type=Path, help="write the results into this file")
    options = parser.parse_args()
    words = [word for word in options.only.split(",") if word]
    chosen = [one for one in MATRIX if not words or any(word in one.name for word in words)]
    if options.list:
        print("\n".join(f"{one.name}  ×{one.times}" for one in chosen))
        return 0
    print(HEAD, flush=True)
    began, found = time.monotonic(), {}
    for one in chosen:
        found[one.name] = _run(one, max(1, round(one.times * options.share)))
        print(_line(one.name, found[one.name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({name: asdict(one) for name, one in found.items()}, indent=1))
    tried, survived = (sum(getattr(one, name) for one in found.values()) for name in ("tried", "survived"))
    faults = sum(len(one.faults) for one in found.values())
    took_s = time.monotonic() - began
    print(f"{survived} of {tried} survived, {faults} other faults, in {took_s:.0f} s")
    return 0 if survived == tried and not faults else 1


def _run(fault: Fault, times: int) -> Outcome:
    try:
        return fault.run(times)
    except Exception:
        return Outcome(tried=times, faults=[traceback.format_exc()])


def _line(name: str, outcome: Outcome) -> str:
    steps = f"{outcome.lost_steps} of {outcome.interval}"
    text = (
        f"{name:<54} {outcome.tried:>5} {outcome.survived:>8} {steps:>10} {outcome.lost_results:>12} "
        f"{outcome.recover_s:>10.2f} s"
    )
    return "\n    ".join([text, *outcome.faults])


if __name__ == "__main__":
    sys.exit(main())
