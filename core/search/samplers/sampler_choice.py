"""Builds the Optuna sampler that a study names, and explains its proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optuna import samplers
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from core.contract.spec.study_spec import StudySpec
from core.search.optuna_space import make_grid, to_optuna
from core.search.samplers.brute_force_sampler import ExhaustiveSampler
from core.search.samplers.cma_replay_sampler import CmaSampler
from core.search.samplers.gp_sampler import GpSampler
from core.search.samplers.grid_sampler import CellsSampler

# QMC and grid store their position in the storage: another seed would start another sequence.
SEED_FIXED = frozenset({"qmc", "grid"})

SAMPLERS: dict[str, Callable[[StudySpec, int, int], BaseSampler]] = {
    "tpe": lambda spec, seed, startup: samplers.TPESampler(
        n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
    ),
    "gp": lambda spec, seed, startup: GpSampler(
        n_startup_trials=startup, seed=seed, warn_independent_sampling=False
    ),
    "cmaes": lambda spec, seed, startup: CmaSampler(
        n_startup_trials=max(1, startup), seed=seed, warn_independent_sampling=False
    ),
    # Optuna's default of 50 is more than the trials of most studies
    "nsga2": lambda spec, seed, startup: samplers.NSGAIISampler(population_size=max(8, startup), seed=seed),
    "nsga3": lambda spec, seed, startup: samplers.NSGAIIISampler(population_size=max(8, startup), seed=seed),
    "qmc": lambda spec, seed, startup: samplers.QMCSampler(
        scramble=True, seed=seed, warn_independent_sampling=False
    ),
    "random": lambda spec, seed, startup: samplers.RandomSampler(seed=seed),
    "grid": lambda spec, seed, startup: CellsSampler(
        {**make_grid(spec.space), **{name: [value] for name, value in list_fixed_params(spec).items()}},
        seed=seed,
    ),
    "bruteforce": lambda spec, seed, startup: ExhaustiveSampler(spec.space, list_fixed_params(spec), seed),
}


def list_fixed_params(spec: StudySpec) -> dict[str, Any]:
    """Return the knobs in ``study.fixed``, as Optuna stores them."""
    return {name: to_optuna(value) for name, value in spec.study.fixed.items()}


def make_sampler(spec: StudySpec, past_trials: int = 0) -> BaseSampler:
    """Return the sampler that ``spec`` names, seeded from the study's seed.

    A search that resumes after ``past_trials`` must not draw the same random numbers again, so they shift the
    seed.
    """
    name = spec.study.sampler
    seed = spec.study.seed if name in SEED_FIXED else spec.study.seed + past_trials
    inner = SAMPLERS[name](spec, seed % 2**32, spec.study.startup_trials)
    return samplers.PartialFixedSampler(list_fixed_params(spec), inner) if spec.study.fixed else inner


def count_trials_learnt_from(spec: StudySpec, study: Any) -> int:
    """Return the number of trials that the sampler can learn from; for TPE's random start, pruned trials
    count too."""
    pruned = (TrialState.PRUNED,) if spec.study.sampler == "tpe" else ()
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, *pruned)))


def explain_sampler(spec: StudySpec, sampler: BaseSampler, number: int, results: int) -> str:
    """Return the origin of a proposal, in a few words."""
    fixed = ", ".join(f"{name} = {value}" for name, value in spec.study.fixed.items())
    inner = _check_sampler(sampler)
    if isinstance(inner, GpSampler) and inner.known > inner.history:
        origin = f"gp: from {inner.history} of {inner.known} trials, the best and the latest"
    else:
        origin = _explain_origin(spec, number, results)
    return origin + (f"; fixed: {fixed}" if fixed else "")


def _check_sampler(sampler: BaseSampler) -> BaseSampler:
    return sampler._base_sampler if isinstance(sampler, samplers.PartialFixedSampler) else sampler


def _explain_origin(spec: StudySpec, number: int, results: int) -> str:
    name = spec.study.sampler
    startup = spec.study.startup_trials
    if name in ("tpe", "gp", "cmaes") and results < startup:
        return f"{name}: random start, {results} of {startup} trials have results"
    if name in ("tpe", "gp", "cmaes", "nsga2", "nsga3"):
        return f"{name}: from {results} trials"
    return f"{name}: proposal {number + 1}"


def count_remaining(spec: StudySpec, sampler: BaseSampler, study: Any) -> int | None:
    """Return the number of different proposals that are left; None for an unlimited sampler. Grid, brute
    force and an empty space are limited."""
    inner = _check_sampler(sampler)
    if not spec.space:
        return 0 if study.get_trials(deepcopy=False) else 1
    return inner.count_points_left(study) if isinstance(inner, ExhaustiveSampler | CellsSampler) else None
