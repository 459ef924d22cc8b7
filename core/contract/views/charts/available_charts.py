"""Which charts a trial has, and what happened to it at which step. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from core.contract.spec.metric_table import SHARES
from core.contract.state import engine_state as s
from core.contract.views.metric_verdict import describe_metric

LOSSES = ("train/loss", "eval/loss")
FIRST = (
    ("loss", LOSSES),
    ("gradient norm", ("train/grad_norm",)),
    ("learning rate", ("train/learning_rate",)),
    ("accuracy", ("eval/accuracy",)),
    ("tokens/s", ("train/tokens_per_s",)),
    ("memory", ("memory/used_bytes",)),
    ("perplexity", ("eval/perplexity",)),
)
AROUND = 15  # readings before one that tell whether it is a spike
FAR = 8.0  # median deviations above their median from which it is one


@dataclass(frozen=True)
class ChartPlan:
    """One chart: its title, and the metrics that are drawn in it."""

    title: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Happening:
    """What happened at a step: an ``edit``, a ``resume``, a ``checkpoint``, a ``spike``, or the ``best``."""

    step: int
    kind: str
    text: str


def plan_charts(trials: Sequence[s.Trial]) -> list[ChartPlan]:
    """Return the charts of the metrics that any of the trials has a curve of; the losses are always there."""
    names = {name for trial in trials for name, series in trial.series.items() if series.values}
    names = {name for name in names if not name.startswith(SHARES)}  # flat: they are told as a line
    plans = []
    for title, metrics in FIRST:
        shown_metrics = tuple(name for name in metrics if name in names)
        if shown_metrics or metrics == LOSSES:
            plans.append(ChartPlan(title, shown_metrics or metrics))
            names -= set(shown_metrics)
    return [*plans, *(ChartPlan(name, (name,)) for name in sorted(names))]


def list_happenings(study: s.Study, trial: s.Trial) -> list[Happening]:
    """Return the edits, resumes, checkpoints, spikes of the training loss, and the best value, by step."""
    happenings = [Happening(mark.step, "edit", mark.text) for mark in trial.marks]
    happenings += [
        Happening(stop.step, "checkpoint" if stop.text == "checkpoint" else "resume", stop.text)
        for stop in trial.stops
    ]
    losses = trial.series.get("train/loss")
    if losses is not None:
        happenings += [
            Happening(losses.steps[place], "spike", f"spike {losses.values[place]:.4g}")
            for place in find_spikes(losses.values)
        ]
    best = _find_best_step(study, trial)
    if best is not None:
        happenings.append(Happening(best, "best", "best"))
    return sorted(happenings, key=lambda happening: happening.step)


def _find_best_step(study: s.Study, trial: s.Trial) -> int | None:
    metric, direction = study.objectives[0]
    series = trial.series.get(metric)
    if series is None:
        return None
    sign = -1.0 if (direction or describe_metric(metric).direction) == "maximize" else 1.0
    finite_points = [
        (sign * value, step)
        for step, value in zip(series.steps, series.values, strict=True)
        if math.isfinite(value)
    ]
    return min(finite_points)[1] if len(finite_points) > 1 else None


def find_spikes(values: Sequence[float]) -> list[int]:
    """Return the places of values far above those before them. A rise that stays is one, at its start."""
    spikes: list[int] = []
    for place in range(AROUND, len(values)):
        before = [value for value in values[place - AROUND : place] if math.isfinite(value)]
        if len(before) < AROUND // 2 or not math.isfinite(values[place]):
            continue
        middle = median(before)
        spread = median(abs(value - middle) for value in before)
        is_far = values[place] - middle > FAR * max(spread, 1e-3 * abs(middle))
        if is_far and not (spikes and place - spikes[-1] < AROUND):
            spikes.append(place)
    return spikes
