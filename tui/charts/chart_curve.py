"""What a chart is drawn from: curves with their measured values, and what happened on the way."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from core.contract.views.axis_scale import AxisScale
from core.contract.views.charts.chart_window import round_end
from core.contract.views.metric_format import HUNDREDTHS, format_figure
from tui.charts.chart_view import ChartView
from tui.number_text import (
    format_duration,
    format_loss,
    format_number,
    format_short,
    format_size,
    smooth_values,
)

RATE = "train/learning_rate"
WHOLE = ("%", "W", "°C", "kB/s")  # units of figures without digits after the point
HUGE = 1e100  # beyond it, and nearer to 0 than its inverse on a logarithmic axis, a value has no place


@dataclass(frozen=True)
class Curve:
    """One curve; ``meaning`` names its colour. ``steps`` are in the units of the x axis. With a ``sign`` the
    curve carries it now and then; only a ``noisy`` one is ever smoothed. ``lows`` and ``highs`` are the
    extremes from each point up to the next where points were left out."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    meaning: str
    sign: str = ""
    noisy: bool = False
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()

    def find_value(self, at: float | None = None) -> float | None:
        """Return the newest measured value, or the one nearest to ``at``."""
        if not self.values:
            return None
        return self.values[-1 if at is None else self.find_nearest(at)]

    def find_nearest(self, at: float) -> int:
        """Return the place of the point nearest to ``at``."""
        place = bisect_left(self.steps, at)
        neighbours = [index for index in (place - 1, place) if 0 <= index < len(self.steps)]
        return min(neighbours, key=lambda index: abs(self.steps[index] - at))

    def list_drawn_points(self, view: ChartView) -> list[tuple[float, float]]:
        """Return the points that can be drawn, smoothed as the view says."""
        if self.noisy and view.smoothing > 0:
            points = list(zip(self.steps, smooth_values(self.values, view.smoothing), strict=True))
        else:
            points = self._list_measured()
        return [
            (step, value)
            for step, value in points
            if abs(value) < HUGE and (value * HUGE > 1 or not view.log_y) and (step > 0 or not view.log_x)
        ]

    def _list_measured(self) -> list[tuple[float, float]]:
        """The points, each followed by the extremes of those that were left out after it."""
        points = []
        for place, (step, value) in enumerate(zip(self.steps, self.values, strict=True)):
            points.append((step, value))
            if place < len(self.lows):
                points += [(step, end) for end in (self.lows[place], self.highs[place]) if end != value]
        return points


@dataclass(frozen=True)
class Sign:
    """What happened at a place of the x axis; ``kind`` as in ``available_charts.Happening``."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True)
class ChartData:
    """One chart. ``planned``: how far the x axis goes at most; ``unit`` of the values. ``span`` and ``range``
    are the ends of the two axes where they do not follow the curves."""

    title: str
    curves: tuple[Curve, ...]
    signs: tuple[Sign, ...] = ()
    unit: str = ""
    planned: float = 0.0
    empty: str = "no value yet"
    span: tuple[float, float] | None = None
    range: tuple[float, float] | None = None

    def make_whole_axis(self, view: ChartView) -> AxisScale:
        """Return the whole x axis."""
        if self.span is not None:
            return AxisScale(*self.span)
        ends = [curve.steps[-1] for curve in self.curves if curve.steps]
        firsts = [step for curve in self.curves for step in curve.steps[:2] if step > 0]
        first = min(firsts, default=1.0) if view.log_x else min(0.0, min(firsts, default=0.0))
        end = round_end(max(ends, default=0.0), self.planned)
        return AxisScale(first, end if end > first else first + 1, view.log_x)

    def list_ticks(self, across: AxisScale, most: int) -> list[float]:
        """Return where the x axis in sight has a label: round places, and even parts of a fixed span."""
        if self.span is None or across.high - across.low < self.span[1] - self.span[0]:
            return across.list_ticks(most)
        parts = 4 if most >= 5 else 2
        return [across.find_value(part / parts) for part in range(parts + 1)]

    def make_visible_axis(self, view: ChartView) -> AxisScale:
        """Return the x axis in sight."""
        whole = self.make_whole_axis(view)
        if view.window is None:
            return whole
        low, high = view.window
        return AxisScale(low, high, view.log_x) if high > low else whole


def write_figure(value: float | None, unit: str) -> str:
    """A value of a chart's title, in a width that hardly changes."""
    if unit == "bytes":
        return format_size(value)
    if unit in HUNDREDTHS:
        return format_figure(value, unit)
    if unit in WHOLE:
        return "–" if value is None else f"{value:.0f}{unit}"
    if value is not None and (unit == RATE or 0 < abs(value) < 1e-3):
        return _format_power(value, 2)
    if value is not None and math.isfinite(value) and abs(value) >= 1e4:
        return format_short(value)
    return format_loss(value)


def format_tick(value: float, unit: str) -> str:
    """A value next to the axis, at most six characters."""
    if unit == "bytes":
        text = format_size(value)
    elif unit in HUNDREDTHS:
        text = f"{100 * value:.3g}%"
    elif unit == RATE and value:
        text = _format_power(value, 1)
    else:
        text = format_short(value) if abs(value) >= 1e4 else format_number(float(f"{value:.4g}"))
    text = text if len(text) <= 6 else _format_power(value, 0)
    return text if len(text) <= 6 else "0"  # nearer to 0 than any value of a metric


def _format_power(value: float, digits: int) -> str:
    return f"{value:.{digits}e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def format_place(value: float, along: str) -> str:
    """A place of the x axis; one below 0 is so many seconds ago."""
    if value < 0:
        return format_ago(-value)
    return (
        format_duration(value) if along == "time" else format_short(value) if value >= 1e4 else f"{value:.0f}"
    )


def format_ago(seconds: float) -> str:
    """Such as -45s, -15m or -6h."""
    unit, length = next((pair for pair in (("h", 3600), ("m", 60)) if seconds >= pair[1]), ("s", 1))
    return f"-{seconds / length:.3g}{unit}"
