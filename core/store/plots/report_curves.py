"""Selects the curves of a report: one plot per metric, with a line per trial."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import METRICS, Metric
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.views.metric_verdict import list_limits

NEITHER = ("train/learning_rate", "train/grad_norm")  # metrics without a better direction
MOST_LINES = 200  # per plot: more could not be told apart


@dataclass(frozen=True)
class Curve:
    """One trial's points; ``ahead`` marks the chosen trial of the report."""

    trial: int
    steps: tuple[int, ...]
    values: tuple[float, ...]
    ahead: bool = False


@dataclass(frozen=True)
class Plot:
    """Curves over optimizer steps, the chosen trial last. ``bounds`` are limits, ``base`` the base model's
    score; ``left_out`` counts trials that are not drawn; ``log`` selects a logarithmic value axis."""

    metric: Metric
    curves: tuple[Curve, ...]
    base: float | None = None
    bounds: tuple[float, ...] = ()
    left_out: int = 0
    log: bool = False


def make_plots(study: s.Study, chosen: s.Trial | None) -> list[Plot]:
    """Return the plots of all metrics for which a trial has two points: objectives first, then in the metric
    table's order, with metrics that do not measure quality last."""
    goals = [metric for metric, _ in study.objectives]
    aside = [name for name in METRICS if name in NEITHER or name.startswith("memory/")]
    order = [*goals, *(name for name in METRICS if name not in {*goals, *aside}), *aside]
    names_with_points = {name for trial in study.trials.values() for name in trial.series}
    names = [*(name for name in order if name in names_with_points), *sorted(names_with_points - set(order))]
    limits_by_metric = list_limits(study)
    candidates = [_plot(study, chosen, name, limits_by_metric.get(name, ())) for name in names]
    return [plot for plot in candidates if plot is not None]


def _plot(
    study: s.Study, chosen: s.Trial | None, name: str, limits_of_metric: tuple[Limit, ...]
) -> Plot | None:
    metric = METRICS.get(name) or Metric(name, "minimize", "")
    number = chosen.number if chosen is not None else None
    candidates = [
        curve
        for trial in _rank_trials(study, number)
        if (curve := _make_curve(trial, name, number)) is not None
    ]
    if not any(len(curve.steps) > 1 for curve in candidates):
        return None
    curves = candidates[:MOST_LINES]
    base = study.base_scores.get(name)
    return Plot(
        metric, tuple(reversed(curves)), base.value if base is not None else None,
        tuple(limit.bound for limit in limits_of_metric), len(candidates) - len(curves),
        _is_logarithmic(curves),
    )  # fmt: skip


def _rank_trials(study: s.Study, chosen: int | None) -> list[s.Trial]:
    """Return the trials sorted: the chosen one, then the best, then those without a result."""
    _, direction = study.objectives[0]
    sign = 1 if direction == "minimize" else -1

    def place(trial: s.Trial) -> tuple[bool, float, int]:
        value = best_and_counts.find_objective_value(study, trial)
        is_finite = value is not None and math.isfinite(value)
        return (
            trial.number != chosen,
            sign * value if is_finite and value is not None else math.inf,
            trial.number,
        )

    return sorted(study.trials.values(), key=place)


def _make_curve(trial: s.Trial, name: str, chosen: int | None) -> Curve | None:
    series = trial.series.get(name)
    points = [
        (step, value)
        for step, value in zip(series.steps if series else (), series.values if series else (), strict=True)
        if math.isfinite(value)
    ]
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    return Curve(trial.number, steps, values, trial.number == chosen)


def _is_logarithmic(curves: list[Curve]) -> bool:
    """Tell whether the axis should be logarithmic: all values are positive and span more than two decades."""
    values = [value for curve in curves for value in curve.values]
    return min(values) > 0 and max(values) / min(values) > 100
