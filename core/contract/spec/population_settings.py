"""What [study] population asks for, and what must agree with it before a study begins."""

from __future__ import annotations

from core.contract.spec.knob_table import CLONE_KEEPS
from core.contract.spec.study_spec import AUTO, PopulationOptions, StudySpec
from core.errors import Problem

BY = "the population"  # who queues its clones and prunes for them
LEAST = 4
HELD = (*CLONE_KEEPS, "seed")  # a clone has them as its parent: its weights, and the order of its rows
ROWS_A_STEP = ("batch_size", "gradient_accumulation", "sequence_length")  # with epochs they decide the steps


def list_perturbed(whole: StudySpec) -> list[str]:
    """Return the searched knobs that differ between a trial and its clone."""
    return [name for name in whole.space if name not in HELD and name not in whole.study.fixed]


def every_steps(whole: StudySpec, asked: PopulationOptions) -> int:
    """Return the number of steps between two decisions."""
    return whole.evaluate.every * asked.every


def find_faults(whole: StudySpec, place: str) -> list[Problem]:
    """List what makes a population impossible or without effect, located at ``place``."""
    asked = whole.study.population
    if asked is None:
        return []
    return [*_of_search(whole, place), *_of_size(whole, asked, place), *_of_steps(whole, asked, place)]


def _of_search(whole: StudySpec, place: str) -> list[Problem]:
    study, found = whole.study, []
    if len(study.objectives) > 1:
        found.append(Problem("a population needs a single objective", place, "keep one"))
    if study.pruner != "none":
        what = f"pruner = {study.pruner!r} beside a population, which ends trials itself"
        found.append(Problem(what, place, 'set pruner = "none"'))
    if not list_perturbed(whole):
        what = f"no knob of [space] can change in a clone ({', '.join(HELD)} cannot)"
        found.append(Problem(what, place, "search one more, such as learning_rate or weight_decay"))
    return found


def _of_size(whole: StudySpec, asked: PopulationOptions, place: str) -> list[Problem]:
    trials, found = whole.study.trials, []
    wanted = asked.size or trials
    if wanted < LEAST:
        found.append(
            Problem(f"a population of {wanted} trials", place, f"study.trials must be {LEAST} or more")
        )
    if wanted > trials:
        what = f"population.size = {wanted} is more than study.trials = {trials}"
        found.append(Problem(what, place, "trials are those of the first generation; clones come on top"))
    if asked.quantile * wanted < 1:
        what = f"population.quantile = {asked.quantile:g} of {wanted} trials is less than one trial"
        found.append(Problem(what, place, f"take {1 / wanted:.2g} or more"))
    places = _places(whole)
    if places is not None and places < wanted:
        what = f"resources.pack has {places} places for a population of {wanted}: it trains side by side"
        found.append(Problem(what, place, f'set pack = "auto", or population.size = {max(LEAST, places)}'))
    return found


def _places(whole: StudySpec) -> int | None:
    """Return how many trials at once resources.pack has room for; None where that is not known yet."""
    pack, devices = whole.resources.pack, whole.resources.devices
    if pack == AUTO or devices in ("auto", "all"):
        return None
    return int(pack) * (len(devices) if isinstance(devices, list) else 1)


def _of_steps(whole: StudySpec, asked: PopulationOptions, place: str) -> list[Problem]:
    found, steps = [], whole.train.get("steps")
    differing = ["steps", "epochs"] if steps else ["steps", "epochs", *ROWS_A_STEP]
    searched = [name for name in differing if name in whole.space]
    if searched:
        what = f"{', '.join(searched)} in [space]: the trials of a population have the same number of steps"
        found.append(Problem(what, place, "fix the number of steps: write steps = … in [train]"))
    first = every_steps(whole, asked)
    if isinstance(steps, int) and steps <= first:
        what = f"the population first compares at step {first}, and trials end at {steps}"
        found.append(Problem(what, place, "lower population.every or evaluate.every"))
    return found
