"""The charts of a trial, one for each metric that it reports; both losses share one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import trial_comparison as c
from core.contract.views.charts import available_charts as t
from core.contract.views.metric_verdict import describe_metric
from tui.charts.chart_curve import RATE, ChartData, Curve, Sign

MEANINGS = {"train": "train", "eval": "eval"}  # colour by the family of a metric
NOISY = frozenset({"train/loss", "train/grad_norm", "train/tokens_per_s"})  # what smoothing is for


def make_metric_charts(study: s.Study, trial: s.Trial, along: c.Along) -> list[ChartData]:
    """The charts in the order in which they are shown."""
    scale = c.make_scale(trial, along)
    happened = t.list_happenings(study, trial) if scale is not None else []
    signs = (
        tuple(Sign(scale(happening.step), happening.kind, happening.text) for happening in happened)
        if scale
        else ()
    )
    planned = scale(trial.total_steps) if scale is not None and trial.total_steps else 0.0
    empty = (
        "no value yet"
        if scale is not None or not trial.series
        else f"not known over {along}: t changes the axis"
    )
    return [
        ChartData(
            sanitize(plan.title, 30),
            tuple(_make_curves(trial, plan, scale)),
            signs,
            find_unit(plan.metrics[0]),
            planned,
            empty,
        )
        for plan in t.plan_charts([trial])
    ]


def find_unit(metric: str) -> str:
    """How the values of a metric are written."""
    return RATE if metric == RATE else describe_metric(metric).unit


def _make_curves(trial: s.Trial, plan: t.ChartPlan, scale: c.Scale | None) -> list[Curve]:
    curves = []
    for metric in plan.metrics:
        series = trial.series.get(metric)
        if series is None or scale is None or not series.values:
            continue
        family = metric.partition("/")[0]
        steps: Sequence[float] = [scale(step) for step in series.steps]
        sign = "•" if family == "eval" and len(plan.metrics) > 1 else ""
        colour, noisy = MEANINGS.get(family, "primary"), metric in NOISY
        curves.append(Curve(family, steps, series.values, colour, sign, noisy, series.lows, series.highs))
    return curves
