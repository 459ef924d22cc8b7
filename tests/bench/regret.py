"""How good trimtab's search is, beside plain Optuna's and beside chance, on a recorded surface.

``python -m tests.bench.regret [--seeds 20] [--quick]``. Each sampler × pruner is replayed over seeds with a
budget of steps: by trimtab one trial at a time, by plain Optuna with the same settings, and by trimtab with
eight trials at once, as in a pack. Regret is the best final loss of a complete trial so far minus the table's
best, after a quarter, a half and all of the budget; before the first complete trial it is that of the table's
median. Behind each mean stands half the width of its 95 % interval (bootstrap over the seeds).

Where sampler and pruner are Optuna's own, both must propose the very same trials (``same``); the bench ends
with 1 where they do not. They differ on purpose with cmaes (no pickles, so its random numbers are drawn at
other times) and with gp beside a pruner (trimtab's learns from pruned trials): there the difference has its
interval. gp thinks for a second a trial: ``--samplers gp --seeds 4 --budget 768 --pruners none,median``.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import torch

from core.evaluate.statistics import bootstrap
from tests.bench.surface import STEPS, Surface
from tests.bench.surface_replay import Course, ours, plain

SAMPLERS = ("random", "qmc", "grid", "tpe", "cmaes", "nsga2", "gp")
PRUNERS = ("none", "median", "percentile", "halving", "hyperband", "patient")
BUDGET = 64 * STEPS  # as many whole trials
MARKS = (0.25, 0.5, 1.0)
PACK = 8
HEAD = f"{'sampler':<8}{'pruner':<11}{'same':>6} " + "".join(
    f"{title:>27}" for title in ("trimtab 25/50/100 %", "Optuna 25/50/100 %", f"trimtab, {PACK} at once")
)
HEAD += f"{'− Optuna (95 %)':>25}{'− random (95 %)':>25}"


@dataclass
class Outcome:
    """The studies of one sampler and pruner, seed after seed."""

    ours: list[Course]
    optunas: list[Course]
    packed: list[Course]

    @property
    def same(self) -> int:
        """Seeds with the same trials in the same order, and the same ends."""
        pairs = zip(self.ours, self.optunas, strict=True)
        return sum(one.asked == other.asked and one.ends == other.ends for one, other in pairs)


def must_be_same(sampler: str, pruner: str) -> bool:
    """Is all of it Optuna's own?"""
    return sampler != "cmaes" and (sampler != "gp" or pruner == "none")


def replayed(surface: Surface, sampler: str, pruner: str, seeds: range, budget: int) -> Outcome:
    """Every seed, three times."""
    return Outcome(
        [ours(surface, sampler, pruner, seed, budget) for seed in seeds],
        [plain(surface, sampler, pruner, seed, budget) for seed in seeds],
        [ours(surface, sampler, pruner, seed, budget, PACK) for seed in seeds],
    )


def regrets(surface: Surface, courses: list[Course], mark: float) -> np.ndarray:
    """The regret of each course after ``mark`` of its budget."""
    found = (min(course.best(int(mark * course.budget)), surface.blind) for course in courses)
    return np.array([best - surface.best for best in found])


def bounds(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean."""
    return bootstrap.interval(len(values), lambda drawn: values[drawn].mean(axis=1)) or (np.nan, np.nan)


def _means(surface: Surface, courses: list[Course]) -> str:
    told = [regrets(surface, courses, mark) for mark in MARKS]
    low, high = bounds(told[-1])
    return "{:.3f} {:.3f} {:.3f}".format(*(one.mean() for one in told)) + f" ±{(high - low) / 2:.3f}"


def _difference(surface: Surface, courses: list[Course], others: list[Course]) -> str:
    """Per seed, at the end of the budget."""
    gaps = regrets(surface, courses, 1.0) - regrets(surface, others, 1.0)
    low, high = bounds(gaps)
    return f"{gaps.mean():+.3f} ({low:+.3f} {high:+.3f})" if gaps.any() else "0"


def line(surface: Surface, sampler: str, pruner: str, outcome: Outcome, chance: Outcome) -> str:
    """One row of the table."""
    means = (outcome.ours, outcome.optunas, outcome.packed)
    return (
        f"{sampler:<8}{pruner:<11}{outcome.same:>3}/{len(outcome.ours)} "
        + "".join(f"{_means(surface, mean):>27}" for mean in means)
        + f"{_difference(surface, outcome.ours, outcome.optunas):>25}"
        + f"{_difference(surface, outcome.ours, chance.ours):>25}"
    )


def options() -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=BUDGET, help="steps of one study")
    parser.add_argument("--samplers", default=",".join(SAMPLERS[:-1]), help="gp is slow: name it")
    parser.add_argument("--pruners", default=",".join(PRUNERS))
    parser.add_argument("--quick", action="store_true", help="3 seeds, no pruner and halving")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.pruners = 3, "none,halving"
    return chosen


def main() -> int:
    """Print the table."""
    chosen, surface, begun = options(), Surface(), time.monotonic()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    torch.set_num_threads(1)  # the GP's, as the search process has it
    seeds, wrong = range(chosen.seeds), []
    print(f"{len(surface)} recorded configurations, best {surface.best:.4f}, median {surface.blind:.4f};")
    print(f"{chosen.budget} steps a study, {STEPS} a trial, {chosen.seeds} seeds\n\n{HEAD}")
    for pruner in chosen.pruners.split(","):
        chance = replayed(surface, "random", pruner, seeds, chosen.budget)
        for sampler in chosen.samplers.split(","):
            random = sampler == "random"
            outcome = chance if random else replayed(surface, sampler, pruner, seeds, chosen.budget)
            print(line(surface, sampler, pruner, outcome, chance), flush=True)
            if must_be_same(sampler, pruner) and outcome.same < chosen.seeds:
                wrong.append(f"{sampler} × {pruner}")
    print(f"\n{time.monotonic() - begun:.0f} s; where all is Optuna's own, the trials are ", end="")
    print(f"NOT the same with {', '.join(wrong)}" if wrong else "the same")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
