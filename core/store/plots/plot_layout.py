"""Lays a plot out as lines and texts with positions and roles, for SVG and PNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.contract.text.sanitize import sanitize
from core.contract.views.axis_scale import AxisScale, thin_out
from core.store.plots.report_curves import NEITHER, Curve, Plot

WIDTH, HEIGHT = 720, 300
TICKS = 5  # about as many an axis
UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))
LEFT, RIGHT, TOP, BOTTOM = 58, 74, 34, 36  # margins around the curves
# Colours by role, on a light and on a dark background.
LIGHT = {"ground": "#ffffff", "text": "#1f2328", "faint": "#8b949e", "grid": "#e4e7eb", "other": "#7d8ca3",
         "ahead": "#0b62d6", "limit": "#c02626", "base": "#7a5a00"}  # fmt: skip
DARK = {"ground": "#14181d", "text": "#e3e8ee", "faint": "#8b949e", "grid": "#2a3139", "other": "#6b7a91",
        "ahead": "#6cb2ff", "limit": "#ff7b72", "base": "#e0b343"}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """A line or text, in drawing units; its role selects the colour."""

    role: str
    points: tuple[tuple[float, float], ...]
    text: str = ""
    anchor: str = "start"  # alignment of a text: start, middle, end
    dashed: bool = False


def list_marks(plot: Plot) -> list[Mark]:
    """Return all marks of a plot, the topmost last."""
    x = AxisScale(*_find_reach([step for curve in plot.curves for step in curve.steps]))
    lines = [*(value for curve in plot.curves for value in curve.values), *_list_levels(plot)]
    y = add_margin([value for value in lines if value > 0 or not plot.log], plot.log)
    return [*_draw_grid(x, y), *_draw_titles(plot), *_draw_levels(plot, y), *_draw_curves(plot, x, y)]


def _find_reach(steps: list[int]) -> tuple[float, float]:
    low, high = min(steps), max(steps)
    return (0.0 if low < 0.2 * high else float(low)), float(high if high > low else low + 1)


def add_margin(values: list[float], log: bool = False) -> AxisScale:
    """Return an axis that covers all ``values`` with a small margin."""
    low, high = min(values), max(values)
    if log:
        return AxisScale(low / 1.1, high * 1.1, True)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return AxisScale(low - room, high + room)


def _list_levels(plot: Plot) -> list[float]:
    return [*plot.bounds, *([plot.base] if plot.base is not None else [])]


def _find_x(x: AxisScale, step: float) -> float:
    return LEFT + x.find_position(step) * (WIDTH - LEFT - RIGHT)


def _find_y(y: AxisScale, value: float) -> float:
    return HEIGHT - BOTTOM - y.find_position(value) * (HEIGHT - TOP - BOTTOM)


def _draw_grid(x: AxisScale, y: AxisScale) -> Iterator[Mark]:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in thin_out(y.list_ticks(TICKS), TICKS):
        height = _find_y(y, tick)
        yield Mark("grid", ((LEFT, height), (right, height)))
        yield Mark("faint", ((LEFT - 7, height + 4),), format_label(tick), "end")
    for tick in x.list_ticks(TICKS):
        place = _find_x(x, tick)
        yield Mark("grid", ((place, floor), (place, floor + 4)))
        yield Mark("faint", ((place, floor + 18),), format_label(tick), "middle")
    yield Mark("faint", ((WIDTH - 4, floor + 18),), "steps", "end")


def _draw_titles(plot: Plot) -> Iterator[Mark]:
    unit = f" ({sanitize(plot.metric.unit, 40)})" if plot.metric.unit else ""
    better = "lower is better" if plot.metric.direction == "minimize" else "higher is better"
    better = "" if plot.metric.name in NEITHER else better
    hidden = f"{plot.left_out} more trials are not shown" if plot.left_out else ""
    yield Mark("text", ((LEFT, 18),), f"{sanitize(plot.metric.name, 60)}{unit}")
    if notes := "; ".join(note for note in (better, hidden) if note):
        yield Mark("faint", ((WIDTH - RIGHT, 18),), notes, "end")


def _draw_levels(plot: Plot, y: AxisScale) -> Iterator[Mark]:
    levels = [("limit", "limit", bound) for bound in plot.bounds]
    levels += [("base", "base", plot.base)] if plot.base is not None else []
    for role, text, value in levels:
        if plot.log and value <= 0:
            continue
        height = _find_y(y, value)
        yield Mark(role, ((LEFT, height), (WIDTH - RIGHT, height)), dashed=True)
        yield Mark(role, ((WIDTH - RIGHT + 6, height + 4),), text)


def _draw_curves(plot: Plot, x: AxisScale, y: AxisScale) -> Iterator[Mark]:
    for curve in plot.curves:
        points = zip(curve.steps, curve.values, strict=True)
        yield Mark(_find_role(curve), tuple((_find_x(x, step), _find_y(y, value)) for step, value in points))
    for curve in _list_labelled_curves(plot):
        end = (_find_x(x, curve.steps[-1]) + 6, _find_y(y, curve.values[-1]) + 4)
        yield Mark(_find_role(curve), (end,), f"trial {curve.trial}")


def _find_role(curve: Curve) -> str:
    return "ahead" if curve.ahead else "other"


def _list_labelled_curves(plot: Plot) -> list[Curve]:
    """Return the curves to label: the chosen one, else the only one."""
    ahead = [curve for curve in plot.curves if curve.ahead]
    return ahead or (list(plot.curves) if len(plot.curves) == 1 else [])


def find_width(mark: Mark) -> float:
    """Return the stroke width of a line."""
    return {"ahead": 2.2, "grid": 1.0}.get(mark.role, 1.2)


def format_label(value: float) -> str:
    """Return the short text of a tick."""
    if value == 0:
        return "0"
    for unit, size in UNITS:
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")
