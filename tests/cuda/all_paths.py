"""Runs the paths of the trainer on fake CUDA tensors: ``python -m tests.cuda.all_paths [BASE…]``.

A tensor on another device, and a dtype that torch refuses, raise here as on a GPU. It prints JSON: for each
base the faults as (path, error, place in the code). A base that is named, such as gemma2/bf16, runs every
path; else all bases run those that depend on the base. ``--tests`` adds the life of trials, planted faults
and counts: all that the tests need, in one process.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable, Collection
from typing import Any

from tests.cuda import count_step
from tests.cuda.fake_device import ROOT

Fault = tuple[str, str, str]
# What depends on the base: its layers, attention, masks and cache. The rest is the same for all.
ESSENTIAL = ("survey", "learn", "rate with states", "write from trees", "inspect")
FEW = 2  # trials, one of them with dropout, where not all paths are run
WHOLE = "qwen2/bf16"  # the base of the tests that runs every path
OTHERS = ("qwen2/nf4", "qwen2/int8", "qwen2/checkpointing")  # besides each family in bf16


def main() -> None:
    """Run the paths, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bases", nargs="*")
    parser.add_argument("--tests", action="store_true")
    parser.add_argument("--families", nargs="*", help="only bases of these, where none is named")
    options = parser.parse_args()
    count_step.begin()
    chosen = options.bases or bases(options.families)
    whole = (*options.bases, WHOLE)
    result: dict[str, Any] = {
        "paths": {base: run(base, () if base in whole else ESSENTIAL) for base in chosen}
    }
    if options.tests:
        from tests.cuda import planted_faults, trial_life

        result["life"] = trial_life.run()
        result["planted"] = planted_faults.run_all()
        result["counts"] = {name: count_step.count_few(name) for name in count_step.TESTED}
    print(json.dumps(result))


def bases(families: Collection[str] | None = None) -> list[str]:
    """Every family in bf16, or only some, and one family in the other ways that a base can be loaded."""
    from core.train.tracing.tiny_models import CONFIGS

    return [*(f"{family}/bf16" for family in CONFIGS if families is None or family in families), *OTHERS]


def run(name: str, wanted: Collection[str]) -> dict[str, Any]:
    """Run the ``wanted`` paths on one base, or all."""
    from tests.cuda import path_steps
    from tests.cuda.fake_card import counting, fake_tensors
    from tests.cuda.op_counter import OpChecker

    began, faults = time.process_time(), []
    with fake_tensors(), counting(OpChecker):
        steps = path_steps.steps(name, FEW) if wanted else path_steps.steps(name)
        chosen = [label for label in steps if not wanted or label in wanted]
        for label in chosen:
            faults += _attempt(label, steps[label])
    return {"faults": faults, "paths": chosen, "cpu_s": time.process_time() - began}


def _attempt(label: str, step: Callable[[], Any]) -> list[Fault]:
    try:
        step()
    except Exception as error:
        here, trace = f"{ROOT}/", traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno}".removeprefix(here) for frame in trace]
        place = next((place for place in reversed(places) if place.startswith("core/")), "")
        return [(label, f"{type(error).__name__}: {str(error).splitlines()[0][:230]}", place)]
    return []


if __name__ == "__main__":
    main()
