"""Checks of [study] population, and the values derived from it."""

from __future__ import annotations

from core.contract.spec.knob_table import CLONE_KEEPS
from core.contract.spec.metric_table import STRENGTH
from core.contract.spec.study_spec import AUTO, PopulationOptions, StudySpec
from core.errors import Problem

BY = "the population"  # the author of its clones and prunes
LEAST = 4
HELD = (*CLONE_KEEPS, "seed")  # a clone inherits them: its weights, and the order of its rows
# with epochs they determine the number of steps
ROWS_A_STEP = ("batch_size", "gradient_accumulation", "sequence_length")


def list_perturbed(spec: StudySpec) -> list[str]:
    """Return the searched knobs that a clone perturbs."""
    return [name for name in spec.space if name not in HELD and name not in spec.study.fixed]


def count_steps_between(spec: StudySpec, population: PopulationOptions) -> int:
    """Return the number of steps between two comparisons."""
    return spec.evaluate.every * population.every


def find_faults(spec: StudySpec, place: str) -> list[Problem]:
    """List the settings that make a population impossible or ineffective, located at ``place``."""
    population = spec.study.population
    if population is None:
        return []
    return [
        *_check_search(spec, place),
        *_check_size(spec, population, place),
        *_check_steps(spec, population, place),
    ]


def _check_search(spec: StudySpec, place: str) -> list[Problem]:
    study, problems = spec.study, []
    if len(study.objectives) > 1:
        problems.append(Problem("a population needs a single objective", place, "keep one"))
    if study.objectives[0].metric == STRENGTH:
        message = f"a population compares trials while they train, which {STRENGTH} cannot do"
        problems.append(Problem(message, place, "take another objective, or leave population out"))
    if study.pruner != "none":
        message = f"pruner = {study.pruner!r} with a population, which ends trials itself"
        problems.append(Problem(message, place, 'set pruner = "none"'))
    if not list_perturbed(spec):
        message = f"no knob of [space] can change in a clone ({', '.join(HELD)} cannot)"
        problems.append(Problem(message, place, "search another knob, such as learning_rate or weight_decay"))
    return problems


def _check_size(spec: StudySpec, population: PopulationOptions, place: str) -> list[Problem]:
    trials, problems = spec.study.trials, []
    size = population.size or trials
    if size < LEAST:
        problems.append(
            Problem(f"a population of {size} trials", place, f"study.trials must be {LEAST} or more")
        )
    if size > trials:
        message = f"population.size = {size} is more than study.trials = {trials}"
        problems.append(
            Problem(message, place, "trials are those of the first generation; clones come on top")
        )
    if population.quantile * size < 1:
        message = f"population.quantile = {population.quantile:g} of {size} trials is less than one trial"
        problems.append(Problem(message, place, f"take {1 / size:.2g} or more"))
    places = _count_places(spec)
    if places is not None and places < size:
        message = f"resources.pack has {places} slots for a population of {size}, which trains at once"
        problems.append(
            Problem(message, place, f'set pack = "auto", or population.size = {max(LEAST, places)}')
        )
    return problems


def _count_places(spec: StudySpec) -> int | None:
    """Return how many trials at once resources.pack has room for; None where that is not known yet."""
    pack, devices = spec.resources.pack, spec.resources.devices
    if pack == AUTO or devices in ("auto", "all"):
        return None
    return int(pack) * (len(devices) if isinstance(devices, list) else 1)


def _check_steps(spec: StudySpec, population: PopulationOptions, place: str) -> list[Problem]:
    problems, steps = [], spec.train.get("steps")
    differing = ["steps", "epochs"] if steps else ["steps", "epochs", *ROWS_A_STEP]
    searched = [name for name in differing if name in spec.space]
    if searched:
        message = (
            f"{', '.join(searched)} in [space]: the trials of a population have the same number of steps"
        )
        problems.append(Problem(message, place, "fix the number of steps: write steps = … in [train]"))
    first = count_steps_between(spec, population)
    if isinstance(steps, int) and steps <= first:
        message = f"the population first compares at step {first}, and trials end at {steps}"
        problems.append(Problem(message, place, "lower population.every or evaluate.every"))
    return problems
