"""Formats a board cell: mark, value, change from the base, interval; and the history line. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import set_cell_size

from core.contract.metric_score import Score
from core.contract.spec.metric_table import SLICE
from core.contract.text.sanitize import sanitize
from core.contract.views.metric_format import (
    POINTS,
    format_bound,
    format_change,
    format_figure,
    format_interval,
)
from core.contract.views.metric_verdict import Reading
from tui.charts.braille_canvas import Canvas
from tui.widgets.steering_row_signs import Piece

NARROW, INTERVAL = 16, 12  # cells of a column, and what the interval adds
HEAD = 14  # of them for its name
MARKS: dict[str | None, tuple[str, str]] = {
    "ok": ("✓", "good"),
    "breached": ("✗", "error"),
    "unsure": ("?", "warning"),
    None: (" ", ""),
}
# (better, clear): a hollow arrow is a change that the intervals explain
ARROWS = {
    (True, True): ("▲", "good"),
    (True, False): ("△", "muted"),
    (False, True): ("▼", "error"),
    (False, False): ("▽", "muted"),
}


def make_cell(reading: Reading, intervals: bool) -> list[Piece]:
    """Format ``✗  12.5% ▼ +10.5  7.1–20.2%`` in NARROW cells, plus INTERVAL with the interval."""
    unit, score = reading.metric.unit, reading.score
    if score is None:
        return [("    –".ljust(NARROW), "muted")]
    mark, meaning = MARKS[reading.verdict]
    value = (
        meaning if reading.verdict and score.value is not None else "" if score.value is not None else "muted"
    )
    pieces = [(mark, meaning), (format_figure(score.value, unit).rjust(7), value), *_format_change(reading)]
    return [*pieces, (_format_interval(score, unit).rjust(INTERVAL), "muted")] if intervals else pieces


def _format_change(reading: Reading) -> list[Piece]:
    if reading.change is None:
        return [(" " * 8, "")]
    arrow, meaning = make_arrow(reading)
    return [
        (f" {arrow}", meaning),
        (format_change(reading.change, reading.metric.unit).rjust(6)[:6], meaning),
    ]


def make_arrow(reading: Reading) -> Piece:
    """Return ▲ for better than the base, ▼ for worse, hollow within the error bars, = for no change."""
    return ("=", "muted") if reading.better is None else ARROWS[reading.better, reading.clear]


def _format_interval(score: Score, unit: str) -> str:
    interval_text = format_interval(score, unit)
    return (
        interval_text
        if len(interval_text) <= INTERVAL - 1
        else interval_text.replace("%", "")[: INTERVAL - 1]
    )


def make_heads(reading: Reading) -> tuple[str, str]:
    """Return the column's name, and its better direction with the limits."""
    name = _shorten_name(reading.metric.name)
    bounds = " ".join(
        format_bound(limit, reading.metric.unit).removesuffix(f" {POINTS}") for limit in reading.limits
    )
    edge = "low" if reading.metric.direction == "minimize" else "high"
    return name, f"{edge} is good" if not bounds else f"{edge}, {bounds}"


def _shorten_name(name: str) -> str:
    """Slices differ at their end: that is what is shown of one, as much as fits."""
    if not name.startswith(SLICE):
        return sanitize(name.split("/", 1)[-1], NARROW)
    name_shown = sanitize(name.removeprefix(SLICE))
    return name_shown if len(name_shown) <= HEAD else f"…{name_shown[1 - HEAD :]}"


def draw_spark(values: Sequence[float], width: int) -> str:
    """Draw the newest ``values`` as a braille curve in ``width`` cells, scaled to its own range."""
    canvas = Canvas(width, 1)
    finite_values = [value for value in values if math.isfinite(value)][-2 * width :]
    if not finite_values:
        return " " * width
    low, high = min(finite_values), max(finite_values)
    wide = (
        min(2 * width, 6 * len(finite_values)) - 1
    )  # a few scores do not fill the width; the curve grows with them
    points = [
        (
            round(place * wide / max(1, len(finite_values) - 1)),
            round(3 * (high - value) / (high - low)) if high > low else 2,
        )
        for place, value in enumerate(finite_values)
    ]
    for point, next_point in zip(points, points[1:] or points, strict=False):
        canvas.draw_line(*point, *next_point)
    return "".join(character for character, _ in canvas.list_rows()[0])


def cut(text: str, width: int) -> str:
    """``text`` in exactly ``width`` cells."""
    return set_cell_size(text, width)
