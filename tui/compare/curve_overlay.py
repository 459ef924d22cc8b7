"""Draws the curves of several trials on one plot, each with a colour and a sign. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from core.contract.views import trial_comparison as c
from core.contract.views.axis_scale import AxisScale
from tui.number_text import duration, loss, smooth_values
from tui.theme_colors import Palette
from tui.widgets.xy_plot import AXIS, Plane, add_axes, axis_labels, row_labels, short_number

# A colour and a sign each: the sign tells them apart where colours do not.
SIGNS = "●▲■◆○△□◇"
COLOURS = ("primary", "warning", "good", "failed", "accent", "info", "base", "muted")
APART = 14  # cells between the signs of a curve
Places = list[tuple[float, float]]


def overlay(
    trials: Sequence[s.Trial],
    metric: str,
    along: c.Along,
    how: tuple[bool, bool],
    room: tuple[int, int],
    look: Palette,
) -> list[Text]:
    """Legend, plot, axes in ``room`` cells and lines; ``how``: logarithmic values? smoothed?"""
    curves = [_curve(trial, metric, along, *how) for trial in trials]
    head = _legend(trials, metric, curves, look)
    if head.cell_len > room[0]:
        head = _legend(trials, "", curves, look)
    if how[0]:
        head.append("log scale", style=look["muted"])
    values = [y for curve in curves for _, y in curve or ()]
    if not values:
        words = f"none of them reports {'its speed' if along == 'tokens' else 'enough'}: `a` changes the axis"
        measured = any(trial.series.get(metric) for trial in trials) and along != "steps"
        return [
            head,
            Text(words if measured else f"no value of {plain(metric, 40)} yet", style=look["muted"]),
        ]
    plane = Plane(room[0] - AXIS - 1, room[1] - 4)
    scale = AxisScale.over(values, how[0])
    last = max(curve[-1][0] for curve in curves if curve) or 1.0
    for place, curve in enumerate(curves):
        ups = scale.positions(y for _, y in curve or ())
        _draw(plane, [(x / last, up) for (x, _), up in zip(curve or (), ups, strict=True)], place)
    labels = row_labels(scale, plane.height)
    return [head, *add_axes(plane, labels, _axis(along, last, plane.width), c.describe_axis(along), look)]


def _axis(along: c.Along, last: float, width: int) -> list[tuple[float, str]]:
    if along != "time":
        return axis_labels(0, last, width) if last >= 1 else [(0.0, "0"), (1.0, short_number(last))]
    return [(part / 4, duration(last * part / 4)) for part in range(5)]


def _curve(trial: s.Trial, metric: str, along: c.Along, log: bool, smooth: bool) -> Places | None:
    """Places along the axis and values; None where the trial has no such axis."""
    series, scale = trial.series.get(metric), c.scale(trial, along)
    if series is None or scale is None:
        return None
    values = smooth_values(series.values) if smooth else series.values
    return [
        (scale(step), value)
        for step, value in zip(series.steps, values, strict=True)
        if math.isfinite(value) and (value > 0 or not log)
    ]


def _draw(plane: Plane, curve: Places, place: int) -> None:
    """The line, its sign now and then and at its end. Signs of several curves stand apart."""
    if not curve:
        return
    meaning, sign = COLOURS[place % len(COLOURS)], SIGNS[place % len(SIGNS)]
    plane.line(curve, meaning)
    wanted = APART * place / len(SIGNS) / plane.width
    for (x0, y0), (x1, y1) in pairwise(curve):
        while x0 <= wanted < x1:
            share = (wanted - x0) / (x1 - x0)
            plane.mark(wanted, y0 + share * (y1 - y0), sign, meaning)
            wanted += APART / plane.width
        while wanted < x0:
            wanted += APART / plane.width
    plane.mark(*curve[-1], sign, meaning)


def _legend(trials: Sequence[s.Trial], metric: str, curves: Sequence[Places | None], look: Palette) -> Text:
    """Sign, number and newest value of each; without a metric no values, which takes less room."""
    line = Text(" " * (AXIS + 1) if metric else "", no_wrap=True, overflow="ellipsis")
    for place, (trial, curve) in enumerate(zip(trials, curves, strict=True)):
        series = trial.series.get(metric)
        last = loss(series.last) if series is not None and curve is not None else "–"
        line.append(f"━{SIGNS[place % len(SIGNS)]}━ ", style=look[COLOURS[place % len(COLOURS)]])
        line.append(f"#{trial.number} {last}   " if metric else f"#{trial.number} ")
    return line
