"""A line chart: axes, ticks, legend, and several curves over the same steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from rich.text import Text
from textual.events import Resize

from core.contract.state import study_state as s
from core.contract.state.study_state import Mark
from tui.number_text import loss, number, smoothed
from tui.theme_colors import Palette
from tui.widgets.braille_canvas import Canvas
from tui.widgets.cached_static import Sheet
from tui.widgets.edit_markers import MARK, ruled

AXIS = 8  # cells for the labels of the values
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)  # a tick's distance is one of these times a power of ten


@dataclass(frozen=True)
class Curve:
    """One curve; ``meaning`` names its colour."""

    label: str
    steps: Sequence[int]
    values: Sequence[float]
    meaning: str


CURVES = (("train/loss", "train loss", "train"), ("eval/loss", "eval loss", "eval"))


def curves_of(trial: s.Trial, smooth: bool) -> list[Curve]:
    """Training and validation loss of a trial; ``smooth`` averages the training loss."""
    found = []
    for metric, label, meaning in CURVES:
        series = trial.series.get(metric)
        if series is None or not series.values:
            continue
        if smooth and metric == "train/loss":
            found.append(Curve(f"{label} (smooth)", series.steps, smoothed(series.values), meaning))
        else:
            found.append(Curve(label, series.steps, series.values, meaning))
    return found


class Chart(Sheet):
    """Draws curves into its own size."""

    DEFAULT_CSS = """
    Chart {
        border: round $border; border-title-color: $text-muted; padding: 0 1; height: 1fr;
        text-wrap: nowrap; text-overflow: clip;
    }
    """

    _plot: Callable[..., Text] | None = None

    def show(
        self, curves: Sequence[Curve], log: bool, look: Palette, empty: str = "no value yet",
        marks: Sequence[Mark] = (),
    ) -> None:  # fmt: skip
        """Draw ``curves``; ``log`` scales the values logarithmically; ``marks`` are lines at their steps."""
        self._plot = partial(plot, curves, log=log, look=look, empty=empty, marks=marks)
        self._fill()

    def on_resize(self, event: Resize) -> None:
        """The lines above may have become more: the plot fits what they leave."""
        self._fill()

    def _fill(self) -> None:
        width, height = self.size.width, self.size.height
        if self._plot is not None:
            fits = width >= AXIS + 8 and height >= 4
            self.draw(self._plot(width=width, height=height) if fits else Text())


def plot(
    curves: Sequence[Curve], width: int, height: int, log: bool, look: Palette, empty: str,
    marks: Sequence[Mark] = (),
) -> Text:  # fmt: skip
    """The chart as text of exactly ``height`` lines: the legend, the plot, the axis, the steps."""
    kept = [_finite(curve, log) for curve in curves]
    kept = [curve for curve in kept if curve.values]
    if not kept:
        return Text(empty, style=look["muted"])
    low, high = _range([value for curve in kept for value in curve.values])
    first = min(curve.steps[0] for curve in kept)
    last = max(max(curve.steps[-1] for curve in kept), first + 1)
    canvas = Canvas(width - AXIS - 1, height - 3)
    for owner, curve in enumerate(kept):
        _draw(canvas, owner, curve, (first, last), (low, high))
    labels = _labels(low, high, canvas.height, log)
    shown = [_legend(kept, log, look, width)]
    rows = ruled(canvas.rows(), marks, first, last)
    shown += [_row(cells, labels.get(row, ""), kept, look) for row, cells in enumerate(rows)]
    shown += _step_axis(first, last, canvas.width, look)
    return Text("\n", no_wrap=True).join(shown)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round values from ``low`` to ``high``, evenly spaced."""
    rough = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in NICE if nice * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [place * step for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _labels(low: float, high: float, rows: int, log: bool) -> dict[int, str]:
    """The label of each row that has one; about one row in three."""
    most = max(4, rows // 3)
    found: dict[int, str] = {}
    for value in _decades(low, high, most) if log else ticks(low, high, most):
        place = math.log10(value) if log else value
        row = round((high - place) / (high - low) * (4 * rows - 1)) // 4
        found.setdefault(row, number(float(f"{value:.6g}")))
    return found


def _decades(low: float, high: float, most: int) -> list[float]:
    """Round values between 10**low and 10**high: powers of ten, or finer where there is hardly one."""
    powers = [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
    return powers if len(powers) > 1 else [one for one in ticks(10**low, 10**high, most) if one > 0]


def _step_axis(first: int, last: int, width: int, look: Palette) -> list[Text]:
    """The lower axis, and the steps under it."""
    line, under = ["─"] * width, [" "] * (width + AXIS + 1)
    taken = 0
    for value in ticks(first, last, max(4, width // 14)):
        if value != int(value):
            continue
        place = round((value - first) / (last - first) * (2 * width - 1)) // 2
        label = f"{value:.0f}"
        start = min(AXIS + 1 + place - len(label) // 2, len(under) - len(label))
        if start > taken:
            line[place] = "┬"
            under[start : start + len(label)] = label
            taken = start + len(label)
    under[AXIS - 4 : AXIS] = "step" if under[AXIS - 4 : AXIS + 1] == [" "] * 5 else under[AXIS - 4 : AXIS]
    return [
        Text(" " * AXIS + "└" + "".join(line), style=look["muted"]),
        Text("".join(under), style=look["muted"]),
    ]


def _finite(curve: Curve, log: bool) -> Curve:
    pairs = [
        (step, math.log10(value) if log else value)
        for step, value in zip(curve.steps, curve.values, strict=True)
        if math.isfinite(value) and (value > 0 or not log)
    ]
    return Curve(curve.label, [step for step, _ in pairs], [value for _, value in pairs], curve.meaning)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.05 or 0.5
        return low - pad, high + pad
    return low, high


def _draw(
    canvas: Canvas, owner: int, curve: Curve, steps: tuple[int, int], values: tuple[float, float]
) -> None:
    def x(step: int) -> int:
        return round((step - steps[0]) / (steps[1] - steps[0]) * (2 * canvas.width - 1))

    def y(value: float) -> int:
        return round((values[1] - value) / (values[1] - values[0]) * (4 * canvas.height - 1))

    points = [(x(step), y(value)) for step, value in zip(curve.steps, curve.values, strict=True)]
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        canvas.line(x0, y0, x1, y1, owner)


def _row(cells: list[tuple[str, int]], tick: str, curves: Sequence[Curve], look: Palette) -> Text:
    line = Text(f"{tick:>{AXIS}}" + ("┤" if tick else "│"), style=look["muted"])
    for owner, run in groupby(cells, key=lambda cell: cell[1]):
        meaning = curves[owner].meaning if owner >= 0 else "mark" if owner == MARK else ""
        line.append("".join(character for character, _ in run), look[meaning] if meaning else "")
    return line


def _legend(curves: Sequence[Curve], log: bool, look: Palette, width: int) -> Text:
    """What each colour is, with the newest value; the names alone where it is narrow."""
    line = Text(" " * (AXIS + 1) if width >= 60 else "")
    for curve in curves:
        last = 10 ** curve.values[-1] if log else curve.values[-1]
        line.append("━━ ", style=look[curve.meaning])
        line.append(f"{curve.label} {loss(last)}   ")
    if log:
        line.append("log scale", style=look["muted"])
    return line
