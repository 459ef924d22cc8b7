"""The charts of compared trials: one for each metric, each trial with a colour and a sign. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import trial_comparison as c
from core.contract.views.metric_verdict import describe_metric
from tui.charts.chart_curve import RATE, ChartData, Curve

# A colour and a sign each: the sign tells them apart where colours do not.
SIGNS = "●▲■◆○△□◇"
COLOURS = ("primary", "warning", "good", "failed", "accent", "info", "base", "muted")


def compare_charts(trials: Sequence[s.Trial], names: Sequence[str], along: c.Along) -> list[ChartData]:
    """The metrics of ``names``, in their order."""
    scales = [c.make_scale(trial, along) for trial in trials]
    if any(scales):
        empty = "none of them reports enough"
    else:
        empty = f"none of them reports {'its speed' if along == 'tokens' else 'enough'}: t changes the axis"
    return [
        ChartData(
            sanitize(name, 40), tuple(_make_curves(trials, scales, name)),
            unit=RATE if name == RATE else describe_metric(name).unit, empty=empty,
        )
        for name in names
    ]  # fmt: skip


def _make_curves(trials: Sequence[s.Trial], scales: Sequence[c.Scale | None], name: str) -> list[Curve]:
    """One for each trial, so that each keeps its colour; without points where it has no such axis."""
    curves = []
    for place, (trial, scale) in enumerate(zip(trials, scales, strict=True)):
        series = trial.series.get(name)
        colour, sign = COLOURS[place % len(COLOURS)], SIGNS[place % len(SIGNS)]
        if series is None or scale is None:
            curves.append(Curve(f"#{trial.number}", (), (), colour, sign))
            continue
        steps = [scale(step) for step in series.steps]
        curves.append(
            Curve(f"#{trial.number}", steps, series.values, colour, sign, True, series.lows, series.highs)
        )
    return curves
