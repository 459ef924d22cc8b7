"""How a sampler stands, in a few lines: what it learns from, is it still at random, how far is it."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from core.contract.spec.study_spec import COUNTED, Spec
from core.search.optuna_space import distributions
from core.search.samplers.gp_sampler import HISTORY
from core.search.samplers.sampler_choice import remaining, sampler

Lines = list[tuple[str, str]]
NAMES = {
    "tpe": "Tree-structured Parzen Estimator, all knobs together",
    "gp": "Gaussian process",
    "cmaes": "CMA-ES",
    "nsga2": "NSGA-II, a genetic search",
    "nsga3": "NSGA-III, a genetic search",
    "qmc": "quasi-Monte Carlo, a scrambled Sobol sequence",
    "random": "random, which learns nothing",
    "grid": "every cell of a grid once",
    "bruteforce": "every point once, in random order",
}
GENERATION = {
    "cmaes": "cma:generation",
    "nsga2": "NSGAIISampler:generation",
    "nsga3": "NSGAIIISampler:generation",
}
LEARNS_FROM = {  # states; TPE and GP take a trial that was stopped early with its last reading
    "tpe": (TrialState.COMPLETE, TrialState.PRUNED),
    "gp": (TrialState.COMPLETE, TrialState.PRUNED),
    "cmaes": (TrialState.COMPLETE,),
    "nsga2": (TrialState.COMPLETE,),
    "nsga3": (TrialState.COMPLETE,),
}
BEGINS_AFTER = {"tpe": LEARNS_FROM["tpe"], "gp": (TrialState.COMPLETE,), "cmaes": (TrialState.COMPLETE,)}


def lines(spec: Spec, study: Any, trials: list[FrozenTrial]) -> Lines:
    """What there is to say of the sampler, as (what, how it is)."""
    name = spec.study.sampler
    told = [("sampler", f"{name}: {NAMES[name]}"), *_learnt(name, trials), *_start(spec, trials)]
    told += [*_generation(spec, trials), *_left(spec, study)]
    if spec.study.fixed:
        told.append(("held still", ", ".join(f"{key} = {value}" for key, value in spec.study.fixed.items())))
    if spec.study.constraints:
        told.append(("constraints", "; ".join(spec.study.constraints)))
    told.append(("seed", str(spec.study.seed)))
    return told


def _count(trials: list[FrozenTrial], states: tuple[TrialState, ...]) -> int:
    return sum(trial.state in states for trial in trials)


def _learnt(name: str, trials: list[FrozenTrial]) -> Lines:
    """From how many trials the next proposal would be made."""
    states = LEARNS_FROM.get(name)
    if states is None:
        return []
    complete, pruned = _count(trials, states[:1]), _count(trials, states[1:])
    told = f"{complete + pruned} trials"
    told += f": {complete} complete, {pruned} stopped early" if pruned else ""
    if name == "gp" and complete + pruned > HISTORY:
        told += f"; the fit is given {HISTORY} of them, the best and the latest"
    running = _count(trials, (TrialState.RUNNING,))
    if name == "tpe" and running:
        told += f", and {running} that run, taken for bad ones so that it tries elsewhere"
    return [("learns from", told)]


def _start(spec: Spec, trials: list[FrozenTrial]) -> Lines:
    """Is it still the random start?"""
    name = spec.study.sampler
    states = BEGINS_AFTER.get(name)
    if states is None:
        return []
    wanted = max(1, spec.study.startup_trials) if name == "cmaes" else spec.study.startup_trials
    known = _count(trials, states)
    if known < wanted:
        return [("random start", f"yes: {known} of {wanted} trials known")]
    return [("random start", f"over: {wanted} trials were enough")]


def _generation(spec: Spec, trials: list[FrozenTrial]) -> Lines:
    """The newest generation, and how much of its population is known."""
    name = spec.study.sampler
    key = GENERATION.get(name)
    if key is None:
        return []
    told = [(trial.system_attrs[key], trial.state) for trial in trials if key in trial.system_attrs]
    population = _population(spec)
    if not told:
        return [("generation", f"none yet; a population is {population} trials")]
    newest = max(generation for generation, _ in told)
    known = sum(generation == newest and state == TrialState.COMPLETE for generation, state in told)
    return [("generation", f"{newest}: {known} of {population} trials known")]


def _population(spec: Spec) -> int:
    """Trials of a generation; CMA-ES moves the knobs that are numbers (Hansen, arXiv:1604.00772)."""
    if spec.study.sampler != "cmaes":
        return max(8, spec.study.startup_trials)
    space = distributions(spec.space).values()
    moved = [
        distribution
        for distribution in space
        if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
    ]
    return 4 + math.floor(3 * math.log(max(1, len(moved))))


def _left(spec: Spec, study: Any) -> Lines:
    """What grid and brute force still have."""
    if spec.study.sampler not in COUNTED:
        return []
    left = remaining(spec, sampler(spec), study)
    return [("left", f"{left} points that nobody has tried")] if left is not None else []
