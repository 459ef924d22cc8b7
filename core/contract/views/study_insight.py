"""The results of a study so far, from its state: history, slices, contours, ranks, Pareto front. Pure.

A trial that was stopped early counts with its last value of the objective and is marked so; a running one, or
one that ended without a value, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.views.knob_axes import Axis


@dataclass(frozen=True)
class Point:
    """An ended trial with its value of an objective; ``early``: its last value before it was stopped, not a
    result."""

    trial: int
    value: float
    early: bool


@dataclass(frozen=True)
class Moment:
    """A point of the history; ``best`` is the best result so far, None before there is one."""

    point: Point
    best: float | None


@dataclass(frozen=True)
class Stop:
    """A trial that ended before its last step: the step, its last value, and the reason."""

    trial: int
    state: str
    step: int
    total_steps: int
    value: float | None
    why: str


def list_points(study: s.Study, objective: int = 0) -> list[Point]:
    """Return every ended trial that has a value of the objective, in the order in which they ended."""
    ended = [trial for trial in study.trials.values() if trial.state in (s.COMPLETE, s.PRUNED)]
    ended.sort(key=lambda trial: (trial.ended_at or 0.0, trial.number))
    points_so_far = []
    for trial in ended:
        if trial.pending and not trial.values:
            continue  # its latest value of the objective is not its result
        value = best_and_counts.find_objective_value(study, trial, objective)
        if value is not None and math.isfinite(value):
            points_so_far.append(Point(trial.number, value, trial.state != s.COMPLETE))
    return points_so_far


def list_history(study: s.Study, objective: int = 0) -> list[Moment]:
    """Return the points with the best result so far; the values of trials that were stopped early are not
    results."""
    direction, best, moments = study.objectives[objective][1], None, []
    for point in list_points(study, objective):
        if not point.early and (best is None or best_and_counts.is_better(direction, point.value, best)):
            best = point.value
        moments.append(Moment(point, best))
    return moments


def make_slice(study: s.Study, axis: Axis, objective: int = 0) -> list[tuple[float, Point]]:
    """Return the points by their position on one knob's axis, 0 to 1."""
    placed = [
        (axis.place(study.trials[point.trial].params.get(axis.name)), point)
        for point in list_points(study, objective)
    ]
    return [(place, point) for place, point in placed if place is not None]


def rank_points(trial_points: Sequence[Point], direction: str) -> dict[int, float]:
    """Return for each trial the fraction of the others that are better: 0 is the best, 1 the worst; equals
    share a rank."""
    by_value = sorted(trial_points, key=lambda point: point.value, reverse=direction == "maximize")
    first: dict[float, int] = {}
    for place, point in enumerate(by_value):
        first.setdefault(point.value, place)
    return {point.trial: first[point.value] / max(1, len(by_value) - 1) for point in by_value}


def make_grid(
    study: s.Study, across: Axis, up: Axis, columns: int, rows: int, objective: int = 0
) -> dict[tuple[int, int], float]:
    """Return the mean value of the trials in each cell that has any, by (column, row); row 0 is the
    lowest."""
    values_by_cell: dict[tuple[int, int], list[float]] = {}
    for point in list_points(study, objective):
        params = study.trials[point.trial].params
        x, y = across.place(params.get(across.name)), up.place(params.get(up.name))
        if x is not None and y is not None:
            cell = (min(columns - 1, int(x * columns)), min(rows - 1, int(y * rows)))
            values_by_cell.setdefault(cell, []).append(point.value)
    return {cell: sum(values) / len(values) for cell, values in values_by_cell.items()}


def interpolate(
    means: dict[tuple[int, int], float], columns: int, rows: int, reach: float = 0.3
) -> list[list[float | None]]:
    """Return a value for every cell, row 0 the lowest: the means weighted by 1 / distance² (Shepard 1968).

    None if no cell with a mean is within ``reach`` of the grid's size: a little more than half of the way
    between two of three choices.
    """
    rows_of_values: list[list[float | None]] = []
    for row in range(rows):
        rows_of_values.append(
            [_interpolate_cell(means, column, row, columns, rows, reach) for column in range(columns)]
        )
    return rows_of_values


def _interpolate_cell(
    means: dict[tuple[int, int], float], column: int, row: int, columns: int, rows: int, reach: float
) -> float | None:
    own = means.get((column, row))
    if own is not None:
        return own
    total, weights = 0.0, 0.0
    for (x, y), value in means.items():
        distance = ((x - column) / columns) ** 2 + ((y - row) / rows) ** 2
        if distance <= reach * reach:
            total += value / distance
            weights += 1 / distance
    return total / weights if weights else None


def count_endings(study: s.Study) -> dict[str, int]:
    """Return the number of trials in each state in which a trial can end, including 0."""
    counts = best_and_counts.count_states(study)
    return {state: counts.get(state, 0) for state in (s.COMPLETE, s.PRUNED, s.FAILED, s.INFEASIBLE)}


def list_stops(study: s.Study) -> list[Stop]:
    """Return the trials that were stopped early, failed or were infeasible, the latest first."""
    early = [trial for trial in study.trials.values() if trial.state in s.ENDED and trial.state != s.COMPLETE]
    early.sort(key=lambda trial: (trial.ended_at or 0.0, trial.number), reverse=True)
    return [
        Stop(
            trial.number,
            trial.state,
            trial.step,
            trial.total_steps,
            best_and_counts.find_objective_value(study, trial),
            trial.why,
        )
        for trial in early
    ]


def order_points(study: s.Study, objective: int = 0) -> list[Point]:
    """Return the points, the best first; results come before values of trials that were stopped early."""
    sign = 1.0 if study.objectives[objective][1] == "minimize" else -1.0
    return sorted(
        list_points(study, objective), key=lambda point: (point.early, sign * point.value, point.trial)
    )


def count_saved_steps(study: s.Study) -> tuple[int, int]:
    """Return (steps that pruned trials did not run, all steps of ended trials)."""
    ended = [trial for trial in study.trials.values() if trial.state in s.ENDED and trial.total_steps]
    pruned = [trial for trial in ended if trial.state == s.PRUNED]
    return sum(max(0, trial.total_steps - trial.step) for trial in pruned), sum(
        trial.total_steps for trial in ended
    )
