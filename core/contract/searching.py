"""What must agree between the keys of [study] that say how to search, and with the space."""

from __future__ import annotations

from core.contract.plain import plain
from core.contract.space import outside
from core.contract.spec import Spec, StudySection
from core.errors import Problem


def faults(whole: Spec, place: str) -> list[Problem]:
    """Every fault of ``study.fixed`` and ``study.threshold``, said to be at ``place``."""
    return [*_held_still(whole, place), *_bounds(whole.study, place)]


def _held_still(whole: Spec, place: str) -> list[Problem]:
    problems = []
    for name, value in whole.study.fixed.items():
        label = plain(f"fixed.{name} = {value!r}", 120)
        if name not in whole.space:
            fix = f"write {name} = … in [train], which fixes a knob that is not searched"
            problems.append(Problem(f"{label}: it is not in [space]", place, fix))
        elif wrong := outside(whole.space[name], value):
            problems.append(Problem(f"{label}: {wrong}", place, "take a value that [space] allows"))
    return problems


def _bounds(study: StudySection, place: str) -> list[Problem]:
    lower, upper = study.threshold.lower, study.threshold.upper
    bounded = lower is not None or upper is not None
    if study.pruner == "threshold" and not bounded:
        fix = "write threshold = { upper = … } for an objective to minimise, lower for one to maximise"
        return [Problem("pruner = 'threshold' has no bound", place, fix)]
    if bounded and study.pruner != "threshold":
        fix = 'set pruner = "threshold", or leave threshold out'
        return [Problem(f"pruner = {study.pruner!r} takes no threshold", place, fix)]
    if lower is not None and upper is not None and lower >= upper:
        return [Problem(f"threshold.lower = {lower:g} is not below upper = {upper:g}", place, "swap them")]
    return []
