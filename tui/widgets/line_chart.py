"""A line chart: axes, ticks, legend, and several curves over the same steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from rich.text import Text
from textual.events import Resize

from core.contract.state import engine_state as s
from core.contract.state.engine_state import Mark
from core.contract.views.axis_scale import AxisScale
from tui.number_text import loss, smooth_values
from tui.theme_colors import Palette
from tui.widgets.braille_canvas import Canvas, column_of
from tui.widgets.cached_static import Sheet
from tui.widgets.edit_markers import MARK, draw_markers
from tui.widgets.xy_plot import AXIS, row_labels


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
    curves = []
    for metric, label, meaning in CURVES:
        series = trial.series.get(metric)
        if series is None or not series.values:
            continue
        if smooth and metric == "train/loss":
            curves.append(Curve(f"{label} (smooth)", series.steps, smooth_values(series.values), meaning))
        else:
            curves.append(Curve(label, series.steps, series.values, meaning))
    return curves


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
    drawn = [_drawable(curve, log) for curve in curves]
    drawn = [curve for curve in drawn if curve.values]
    if not drawn:
        return Text(empty, style=look["muted"])
    values = AxisScale.over((value for curve in drawn for value in curve.values), log)
    first = min(curve.steps[0] for curve in drawn)
    steps = AxisScale(first, max(max(curve.steps[-1] for curve in drawn), first + 1))
    canvas = Canvas(width - AXIS - 1, height - 3)
    for owner, curve in enumerate(drawn):
        positions = zip(steps.positions(curve.steps), values.positions(curve.values), strict=True)
        canvas.curve(list(positions), owner)
    labels = row_labels(values, canvas.height)
    shown = [_legend(drawn, log, look, width)]
    rows = draw_markers(canvas.rows(), marks, steps)
    shown += [_row(cells, labels.get(row, ""), drawn, look) for row, cells in enumerate(rows)]
    shown += _step_axis(steps, canvas.width, look)
    return Text("\n", no_wrap=True).join(shown)


def _step_axis(steps: AxisScale, width: int, look: Palette) -> list[Text]:
    """The lower axis, and the steps under it."""
    line, under = ["─"] * width, [" "] * (width + AXIS + 1)
    taken = 0
    for value in steps.ticks(max(4, width // 14)):
        if value != int(value):
            continue
        place = column_of(steps.position(value), width)
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


def _drawable(curve: Curve, log: bool) -> Curve:
    pairs = [
        (step, value)
        for step, value in zip(curve.steps, curve.values, strict=True)
        if math.isfinite(value) and (value > 0 or not log)
    ]
    return Curve(curve.label, [step for step, _ in pairs], [value for _, value in pairs], curve.meaning)


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
        line.append("━━ ", style=look[curve.meaning])
        line.append(f"{curve.label} {loss(curve.values[-1])}   ")
    if log:
        line.append("log scale", style=look["muted"])
    return line
