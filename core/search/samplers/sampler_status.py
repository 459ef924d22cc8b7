"""Describes the state of a sampler in a few lines: what it learns from, random start, progress."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from core.contract.spec.study_spec import COUNTED, StudySpec
from core.search.optuna_space import make_distributions
from core.search.samplers.gp_sampler import HISTORY
from core.search.samplers.sampler_choice import count_remaining, make_sampler

Lines = list[tuple[str, str]]
NAMES = {
    "tpe": "Tree-structured Parzen Estimator, all knobs together",
    "gp": "Gaussian process",
    "cmaes": "CMA-ES",
    "nsga2": "NSGA-II, a genetic search",
    "nsga3": "NSGA-III, a genetic search",
    "qmc": "quasi-Monte Carlo, a scrambled Sobol sequence",
    "random": "random, does not learn",
    "grid": "every cell of a grid once",
    "bruteforce": "every point once, in random order",
}
GENERATION = {
    "cmaes": "cma:generation",
    "nsga2": "NSGAIISampler:generation",
    "nsga3": "NSGAIIISampler:generation",
}
LEARNS_FROM = {  # states; TPE and GP use the last value of a pruned trial
    "tpe": (TrialState.COMPLETE, TrialState.PRUNED),
    "gp": (TrialState.COMPLETE, TrialState.PRUNED),
    "cmaes": (TrialState.COMPLETE,),
    "nsga2": (TrialState.COMPLETE,),
    "nsga3": (TrialState.COMPLETE,),
}
BEGINS_AFTER = {"tpe": LEARNS_FROM["tpe"], "gp": (TrialState.COMPLETE,), "cmaes": (TrialState.COMPLETE,)}


def list_lines(spec: StudySpec, study: Any, trials: list[FrozenTrial]) -> Lines:
    """Return the state of the sampler, as (label, text)."""
    name = spec.study.sampler
    label_texts = [
        ("sampler", f"{name}: {NAMES[name]}"),
        *_describe_history(name, trials),
        *_describe_start(spec, trials),
    ]
    label_texts += [*_describe_generation(spec, trials), *_describe_rest(spec, study)]
    if spec.study.fixed:
        label_texts.append(
            ("fixed", ", ".join(f"{key} = {value}" for key, value in spec.study.fixed.items()))
        )
    if spec.study.constraints:
        label_texts.append(("constraints", "; ".join(spec.study.constraints)))
    label_texts.append(("seed", str(spec.study.seed)))
    return label_texts


def _count(trials: list[FrozenTrial], states: tuple[TrialState, ...]) -> int:
    return sum(trial.state in states for trial in trials)


def _describe_history(name: str, trials: list[FrozenTrial]) -> Lines:
    """Return the trials that the next proposal is based on."""
    states = LEARNS_FROM.get(name)
    if states is None:
        return []
    complete, pruned = _count(trials, states[:1]), _count(trials, states[1:])
    text = f"{complete + pruned} trials"
    text += f": {complete} complete, {pruned} pruned" if pruned else ""
    if name == "gp" and complete + pruned > HISTORY:
        text += f"; the fit uses {HISTORY} of them, the best and the latest"
    running = _count(trials, (TrialState.RUNNING,))
    if name == "tpe" and running:
        text += f", and {running} running, treated as poor so that it looks elsewhere (constant liar)"
    return [("learns from", text)]


def _describe_start(spec: StudySpec, trials: list[FrozenTrial]) -> Lines:
    """Return the progress of the random start."""
    name = spec.study.sampler
    states = BEGINS_AFTER.get(name)
    if states is None:
        return []
    trials_needed = max(1, spec.study.startup_trials) if name == "cmaes" else spec.study.startup_trials
    results = _count(trials, states)
    if results < trials_needed:
        return [("random start", f"{results} of {trials_needed} trials have results")]
    return [("random start", f"finished after {trials_needed} trials")]


def _describe_generation(spec: StudySpec, trials: list[FrozenTrial]) -> Lines:
    """Return the newest generation, and how many of its trials have results."""
    name = spec.study.sampler
    key = GENERATION.get(name)
    if key is None:
        return []
    generations = [(trial.system_attrs[key], trial.state) for trial in trials if key in trial.system_attrs]
    population = _count_population(spec)
    if not generations:
        return [("generation", f"none yet; a population has {population} trials")]
    newest = max(generation for generation, _ in generations)
    results = sum(generation == newest and state == TrialState.COMPLETE for generation, state in generations)
    return [("generation", f"{newest}: {results} of {population} trials have results")]


def _count_population(spec: StudySpec) -> int:
    """Return trials per generation; CMA-ES varies only numeric knobs (Hansen, arXiv:1604.00772)."""
    if spec.study.sampler != "cmaes":
        return max(8, spec.study.startup_trials)
    space = make_distributions(spec.space).values()
    varied = [
        distribution
        for distribution in space
        if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
    ]
    return 4 + math.floor(3 * math.log(max(1, len(varied))))


def _describe_rest(spec: StudySpec, study: Any) -> Lines:
    """Return the remaining points of grid and brute force."""
    if spec.study.sampler not in COUNTED:
        return []
    points = count_remaining(spec, make_sampler(spec), study)
    return [("left", f"{points} untried points")] if points is not None else []
