"""Studies on the recorded surface: the same search by trimtab's oracle and by plain Optuna.

A trial costs the steps between its evaluations, and at each one the pruner is asked. At the last one the
answer changes nothing: all is spent, and trimtab's worker, too, has ended the trial before it could hear of
it. A diverged trial has failed. Both keep their studies in memory: SQLite would take most of the time, and
``tests.search.test_surface`` shows that it proposes the same.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import optuna
from optuna import pruners, samplers

from core.search.study import optuna_storage as rooms
from core.search.study.optuna_study import OptunaStudy
from tests.bench.surface import COUNTED, CURVE, EVERY, SPACE, WHOLE, Point, Surface

STARTUP = 5  # trimtab's default, for the rivals, too
LAST = CURVE[-1]


class Spent(Exception):
    """The budget of steps is used up."""


@dataclass
class Course:
    """What one study asked for, and how good the best complete trial was when so many steps were spent."""

    budget: int
    spent: int = 0
    asked: list[Point] = field(default_factory=list)
    ends: list[tuple[int, float]] = field(default_factory=list)  # steps spent, final loss
    pruned: int = 0

    def spend(self) -> None:
        """The steps up to a trial's next evaluation. Raises Spent where the budget does not reach so far."""
        if self.spent + EVERY > self.budget:
            raise Spent
        self.spent += EVERY

    def best(self, spent: int) -> float:
        """The best final loss within ``spent`` steps; inf before the first."""
        return min((loss for at, loss in self.ends if at <= spent), default=math.inf)


def space(sampler: str) -> dict[str, Any]:
    """What ``sampler`` searches: a grid needs values that can be counted."""
    return COUNTED if sampler == "grid" else SPACE


# -- trimtab ---------------------------------------------------------------------------------------


def study_file(sampler: str, pruner: str, seed: int) -> dict[str, Any]:
    """The study as its file says it."""
    return {
        "study": {
            "name": "surface", "sampler": sampler, "pruner": pruner, "seed": seed,
            "startup_trials": STARTUP, "storage": "sqlite:///:memory:",
        },
        "model": {"base": "nobody/nothing"},
        "data": {"source": "nothing.jsonl"},
        "train": {"steps": LAST},
        "space": space(sampler),
        "evaluate": {"every": EVERY},
    }  # fmt: skip


@contextmanager
def opened(sampler: str, pruner: str, seed: int, sqlite: bool = False) -> Iterator[OptunaStudy]:
    """trimtab's oracle for the study."""
    in_memory = mock.patch.object(rooms, "RDBStorage", lambda *_, **__: optuna.storages.InMemoryStorage())
    with tempfile.TemporaryDirectory() as folder:
        raw = study_file(sampler, pruner, seed)
        if sqlite:
            yield OptunaStudy(raw, folder)
            return
        with in_memory:
            oracle = OptunaStudy(raw, folder)
        yield oracle


def ours(
    surface: Surface,
    sampler: str,
    pruner: str,
    seed: int,
    budget: int,
    at_once: int = 1,
    sqlite: bool = False,
) -> Course:
    """trimtab's search with ``at_once`` trials side by side, each an evaluation further in turn."""
    course = Course(budget)
    with opened(sampler, pruner, seed, sqlite) as oracle:
        running: dict[int, Iterator[bool]] = {}
        try:
            while True:
                _fill(oracle, surface, course, running, at_once)
                if not running:
                    return course
                for number, life in list(running.items()):
                    if not next(life):
                        del running[number]
        except Spent:
            return course


def _fill(
    oracle: OptunaStudy, surface: Surface, course: Course, running: dict[int, Iterator[bool]], at_once: int
) -> None:
    while len(running) < at_once:
        proposal = oracle.ask(oracle.count())
        if proposal is None:
            return
        course.asked.append(proposal.params)
        curve = surface.curve(proposal.params)
        running[proposal.number] = _life(oracle, course, proposal.number, curve)


def _life(oracle: OptunaStudy, course: Course, number: int, curve: tuple[float, ...]) -> Iterator[bool]:
    """One evaluation at a time; is there another one?"""
    for step, loss in zip(CURVE, curve, strict=True):
        course.spend()
        if loss != loss:
            oracle.tell(number, "failed", [])
            yield False
        reason = oracle.report(number, step, {"eval/loss": loss})
        if step == LAST:
            course.ends.append((course.spent, loss))
            oracle.tell(number, "complete", [loss])
        elif reason:
            course.pruned += 1
            oracle.tell(number, "pruned", [])
        yield step < LAST and not reason


# -- plain Optuna ----------------------------------------------------------------------------------


class Diverged(Exception):
    """A loss that is no number."""


def optuna_sampler(name: str, seed: int) -> samplers.BaseSampler:
    """Optuna's own, with the arguments that trimtab gives."""
    known = {
        "tpe": lambda: samplers.TPESampler(
            n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True, seed=seed
        ),
        "gp": lambda: samplers.GPSampler(n_startup_trials=STARTUP, seed=seed),
        "cmaes": lambda: samplers.CmaEsSampler(n_startup_trials=STARTUP, seed=seed),
        "nsga2": lambda: samplers.NSGAIISampler(population_size=8, seed=seed),
        "random": lambda: samplers.RandomSampler(seed=seed),
        "qmc": lambda: samplers.QMCSampler(scramble=True, seed=seed),
        "grid": lambda: samplers.GridSampler(COUNTED, seed=seed),
    }
    return known[name]()


def optuna_pruner(name: str) -> pruners.BasePruner:
    """Optuna's own, as trimtab's words describe it."""
    known = {
        "none": lambda: pruners.NopPruner(),
        "median": lambda: pruners.MedianPruner(STARTUP),
        "percentile": lambda: pruners.PercentilePruner(25.0, STARTUP),
        "halving": lambda: pruners.SuccessiveHalvingPruner(min_resource=EVERY, reduction_factor=4),
        "hyperband": lambda: pruners.HyperbandPruner(
            min_resource=EVERY, max_resource=LAST, reduction_factor=3
        ),
        "patient": lambda: pruners.PatientPruner(pruners.MedianPruner(STARTUP), patience=3),
    }
    return known[name]()


def suggested(trial: optuna.Trial, among: dict[str, Any]) -> Point:
    """A point in Optuna's usual words."""
    point: Point = {}
    for name, one in among.items():
        if isinstance(one, list):
            point[name] = trial.suggest_categorical(name, one)
        elif name in WHOLE:
            point[name] = trial.suggest_int(name, one["low"], one["high"], log=True)
        else:
            point[name] = trial.suggest_float(name, one["low"], one["high"], log=True)
    return point


def plain(surface: Surface, sampler: str, pruner: str, seed: int, budget: int) -> Course:
    """The same study as Optuna's documentation would write it, one trial after another."""
    course = Course(budget)

    def objective(trial: optuna.Trial) -> float:
        point = suggested(trial, space(sampler))
        course.asked.append(point)
        for step, loss in zip(CURVE, surface.curve(point), strict=True):
            course.spend()
            if loss != loss:
                raise Diverged
            trial.report(loss, step)
            if trial.should_prune() and step < LAST:
                course.pruned += 1
                raise optuna.TrialPruned
        course.ends.append((course.spent, loss))
        return loss

    study = optuna.create_study(
        study_name="surface", sampler=optuna_sampler(sampler, seed), pruner=optuna_pruner(pruner)
    )
    with suppress(Spent):
        study.optimize(objective, catch=Diverged)
    return course
