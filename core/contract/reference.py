"""What objectives have to beat: a reference value of each, such as an earlier model's."""

from __future__ import annotations

from core.contract import state as s
from core.contract.ranking import better, front


def references(study: s.Study) -> list[float | None]:
    """The reference of each objective, None where the file has none."""
    return [one.get("reference") for one in study.spec["study"]["objectives"]]


def told(study: s.Study, trial: s.Trial) -> list[str]:
    """How a trial's results stand to the references, such as "eval/loss 1.93 beats 2.1 by 8.1 %"."""
    found = []
    for (metric, way), value, bound in zip(study.objectives, trial.values, references(study), strict=False):
        if bound is None:
            continue
        apart = f" by {abs(value - bound) / abs(bound):.1%}" if bound else f" by {abs(value - bound):.4g}"
        verb = "beats" if better(way, value, bound) else "only equals" if value == bound else "falls short of"
        found.append(f"{metric} {value:.4g} {verb} {bound:.4g}{apart if value != bound else ''}")
    return found


def hypervolume(study: s.Study) -> float | None:
    """The area that the front of two objectives dominates within their references, in the product of their
    units (Zitzler & Thiele 1998); None without two references."""
    bounds = references(study)
    if len(bounds) != 2 or None in bounds:
        return None
    signs = [1.0 if way == "minimize" else -1.0 for _, way in study.objectives]
    right, top = (sign * bound for sign, bound in zip(signs, bounds, strict=True) if bound is not None)
    points = sorted((signs[0] * one.values[0], signs[1] * one.values[1]) for one in front(study))
    area = 0.0
    for across, up in points:
        if across < right and up < top:
            area += (right - across) * (top - up)
            top = up
    return area
